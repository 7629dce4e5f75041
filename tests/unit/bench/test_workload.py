"""The workload repeats itself as much as it says, and every run draws the same one."""

from collections import Counter

from bench.choices_stages.workload import TENANTS, questions


def test_the_share_of_repeats_is_what_was_asked():
    drawn = questions(3_000, repeat_share=0.7)
    assert 0.69 < 1 - len(set(drawn)) / len(drawn) < 0.71


def test_without_repeats_every_request_is_new():
    drawn = questions(500, repeat_share=0.0)
    assert len(set(drawn)) == len(drawn)


def test_a_few_questions_are_asked_often_and_most_once():
    times = Counter(Counter(questions(3_000, repeat_share=0.7)).values())
    assert times[1] > sum(times.values()) / 3
    assert max(times) > 50


def test_every_tenant_asks_and_every_run_asks_the_same():
    drawn = questions(3_000, repeat_share=0.7)
    assert {tenant for tenant, _ in drawn} == {f"tenant-{n}" for n in range(TENANTS)}
    assert drawn == questions(3_000, repeat_share=0.7)
