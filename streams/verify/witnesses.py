"""What others say of the same requests and calls: the provider's own log, the publisher's, and the list of injected bad records.

All are files of JSON lines that only grow, so that what was read up to a checkpoint need not be read again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from schemas.errors import SettingsError
from streams.simulator.call_log import ARRIVED
from streams.simulator.faults import FaultKind
from streams.verify.facts import CALL, TRIES, About, Acknowledged, Arrived, Fact, Injected, Seen, keyed, position, request

_LIES = frozenset(
    {FaultKind.MISSING_USAGE.value, FaultKind.ZERO_USAGE.value, FaultKind.NEGATIVE_USAGE.value, FaultKind.ABSURD_USAGE.value}
)
"""Faults under which the simulator tells other tokens than it bills."""


@dataclass(slots=True)
class Mark:
    """How much of a file was read: bytes and lines, the whole ones."""

    read: int = 0
    lines: int = 0


def provider_calls(path: Path, mark: Mark | None = None) -> Iterator[tuple[About, Fact]]:
    """The calls of the simulator's log that carry our ids. Raises SettingsError when it cannot be read.

    A call tells its tokens when it arrives, and once more when it ended, perhaps other ones. Of one that had arrived before
    `mark` the end is left out: it was judged.
    """
    mark = mark if mark is not None else Mark()
    resumed = mark.read > 0
    arrived: dict[tuple[str, int], dict[str, Any]] = {}
    try:
        for _, call in _lines(path, mark):
            key = call["run"], call["seq"]
            if call["event"] == ARRIVED:
                arrived[key] = call
            elif key in arrived or not resumed:
                del arrived[key]
                yield from _call(call)
        for call in arrived.values():
            yield from _call(call)
    except OSError as error:
        raise SettingsError(f"the call log {path} cannot be read ({error.strerror}); name the simulator's own") from error
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            f"{path}, line {mark.lines} is not a line of a simulator's call log ({type(error).__name__}); "
            "check that this is the right file and that nothing else writes to it"
        ) from error


def acknowledged_requests(path: Path, mark: Mark | None = None) -> Iterator[tuple[About, Fact]]:
    """The requests of a publisher's log: JSON lines with `tenant` and `request_id`. A torn last line counts for nothing.

    Raises SettingsError when it cannot be read.
    """
    mark = mark if mark is not None else Mark()
    try:
        for number, said in _lines(path, mark):
            yield request(said["tenant"], said["request_id"]), Acknowledged(number)
    except OSError as error:
        raise SettingsError(f"the acknowledged log {path} cannot be read ({error.strerror})") from error
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path}, line {mark.lines} is no line of a publisher's log: it needs `tenant` and `request_id` "
            "(`penstock publish --acknowledged-log` writes one)"
        ) from error


def injected_records(path: Path, mark: Mark | None = None) -> Iterator[tuple[About, Fact]]:
    """The bad records of a list: JSON lines with `topic`, `partition` and `offset`, or `topic` and `key`, and perhaps `reason`.

    Raises SettingsError when it cannot be read.
    """
    mark = mark if mark is not None else Mark()
    try:
        for number, said in _lines(path, mark):
            if said.get("offset") is not None:
                about = position(str(said["topic"]), int(said["partition"]), int(said["offset"]))
            else:
                about = keyed(str(said["topic"]), str(said["key"]))
            yield about, Injected(number, said.get("reason"))
    except OSError as error:
        raise SettingsError(f"the list of injected records {path} cannot be read ({error.strerror})") from error
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise SettingsError(
            f"{path}, line {mark.lines} names no injected record: it needs `topic`, then `partition` and `offset`, or `key`; "
            "`reason` is that of the dead letter, if it matters"
        ) from error


def injected_keys(path: Path) -> frozenset[tuple[str, str]]:
    """Topic and key of every line that names its record so. Raises SettingsError as `injected_records` does."""
    for _ in injected_records(path):
        pass
    return frozenset((said["topic"], said["key"]) for _, said in _lines(path, Mark()) if said.get("offset") is None)


def _call(call: dict[str, Any]) -> Iterator[tuple[About, Fact]]:
    if (call_id := call["call_id"]) is None:
        return
    truthful = call["fault"] not in _LIES
    arrived_us = int(call["t_in"] * 1e6)
    provider = call["provider"]
    yield About(CALL, call_id), Arrived(provider, arrived_us, call["input_tokens"], call["output_tokens"], truthful)
    if call["request_id"] is not None:
        yield About(TRIES, call["request_id"]), Seen(call_id, provider)


def _lines(path: Path, mark: Mark) -> Iterator[tuple[int, Any]]:
    """The whole lines after `mark`, which follows, with their numbers; a torn last one is not there yet."""
    with path.open("rb", buffering=1024 * 1024) as lines:
        lines.seek(mark.read)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            mark.read += len(line)
            mark.lines += 1
            yield mark.lines, orjson.loads(line)
