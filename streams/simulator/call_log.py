"""The call log: what reached the provider, and what it billed. The reader, and the form of a line.

Lines of JSON, two a call. `arrived` is on the disk before the first byte of the reply is written, so every reply that a client
has seen has its line. `finished` follows when the reply ended. Both carry the same fields:

event            `arrived` or `finished`
run, seq         the simulator's start, and the call in it: what joins the two lines
call_id          header `x-penstock-call-id`, null without
request_id       header `x-penstock-request-id`, null without
provider, model  the model is null when the request names none
t_in             arrival, Unix time in seconds
input_tokens     all input that is billed, cached tokens included
output_tokens    all output that is billed
bytes_out        bytes of the body that were handed to the network; 0 when arrived
completed        whether a whole reply was written, an error reply too; false when arrived
status           the HTTP status, null when none was sent
fault            the fault that struck, null when none did

On `arrived`, tokens and status are those of the reply in full: they stand when the simulator is killed before it can finish.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import orjson

ARRIVED, FINISHED = "arrived", "finished"
_READ_BYTES = 1024 * 1024


class CallLogError(Exception):
    """The call log holds something that no simulator wrote."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call as the provider saw it. `finished` False: the simulator was killed before it could say how the call ended."""

    run: str
    seq: int
    call_id: str | None
    request_id: str | None
    provider: str
    model: str | None
    t_in: float
    bytes_out: int
    input_tokens: int
    output_tokens: int
    completed: bool
    status: int | None
    fault: str | None
    finished: bool


_FIELDS = tuple(f.name for f in fields(Call) if f.name != "finished")


def line_of(
    event: str,
    *,
    run: str,
    seq: int,
    call_id: str | None,
    request_id: str | None,
    provider: str,
    model: str | None,
    t_in: float,
    bytes_out: int,
    input_tokens: int,
    output_tokens: int,
    completed: bool,
    status: int | None,
    fault: str | None,
) -> bytes:
    """One line of the log, its end included."""
    return orjson.dumps(
        {
            "event": event,
            "run": run,
            "seq": seq,
            "call_id": call_id,
            "request_id": request_id,
            "provider": provider,
            "model": model,
            "t_in": t_in,
            "bytes_out": bytes_out,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "completed": completed,
            "status": status,
            "fault": fault,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _lines(path: Path) -> Iterator[bytes]:
    """Whole lines; what follows the last line's end is the torn work of a write that no reply waited for."""
    with path.open("rb", buffering=_READ_BYTES) as log:
        for line in log:
            if line.endswith(b"\n"):
                yield line


def _call(record: dict[str, Any], *, finished: bool) -> Call:
    return Call(**{name: record[name] for name in _FIELDS}, finished=finished)


def read(path: Path) -> Iterator[Call]:
    """The calls of a log: finished ones in the order of their end, then those that never finished.

    A torn last line is left out. The log may still be written to. Raises CallLogError on any other line that cannot be
    read, OSError when the file cannot be opened.
    """
    open_calls: dict[tuple[str, int], Call] = {}
    for number, line in enumerate(_lines(path), start=1):
        try:
            record = orjson.loads(line)
            key = record["run"], record["seq"]
            if record["event"] == ARRIVED:
                open_calls[key] = _call(record, finished=False)
                continue
            del open_calls[key]
            call = _call(record, finished=True)
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise CallLogError(
                f"{path}, line {number} is not a line of a simulator's call log ({type(error).__name__}); "
                "check that this is the right file and that nothing else writes to it"
            ) from error
        yield call
    yield from open_calls.values()
