"""Promise of the checker: with a list of what was put in, dead letters are exactly these, each with its reason."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import SettingsError
from streams import topics
from streams.verify.verdict import ProblemKind
from tests.fakes.hand_made_log import HandMadeLog, clean_log
from tests.unit.verify.checking import check, kinds

BOTH = (
    {"topic": topics.REQUESTS, "partition": 0, "offset": 6, "reason": "bad_magic"},
    {"topic": topics.REQUESTS, "partition": 0, "offset": 7},
)


def listed(tmp_path: Path, *lines: dict[str, Any]) -> Path:
    path = tmp_path / "injected.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def log_with_keys() -> HandMadeLog:
    log = clean_log()
    for letter in log.of(topics.DEAD_LETTERS):
        log.swap(letter, replace(letter, key=b"bad"))
    return log


def by_key(reason: str | None = None) -> dict[str, Any]:
    return {"topic": topics.REQUESTS, "key": "bad", "reason": reason}


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        pytest.param(BOTH, set(), id="both-by-offset"),
        pytest.param(BOTH[:1], {ProblemKind.UNEXPECTED_DEAD_LETTER}, id="one-was-not-put-in"),
        pytest.param((*BOTH, BOTH[0] | {"offset": 0}), {ProblemKind.MISSING_DEAD_LETTER}, id="one-has-no-letter"),
        pytest.param((BOTH[0] | {"reason": "truncated"}, BOTH[1]), {ProblemKind.OTHER_REASON}, id="another-reason"),
        pytest.param((by_key(), by_key("bad_magic")), set(), id="both-by-key"),
        pytest.param((by_key(),), {ProblemKind.UNEXPECTED_DEAD_LETTER}, id="one-more-under-the-key"),
        pytest.param((by_key(), by_key(), by_key()), {ProblemKind.MISSING_DEAD_LETTER}, id="one-too-few-under-the-key"),
        pytest.param((by_key(), by_key("truncated")), {ProblemKind.OTHER_REASON}, id="another-reason-under-the-key"),
        pytest.param(
            (by_key(), by_key(), by_key() | {"key": "other"}), {ProblemKind.MISSING_DEAD_LETTER}, id="none-under-another-key"
        ),
        pytest.param((), {ProblemKind.UNEXPECTED_DEAD_LETTER}, id="nothing-was-put-in"),
    ],
)
def test_dead_letters_are_the_injected_ones(lines: tuple[dict[str, Any], ...], wanted: set[ProblemKind], tmp_path: Path) -> None:
    tally = check(log_with_keys(), tmp_path, injected=listed(tmp_path, *lines))
    assert kinds(tally) == wanted
    assert all(problem.key and len(problem.message) > 20 for problem in tally.first(10))


def test_without_a_list_nothing_is_expected(tmp_path: Path) -> None:
    assert kinds(check(log_with_keys(), tmp_path)) == set()


def test_a_list_that_names_no_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"line 2 names no injected record"):
        check(log_with_keys(), tmp_path, injected=listed(tmp_path, BOTH[0], {"topic": "ai.requests"}))
