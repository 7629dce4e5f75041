"""What the rig says of samples of committed offsets."""

import pytest
from aiokafka.structs import TopicPartition

from streams import topics
from streams.settings import Settings
from tests.fault.offsets import Committed, Offsets, groups_of
from tests.fault.seen import Seen, Work

PLACE = TopicPartition(topics.REQUESTS, 0)


@pytest.mark.parametrize(
    ("samples", "wrong"),
    [
        pytest.param([(1, 10.0), (2, 20.0)], "", id="behind what is done"),
        pytest.param([(2, 12.0)], "", id="done at the moment of the sample"),
        pytest.param([(2, 11.9)], "before the record at offset 1 was done", id="passed too early"),
        pytest.param([(3, 20.0)], "before the record at offset 2 was done", id="passed and never done"),
        pytest.param([(2, 20.0), (1, 21.0)], "went back from 2 to 1", id="gone back"),
    ],
)
async def test_committed_offsets(samples, wrong):
    seen = Seen("127.0.0.1:1", ())
    seen.waiting[PLACE] = {0: Work("t", "r0"), 1: Work("t", "r1"), 2: Work("t", "r2")}
    seen.done_at = {Work("t", "r0"): 5.0, Work("t", "r1"): 12.0}
    offsets = Offsets(Settings(_env_file=None), ["g"])
    offsets.samples = [Committed("g", PLACE, offset, at) for offset, at in samples]
    problems = list(offsets.problems(seen))
    assert len(problems) == bool(wrong)
    assert wrong in "".join(problems)


def test_the_dispatchers_offsets_carry_no_promise():
    settings = Settings(_env_file=None)
    assert groups_of(settings, ["intake", "dispatch", "calls:openai", "tables"]) == ["penstock-intake", "penstock-calls-openai"]
