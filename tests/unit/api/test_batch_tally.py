"""Each line is settled once, and what has been counted stands in the pieces that were handed out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from processors.api.batch_output import Written
from processors.api.batch_tally import MAX_PART_BYTES, Tally, ended
from schemas.batches import BatchState, BatchStatus
from schemas.calls import Usage

AT = datetime(2026, 1, 31, 15, tzinfo=UTC)
STATE = BatchState("batch_1", "acme", "/v1/embeddings", "file-1", 1, BatchStatus.IN_PROGRESS, AT, AT + timedelta(days=1))


@given(st.lists(st.tuples(st.integers(-1, 22), st.booleans(), st.booleans()), max_size=60))
def test_counts_are_those_of_the_lines_that_were_written(settled: list[tuple[int, bool, bool]]) -> None:
    """The tally is taken down and taken up again in between, as when a process dies."""
    tally = Tally.of(replace(STATE, total=20, output_file_id="a", error_file_id="b"))
    files: dict[str, list[bytes]] = {"output": [], "errors": []}
    for number, error, stops in settled:
        tally.settle(number, Written(b"%d\n" % number, error=error, usage=None if error else Usage(2, 1)))
        if stops:
            output, errors = tally.take((7,))
            assert (output.first, errors.first) == (len(files["output"]), len(files["errors"]))
            files["output"] += output.data
            files["errors"] += errors.data
            tally = Tally.of(tally.state)
    output, errors = tally.take((8,))
    lines = [b"".join([*files["output"], *output.data]).split(), b"".join([*files["errors"], *errors.data]).split()]
    written = [int(number) for group in lines for number in group]
    wanted = {number for number, _, _ in settled if 1 <= number <= 20}
    assert sorted(written) == sorted(wanted)
    state = tally.state
    assert (state.completed, state.failed) == (len(lines[0]), len(lines[1]))
    assert (state.input_tokens, state.output_tokens, state.positions) == (2 * len(lines[0]), len(lines[0]), (8,))
    assert {n for n in range(1, 21) if tally.settled(n)} == wanted


def test_pieces_are_bounded() -> None:
    tally = Tally.of(replace(STATE, total=3))
    for number in (1, 2, 3):
        tally.settle(number, Written(b"a" * MAX_PART_BYTES + b"\n"))
    output, errors = tally.take(())
    assert [len(data) for data in output.data] == [MAX_PART_BYTES, MAX_PART_BYTES, MAX_PART_BYTES, 3]
    assert (errors.data, tally.held_bytes, tally.state.output_parts) == ((), 0, 4)


def test_a_batch_that_is_over_names_the_files_that_hold_something() -> None:
    state = replace(STATE, output_file_id="a", error_file_id="b", output_parts=1, settled=b"\1", positions=(3,))
    over = ended(state, BatchStatus.COMPLETED, AT)
    assert (over.output_file_id, over.error_file_id, over.settled, over.positions) == ("a", None, b"", ())
