"""Every name that leaves the process, collected from the code.

`.venv/bin/python -m tests.contract.wire_names > tests/contract/wire_names.json` writes the snapshot anew: read the difference
first, for whoever runs Penstock has these names in their Kafka, their dashboards and their scripts.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from schemas.catalogue import builtin
from streams import topics, topology
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
_METRICS = {"Counter", "Gauge", "Histogram", "Summary", "Info"}
_HEADER = re.compile(r"x-penstock-[a-z-]+|traceparent|content-type")
_VARIABLE = re.compile(r"PENSTOCK_[A-Z0-9_]+")


def providers() -> dict[str, dict[str, Any]]:
    """The built-in catalogue's providers as the YAML has them."""
    content = yaml.safe_load((ROOT / "streams" / "defaults" / "deployments.yaml").read_text("utf-8"))
    found: dict[str, dict[str, Any]] = content["providers"]
    return found


def setting_variables() -> dict[str, str]:
    """The environment variable of every setting."""
    prefix = Settings.model_config["env_prefix"]
    return {name: str(field.validation_alias or f"{prefix}{name.upper()}") for name, field in Settings.model_fields.items()}


def provider_variables() -> set[str]:
    return {p[key] for p in providers().values() for key in ("key_env", "address_env") if key in p}


def names() -> dict[str, Any]:
    """All of them, sorted, under the app name `penstock`."""
    settings = Settings(_env_file=None)
    names_of_providers = sorted(providers())
    roles = [
        role.replace(topology.ANY_PROVIDER, provider)
        for role in topology.roles()
        for provider in (names_of_providers if topology.ANY_PROVIDER in role else [""])
    ]
    return {
        "agents": sorted(hop.agent for hop in topology.HOPS),
        "client_ids": sorted(set(_keyword_templates("client_id"))),
        "environment": sorted({*setting_variables().values(), *provider_variables(), *_constants(_VARIABLE)}),
        "groups": sorted({settings.group(role) for role in roles}),
        "headers": sorted(set(_constants(_HEADER))),
        "metrics": sorted(set(_metrics())),
        "roles": sorted(roles),
        "schemas": {str(i): f"ai.penstock.v{s.version}.{s.name}" for i, s in sorted(builtin().items())},
        "subjects": sorted(t.subject for t in topics.all_topics(names_of_providers).values()),
        "topics": sorted(topics.all_topics(names_of_providers)),
        "transactional_ids": [settings.transactional_id(0)],
    }


def _trees() -> Iterator[ast.Module]:
    for package in ("schemas", "processors", "streams"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield ast.parse(path.read_text("utf-8"))


def _nodes() -> Iterator[ast.AST]:
    for tree in _trees():
        yield from ast.walk(tree)


def _keyword_templates(keyword: str) -> Iterator[str]:
    """How the code spells an argument that is a literal, `{…}` where a value goes in."""
    for node in _nodes():
        if isinstance(node, ast.Call):
            for given in node.keywords:
                if given.arg == keyword and isinstance(given.value, ast.JoinedStr | ast.Constant):
                    template = ast.unparse(given.value).lstrip("f").strip("'\"")
                    if template != "None":
                        yield re.sub(r"\{(?:\w+\.)*_?(\w+)\}", r"{\1}", template)


def _constants(pattern: re.Pattern[str]) -> Iterator[str]:
    """String constants that are a name by themselves."""
    for node in _nodes():
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and pattern.fullmatch(node.value):
            yield node.value


def _metrics() -> Iterator[str]:
    for tree in _trees():
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client"
            for alias in node.names
        } & _METRICS
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in imported and node.args:
                yield ast.literal_eval(node.args[0])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(names(), indent=2) + "\n")
