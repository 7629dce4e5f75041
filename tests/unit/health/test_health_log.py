"""What the log says beside the calls' health: what was put aside, by whose it is to mend."""

from dataclasses import replace
from types import SimpleNamespace

from schemas.serde import Serde
from streams import topics
from streams.agents.health_log import HealthLog
from streams.settings import Settings
from tests.fakes.hand_made_log import T0, dead_letter


def test_dead_letters_are_counted_by_topic_and_webhooks_that_were_given_up_by_reason() -> None:
    serde = Serde()
    log = HealthLog(SimpleNamespace(serde=serde, settings=Settings(_env_file=None)))
    unreadable = dead_letter(1, b"x")
    given_up = replace(unreadable, topic=topics.WEBHOOK_DELIVERIES, stage="webhooks", reason="gone")
    for letter in (unreadable, given_up, given_up):
        value = serde.encode(letter)
        log._apply(SimpleNamespace(topic=topics.DEAD_LETTERS, timestamp=int(T0.timestamp() * 1000), value=value, offset=1))
    assert {subject: tally.count for subject, tally in log.dead_letters.items()} == {topics.REQUESTS: 1}
    assert {reason: tally.count for reason, tally in log.given_up.items()} == {"gone": 2}
