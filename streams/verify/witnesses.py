"""What others say of the same requests and calls: the provider's own log, and the publisher's."""

from collections.abc import Iterator
from pathlib import Path

import orjson

from schemas.errors import SettingsError
from streams.simulator import call_log
from streams.simulator.faults import FaultKind
from streams.verify.facts import CALL, About, Acknowledged, Arrived, Fact, request

_LIES = frozenset(
    {FaultKind.MISSING_USAGE.value, FaultKind.ZERO_USAGE.value, FaultKind.NEGATIVE_USAGE.value, FaultKind.ABSURD_USAGE.value}
)
"""Faults under which the simulator tells other tokens than it bills."""


def provider_calls(path: Path) -> Iterator[tuple[About, Fact]]:
    """The calls of the simulator's log that carry our ids. Raises SettingsError when it cannot be read."""
    try:
        for call in call_log.read(path):
            if call.call_id is not None:
                truthful = call.fault not in _LIES
                arrived_us = int(call.t_in * 1e6)
                yield (
                    About(CALL, call.call_id),
                    Arrived(call.provider, arrived_us, call.input_tokens, call.output_tokens, truthful),
                )
    except OSError as error:
        raise SettingsError(f"the call log {path} cannot be read ({error.strerror}); name the simulator's own") from error
    except call_log.CallLogError as error:
        raise SettingsError(str(error)) from error


def acknowledged_requests(path: Path) -> Iterator[tuple[About, Fact]]:
    """The requests of a publisher's log: JSON lines with `tenant` and `request_id`. A torn last line counts for nothing.

    Raises SettingsError when it cannot be read.
    """
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    return
                said = orjson.loads(line)
                yield request(said["tenant"], said["request_id"]), Acknowledged(number)
    except OSError as error:
        raise SettingsError(f"the acknowledged log {path} cannot be read ({error.strerror})") from error
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path}, line {number} is no line of a publisher's log: it needs `tenant` and `request_id` "
            "(`penstock publish --acknowledged-log` writes one)"
        ) from error
