"""What `--case` and `--tag` choose."""

import pytest

from tests.fault.__main__ import chosen
from tests.fault.case import LONG, Case


async def nothing(rig):
    raise AssertionError("never run")


CASES = [
    Case("K9", "", nothing),
    Case("F12-start", "", nothing),
    Case("F12-hung", "", nothing, tags=frozenset({"fast"})),
    Case("F14", "", nothing),
    Case("F14-all", "", nothing, tags=frozenset({LONG})),
]


@pytest.mark.parametrize(
    ("ids", "tag", "found"),
    [
        ("", "", ["K9", "F12-start", "F12-hung", "F14"]),
        ("F12", "", ["F12-start", "F12-hung"]),
        ("F14", "", ["F14"]),
        ("F14-all", "", ["F14-all"]),
        ("K9,F12-hung", "", ["K9", "F12-hung"]),
        ("", LONG, ["F14-all"]),
        ("F12", "fast", ["F12-hung"]),
    ],
)
def test_cases_are_chosen_by_name_and_tag_and_long_ones_by_name_alone(ids, tag, found):
    assert [case.id for case in chosen(CASES, ids, tag)] == found


def test_a_case_that_is_none_is_refused():
    with pytest.raises(ValueError, match="no case F1;"):
        chosen(CASES, "K9,F1", "")
