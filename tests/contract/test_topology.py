"""`streams/topology.py` is the order of the stages, written once: topics, roles and the README's diagram follow it."""

import ast
from pathlib import Path

import pytest

from streams import topics, topology
from streams.topics import Spread
from streams.topology import ANY_PROVIDER, HOPS, Delivery

ROOT = Path(__file__).parents[2]
TOPICS = topics.all_topics((ANY_PROVIDER,))


def test_the_readme_shows_the_generated_diagram() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"```mermaid\n{topology.diagram()}\n```" in readme, "copy the output of streams.topology.diagram() into README.md"


def test_every_topic_has_a_writer_and_a_reader() -> None:
    for name in TOPICS:
        written = topology.writers(name) or name in topology.PUBLISHED_BY_YOU
        # The changelog is read by its own writer, at the start of a lane.
        read = topology.readers(name) or name in topology.READ_BY_YOU or name == topics.CHANGELOG
        assert written, f"{name} has no writer"
        assert read, f"{name} has no reader"


def test_every_name_of_a_hop_is_a_topic() -> None:
    named = {name for hop in HOPS for name in (*hop.sources, *hop.follows, *(sink.topic for sink in hop.sinks))}
    assert named <= set(TOPICS)
    assert {*topology.PUBLISHED_BY_YOU, *topology.READ_BY_YOU} <= set(TOPICS)
    assert len({hop.agent for hop in HOPS}) == len(HOPS)


def declared_agents() -> dict[str, str]:
    """Agent and topic of every `@app.agent(topic, name=...)` in the code, as written; constants looked up in their module."""
    found = {}
    for path in sorted((ROOT / "streams").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.AsyncFunctionDef):
                continue
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "agent":
                    (name,) = (given.value for given in call.keywords if given.arg == "name")
                    agent = constants[name.id] if isinstance(name, ast.Name) else ast.literal_eval(name)
                    found[agent] = ast.unparse(call.args[0])
    return found


def test_agents_of_the_topology_are_those_that_are_declared() -> None:
    declared = declared_agents()
    faust = {hop.agent: hop.sources for hop in HOPS if hop.role not in {"dispatch", "health", "edge", "webhooks"}}
    assert set(declared) == set(faust)
    for agent, source in declared.items():
        (topic,) = faust[agent]
        assert eval(source, {"topics": topics, "provider": ANY_PROVIDER}) == topic, agent


def test_the_answer_and_the_money_come_from_one_transaction() -> None:
    """Promises 1 to 3: one writer each, and it is the dispatcher."""
    for name in (topics.RESPONSES, topics.COSTS, topics.COST_TOTALS, topics.CHANGELOG, topology.CALLS):
        (writer,) = topology.writers(name)
        assert writer.role == "dispatch"
        assert {sink.delivery for sink in writer.sinks} == {Delivery.ONE_TRANSACTION}


def test_what_the_dispatcher_reads_is_placed_by_lane() -> None:
    (dispatcher,) = (hop for hop in HOPS if hop.role == "dispatch")
    for name in (*dispatcher.sources, topics.CHANGELOG):
        assert TOPICS[name].spread is Spread.LANES
    assert {n for n, t in TOPICS.items() if t.spread is Spread.LANES} == {*dispatcher.sources, topics.CHANGELOG}


def test_the_way_of_a_request_is_the_order_of_the_table() -> None:
    """Each hop's first input is written by you or by a hop above it; the edge only follows."""
    above = set(topology.PUBLISHED_BY_YOU)
    for hop in HOPS:
        assert (*hop.sources, *hop.follows)[0] in above
        above |= {sink.topic for sink in hop.sinks}


@pytest.mark.parametrize("name", sorted(TOPICS))
def test_every_topic_stands_in_the_diagram_and_in_the_records_page(name: str) -> None:
    shown = name.replace(ANY_PROVIDER, "PROVIDER")
    assert f'"{shown}: ' in topology.diagram()
    assert f"`{name}`" in (ROOT / "docs" / "records.md").read_text("utf-8")
