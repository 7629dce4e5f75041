"""Schedules that have failed on the product, shrunk, with what they showed. The tests play them again.

They are kept as data: a seed means another schedule as soon as the generator changes.
"""

from datetime import timedelta

from processors.dispatch.policy import DispatchPolicy
from tests.simulation.schedule import Plan, Schedule, Step


def _steps(*steps: tuple[str, int, int]) -> tuple[Step, ...]:
    return tuple(Step(*step) for step in steps)


KNOWN: dict[str, Schedule] = {
    # STARTED, published again because its acknowledgement was lost, reopened a call that was charged as lost: charged twice.
    "started_again": Schedule(
        seed=31,
        partitions=1,
        policy=DispatchPolicy(
            max_attempts=2, retry_indeterminate=False, circuit_failures=1, dedupe_horizon=timedelta(seconds=900)
        ),
        avro=False,
        dead_end=False,
        requests=(
            Plan(
                request_id="r0",
                tenant="acme",
                lane="acme",
                deadline_s=15,
                candidates=(0, 1, 2),
                cached=False,
                rejected=False,
                stubborn=False,
            ),
        ),
        steps=_steps(
            ("publish", 18176, 43138),
            ("cycle", 11899, 27379),
            ("take", 31619, 10093),
            ("work", 19473, 52965),
            ("long_wait", 24882, 17857),
        ),
    ),
    # A request finished and forgotten in one transaction left a tombstone that a restore did not take for its end.
    "tombstone": Schedule(
        seed=1141,
        partitions=1,
        policy=DispatchPolicy(
            max_attempts=2, retry_indeterminate=True, circuit_failures=1, dedupe_horizon=timedelta(seconds=900)
        ),
        avro=False,
        dead_end=False,
        requests=(
            Plan(
                request_id="r0",
                tenant="acme",
                lane="acme",
                deadline_s=3,
                candidates=(0,),
                cached=False,
                rejected=False,
                stubborn=False,
            ),
        ),
        steps=_steps(
            ("publish", 64412, 43365),
            ("fold", 49183, 58763),
            ("commit", 9474, 24272),
            ("long_wait", 19229, 34024),
            ("fold", 16663, 45912),
            ("long_wait", 3744, 25435),
        ),
    ),
    # A lost call moved its request on to a new order after the deadline.
    "order_after_deadline": Schedule(
        seed=24908,
        partitions=1,
        policy=DispatchPolicy(
            max_attempts=4, retry_indeterminate=True, circuit_failures=2, dedupe_horizon=timedelta(seconds=86400)
        ),
        avro=False,
        dead_end=False,
        requests=(
            Plan(
                request_id="r0",
                tenant="acme",
                lane="acme",
                deadline_s=240,
                candidates=(0, 2, 1),
                cached=False,
                rejected=False,
                stubborn=False,
            ),
        ),
        steps=_steps(
            ("publish", 55349, 4099),
            ("cycle", 60779, 38883),
            ("take", 43887, 38992),
            ("work", 51012, 24835),
            ("worker_crash", 22954, 34471),
            ("take", 58019, 29550),
            ("work", 54745, 1550),
            ("work", 32983, 1288),
            ("work", 5044, 56431),
            ("fold", 42714, 6080),
            ("long_wait", 50447, 11963),
        ),
    ),
    # A failure read after the deadline answered `expired`; a success in time stood behind it in the log.
    "expired_before_success": Schedule(
        seed=5601,
        partitions=1,
        policy=DispatchPolicy(
            max_attempts=2, retry_indeterminate=True, circuit_failures=1, dedupe_horizon=timedelta(seconds=900)
        ),
        avro=False,
        dead_end=False,
        requests=(
            Plan(
                request_id="r0",
                tenant="bulk",
                lane="bulk#1",
                deadline_s=3,
                candidates=(0, 1),
                cached=False,
                rejected=False,
                stubborn=False,
            ),
        ),
        steps=_steps(
            ("publish", 31589, 44053),
            ("cycle", 8787, 63308),
            ("take", 6650, 3132),
            ("work", 25867, 24576),
            ("work", 55298, 55837),
            ("work", 47707, 30345),
            ("worker_move", 3474, 65180),
            ("take", 52498, 20555),
            ("work", 14505, 16165),
            ("work", 60404, 32353),
            ("work", 923, 19176),
            ("work", 17587, 31072),
        ),
    ),
    # Who came and was promoted in one transaction stands in it before the end of who led: a restore took nobody for leader.
    "leader_lost_at_restore": Schedule(
        seed=180,
        partitions=2,
        policy=DispatchPolicy(
            max_attempts=4, retry_indeterminate=True, circuit_failures=1, dedupe_horizon=timedelta(seconds=86400)
        ),
        avro=False,
        dead_end=False,
        requests=(
            Plan("r0", "acme", "acme", deadline_s=3, candidates=(0, 1, 3, 4), stubborn=True, flight=0, long=True),
            Plan("r0", "bulk", "bulk#0", deadline_s=3, candidates=(2, 1, 0, 3), flight=1, long=True),
            Plan("r1", "acme", "acme", deadline_s=60, candidates=(0, 1, 3, 4), stubborn=True, flight=0, long=True),
        ),
        steps=_steps(
            ("publish", 15052, 34615),
            ("publish", 29055, 37242),
            ("cycle", 45504, 61363),
            ("publish", 64163, 54574),
            ("wait", 26141, 9607),
            ("conflict", 52554, 4193),
            ("fold", 37094, 52769),
            ("move", 50144, 56866),
        ),
    ),
}
