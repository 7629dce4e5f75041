"""The call log's reader."""

from pathlib import Path
from typing import Any

import pytest

from streams.simulator.call_log import ARRIVED, FINISHED, CallLogError, line_of, read


def line(event: str, seq: int, run: str = "r", **more: Any) -> bytes:
    fields: dict[str, Any] = {
        "run": run, "seq": seq, "call_id": f"c{seq}", "request_id": "q", "provider": "openai", "model": "m", "t_in": 1.5,
        "bytes_out": 0, "input_tokens": 7, "output_tokens": 9, "completed": False, "status": 200, "fault": None,
    }  # fmt: skip
    return line_of(event, **{**fields, **more})


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def test_two_lines_are_one_call_and_the_second_says_how_it_ended(tmp_path: Path) -> None:
    log = written(
        tmp_path / "calls.jsonl",
        line(ARRIVED, 1),
        line(ARRIVED, 2),
        line(FINISHED, 2, completed=True, bytes_out=88),
        line(ARRIVED, 1, run="after a restart"),
        line(FINISHED, 1, output_tokens=4, status=None),
    )
    calls = list(read(log))
    assert [(c.run, c.seq, c.finished, c.completed, c.output_tokens) for c in calls] == [
        ("r", 2, True, True, 9),
        ("r", 1, True, False, 4),
        ("after a restart", 1, False, False, 9),
    ]
    assert (calls[0].call_id, calls[0].request_id, calls[0].bytes_out, calls[1].status) == ("c2", "q", 88, None)


def test_a_torn_last_line_is_left_out_at_every_length(tmp_path: Path) -> None:
    whole, last = line(ARRIVED, 1), line(FINISHED, 1, completed=True)
    for size in range(len(last)):
        (call,) = read(written(tmp_path / "calls.jsonl", whole, last[:size]))
        assert not call.finished
    (call,) = read(written(tmp_path / "calls.jsonl", whole, last))
    assert call.completed


@pytest.mark.parametrize("garbage", [b"what\n", b"{}\n", b"[1]\n", b"7\n", line(FINISHED, 5), b'{"event":"arrived","run":"r"}\n'])
def test_a_foreign_line_is_an_error_that_names_file_and_line(tmp_path: Path, garbage: bytes) -> None:
    log = written(tmp_path / "calls.jsonl", line(ARRIVED, 1), garbage, line(FINISHED, 1))
    with pytest.raises(CallLogError, match=r"calls\.jsonl, line 2"):
        list(read(log))


def test_an_empty_log_has_no_calls(tmp_path: Path) -> None:
    assert list(read(written(tmp_path / "calls.jsonl"))) == []
