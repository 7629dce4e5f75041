"""What the changelog keeps of a request is what the request came with."""

from processors.dispatch.state import LaneState, PutPosition
from schemas.serde import Serde
from streams.dispatcher.changelog import Changelog
from tests.fakes.lane import FakeLane
from tests.fakes.records import at, routed


def test_a_conflicting_body_in_the_same_cycle_does_not_replace_the_first():
    serde, lane, rebuilt = Serde(), FakeLane(), LaneState()
    first, second = routed(request=b"first"), routed(request=b"second", body_digest=b"e" * 32)
    changes = [*lane.on(first, at(0)).changes, *lane.on(second, at(0)).changes]
    values = {"acme/r1": (second, serde.encode(second))}
    for key, value in Changelog(serde).encode(changes, values):
        Changelog(serde).apply(rebuilt, key, value)
    assert rebuilt.open["acme/r1"].routed.request == b"first"


def test_the_last_position_of_each_input_is_what_a_restart_goes_back_to():
    serde, rebuilt = Serde(), LaneState()
    changes = [PutPosition("ai.attempts", 3), PutPosition("ai.requests.routed", 7), PutPosition("ai.attempts", 5)]
    for key, value in Changelog(serde).encode(changes, {}):
        Changelog(serde).apply(rebuilt, key, value)
    assert rebuilt.positions == {"ai.attempts": 5, "ai.requests.routed": 7}
