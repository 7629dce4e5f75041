"""What the README and docs/ show is so: Python runs, YAML parses, commands, options, links and variables exist."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from typer.main import get_command

from processors.classify.validate import problems
from processors.route.catalogue import parse
from schemas.errors import UnknownSchema
from schemas.outcomes import ResponseStatus
from schemas.requests import InferenceRequest
from schemas.serde import Serde
from streams import topics
from streams.agents.arrivals import DEFECT
from streams.bootstrap import create_topics
from streams.settings import Settings
from streams.simulator.profile_text import load as load_profiles
from tests.contract.documentation import PAGES, ROOT, Block, blocks
from tests.contract.records import EXAMPLES
from tests.contract.wire_names import provider_variables, setting_variables
from tests.fakes.stack import embedded_kafka

PUBLISH, READ = (block for block in blocks("python") if block.page == "README.md" and "confluent_kafka" in block.code)
EXTENDED_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Services:
    """Where the examples' addresses are in a test."""

    bootstrap_servers: str
    catalogue: str

    def run(self, block: Block) -> str:
        code = block.code.replace("localhost:9092", self.bootstrap_servers).replace("http://localhost:8081", self.catalogue)
        # In the text the reader waits for half a minute; here nothing more comes once the records are read.
        code = code.replace("poll(30.0)", "poll(4.0)")
        ran = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=EXTENDED_TIMEOUT_S, check=False, cwd="/"
        )
        assert ran.returncode == 0, f"{block}:\n{ran.stderr}"
        return ran.stdout


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    """A Kafka with our topics, and the schema catalogue as a process of its own."""
    catalogue = subprocess.Popen(
        [sys.executable, "-m", "streams.edge.catalogue", "--port", "0"],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert catalogue.stdout is not None
    try:
        with embedded_kafka() as broker:
            settings = Settings(_env_file=None, bootstrap_servers=broker.bootstrap_servers, partitions=1)
            asyncio.run(create_topics(settings, ["openai"]))
            yield Services(broker.bootstrap_servers, catalogue.stdout.readline().split()[-1])
    finally:
        catalogue.terminate()
        catalogue.wait(10)
        catalogue.stdout.close()


async def _first_value(bootstrap_servers: str, topic: str) -> tuple[bytes | None, bytes | None]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), 20)
        return record.key, record.value
    finally:
        await consumer.stop()


async def _publish(bootstrap_servers: str, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


@pytest.mark.stack
def test_the_example_that_publishes_writes_a_request_that_intake_accepts(services: Services) -> None:
    services.run(PUBLISH)
    key, value = asyncio.run(_first_value(services.bootstrap_servers, topics.REQUESTS))
    request = Serde().of(InferenceRequest).decode(value)
    assert problems(request) == ()
    assert key == request.tenant.encode() == b"acme"
    assert request.messages[0].content == "Why is the sky blue?"
    assert request == InferenceRequest(request.request_id, "acme", "auto", messages=request.messages)


@pytest.mark.stack
def test_the_example_that_reads_prints_finals_and_no_notices(services: Services) -> None:
    answer = EXAMPLES["InferenceResponse"]
    notice = replace(answer, final=False, status=ResponseStatus.DUPLICATE, request_id="sent-again")
    failed = replace(answer, status=ResponseStatus.EXPIRED, output=None, request_id="too-late")
    values = [Serde().encode(record) for record in (answer, notice, failed)]
    asyncio.run(_publish(services.bootstrap_servers, topics.RESPONSES, values))
    assert services.run(READ).splitlines() == ["req-1 ok It is 4 °C in Zürich. 🌧", "too-late expired None"]


def test_the_catalogue_that_the_readme_shows_is_one() -> None:
    (block,) = (b for b in blocks("yaml") if "deployments:" in b.code)
    catalogue = parse(yaml.safe_load(block.code), source=str(block))
    assert catalogue.tenants["acme"].lanes == 8
    assert catalogue.deployment("rack7/qwen3-32b") is not None


def test_the_simulator_profile_that_is_shown_is_one(tmp_path: Path) -> None:
    (block,) = (b for b in blocks("yaml") if "faults:" in b.code)
    (tmp_path / "faults.yaml").write_text(block.code)
    assert load_profiles(tmp_path / "faults.yaml").providers["openai"].faults


def commands() -> dict[str, Any]:
    from streams.cli.main import app  # noqa: PLC0415 - only these tests need the command line

    group: Any = get_command(app)
    known = dict(group.commands)
    # `penstock cache drop`: a command of a command.
    for name, command in group.commands.items():
        known |= {f"{name} {below}": found for below, found in getattr(command, "commands", {}).items()}
    return known


def shown_commands() -> list[tuple[str, str, list[str]]]:
    """Where, command, options: of every `penstock …` in a shell block or in backticks."""
    found, known = [], commands()
    for page in PAGES:
        text = page.read_text("utf-8")
        in_shell = "\n".join(block.code for block in blocks("sh") if block.page == page.name)
        for call in (*re.findall(r"`penstock ([^`]+)`", text), *re.findall(r"(?m)^\s*(?:\S*/)?penstock ([^#\n]+)", in_shell)):
            name, *more = (word.strip("\"'") for word in call.split())
            name = f"{name} {more[0]}" if more and f"{name} {more[0]}" in known else name
            if name.replace(" ", "_").isidentifier():
                found.append((f"{page.name}: penstock {call}", name, re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", call)))
    return found


@pytest.mark.parametrize(("where", "name", "options"), shown_commands(), ids=lambda v: v if isinstance(v, str) else "")
def test_commands_and_options_that_are_shown_exist(where: str, name: str, options: list[str]) -> None:
    known = commands()
    assert name in known, where
    taken = {text for parameter in known[name].params for text in (*parameter.opts, *parameter.secondary_opts)}
    assert set(options) <= taken, where


def test_every_command_is_shown_somewhere() -> None:
    leaves = {name for name, command in commands().items() if not hasattr(command, "commands")}
    assert {name for _, name, _ in shown_commands()} >= leaves - {"demo"}
    assert "make demo" in PAGES[0].read_text("utf-8")


def test_targets_of_make_that_are_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for page in PAGES:
        shown = set(re.findall(r"(?:`|^)make (?:[A-Z]+=\S+ )?([a-z-]+)", page.read_text("utf-8"), re.MULTILINE))
        assert shown <= targets, page.name


def test_variables_that_are_shown_are_settings() -> None:
    known = {*setting_variables().values(), *provider_variables(), "PENSTOCK_FAULT", "PENSTOCK_READY_FILE", "PENSTOCK_KEY"}
    for page in PAGES:
        shown = set(
            re.findall(r"\b(?:PENSTOCK_[A-Z0-9_]+|[A-Z_]+_API_KEY|REDIS_URL|SCHEMA_REGISTRY_[A-Z]+)\b", page.read_text("utf-8"))
        )
        assert shown <= known, page.name


def test_defaults_of_the_readmes_table_are_the_settings() -> None:
    defaults = {variable: Settings.model_fields[name].default for name, variable in setting_variables().items()}
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (\S+) \|", PAGES[0].read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 5
    for variable, shown in rows:
        default = defaults[variable]
        spelled = "\N{EN DASH}" if default is None else str(default).lower() if isinstance(default, bool) else f"{default:g}"
        assert shown == spelled, variable


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_fields_that_the_records_page_names_are_in_the_contract() -> None:
    """In the tables under a record's name, the first column names fields."""
    text = (ROOT / "docs" / "records.md").read_text("utf-8")
    named = re.findall(r"^## (InferenceRequest|InferenceResponse)\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert len(named) == 2
    for record, section in named:
        for cell in re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE):
            for field in re.findall(r"`(\w+)`", cell):
                assert hasattr(EXAMPLES[record], field), f"{record} has no field {field}"


def test_reasons_of_dead_letters_that_the_page_lists_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "records.md").read_text("utf-8").split("## DeadLetter")[1].split("\n## ")[0]
    listed = {reason for row in re.findall(r"^\| (`.*?) \| ", text, re.MULTILINE) for reason in re.findall(r"`(\w+)`", row)}
    serde = (ROOT / "schemas" / "serde.py").read_text("utf-8")
    raised = set(re.findall(r'MalformedRecord\(\s*"(\w+)"', serde)) | {UnknownSchema(1).reason, DEFECT}
    assert listed == raised - {"unencodable"}, "`unencodable` concerns records that we write"
