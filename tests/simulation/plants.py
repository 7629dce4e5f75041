"""Planted bugs: each a small change of the shells or of `decide`, which the oracle must catch. The product is not edited."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from streams.dispatcher import cycle as cycle_module
from tests.simulation import plants_decide as on_decide
from tests.simulation import plants_shared as shared
from tests.simulation import plants_shell as shell
from tests.simulation.intake import Intake
from tests.simulation.lane import Lane
from tests.simulation.plants_decide import Decide, changing
from tests.simulation.plants_shell import with_cycle, with_lane
from tests.simulation.play import Parts
from tests.simulation.worker import Workers


@dataclass(frozen=True, slots=True)
class Plant:
    """A bug, by name. `breaks`: the invariant that the verdict on it must name."""

    name: str
    breaks: str
    what: str
    parts: Parts = field(default_factory=Parts)
    decide: Callable[[Decide], Decide] | None = None
    swap: shared.Swap | None = None


@contextmanager
def planted(plant: Plant | None) -> Iterator[Parts]:
    """The parts of a run with the bug in them."""
    sound = cycle_module.decide
    if plant is not None and plant.decide is not None:
        cycle_module.decide = plant.decide(sound)
    module, name, faulty = (
        plant.swap if plant is not None and plant.swap is not None else (cycle_module, "decide", cycle_module.decide)
    )
    whole = getattr(module, name)
    setattr(module, name, faulty)
    try:
        yield plant.parts if plant is not None else Parts()
    finally:
        setattr(module, name, whole)
        cycle_module.decide = sound


_LIST = (
    Plant(
        "commit_past_the_gap_intake",
        "I1",
        "intake commits behind what is done, past requests in work",
        Parts(intake=type("GapIntake", (Intake,), {"book_class": shell.PassesTheGap})),
    ),
    Plant(
        "commit_past_the_gap",
        "I6",
        "workers commit behind what is done, past orders in work",
        Parts(workers=type("GapWorkers", (Workers,), {"book_class": shell.PassesTheGap})),
    ),
    Plant(
        "ack_before_produce",
        "I1",
        "intake acknowledges a request before its routed record is written",
        Parts(intake=shell.HastyIntake),
    ),
    Plant(
        "ack_before_report", "I6", "workers acknowledge an order before anything is reported", Parts(workers=shell.HastyWorkers)
    ),
    Plant("result_without_fence", "I2", "a lane that was replaced can still commit", with_lane(shell.UnfencedLane)),
    Plant("total_as_increment", "I4", "a total holds what its transaction adds", with_cycle(shell.IncrementCycle)),
    Plant("total_left_out", "I4", "a transaction that answers nobody publishes no totals", with_cycle(shell.NoTotalsOfLostCycle)),
    Plant("follower_dropped", "I1", "who sends an id again is told nothing", decide=changing(on_decide.follower_dropped)),
    Plant("request_dropped", "I1", "a request that meets four open ones is not let in", decide=changing(on_decide.first_lost)),
    Plant("estimate_forgotten", "I3", "a lost call is dropped without a charge", decide=changing(on_decide.estimate_forgotten)),
    Plant("timers_do_not_wait", "I1", "timers fire before the log is read", with_lane(shell.ImpatientLane)),
    Plant("timers_not_restored", "I1", "a restored lane has no timers", with_lane(shell.ForgetfulTimersLane)),
    Plant(
        "deadline_forgotten",
        "I1",
        "the deadline of an ordered request is not kept",
        decide=changing(on_decide.deadline_forgotten),
    ),
    Plant(
        "call_charged_twice",
        "I3",
        "a failed call stays open and is charged again as lost",
        decide=changing(on_decide.started_charged_twice),
    ),
    Plant(
        "finished_forgotten_at_once",
        "I2",
        "a finished request is not remembered",
        decide=changing(on_decide.late_success_answers),
    ),
    Plant(
        "finished_forgotten_at_restore",
        "I2",
        "a restore forgets finished requests",
        with_lane(type("AmnesicLane", (Lane,), {"changelog_class": shell.AmnesicChangelog})),
    ),
    Plant(
        "positions_not_restored", "I3", "a restored lane reads its inputs from their beginning", with_lane(shell.LostPlaceLane)
    ),
    Plant(
        "positions_outside_transaction",
        "I1",
        "positions are kept when read, whatever becomes of the transaction",
        with_lane(shell.EagerPlaceLane),
    ),
    Plant(
        "first_of_a_key",
        "I2",
        "the changelog keeps the first change of a key in a transaction",
        with_cycle(shell.FirstOfEachKeyCycle),
    ),
    Plant("conflict_overwrites", "I2", "a conflicting body replaces the first", decide=changing(on_decide.conflict_overwrites)),
    Plant("restore_reads_aborted", "I1", "a restore reads aborted transactions", with_lane(shell.DirtyReadLane)),
    Plant(
        "unsure_commit_trusted",
        "I1",
        "after a lost reply the lane goes on as if the commit stood",
        Parts(group=shell.TrustingGroup),
    ),
    Plant(
        "unsure_commit_repeated", "I2", "after a lost reply the lane writes its records again", Parts(group=shell.RepeatingGroup)
    ),
    Plant("fenced_state_kept", "state", "a fenced lane's state is used again", Parts(group=shell.HoardingGroup)),
    Plant("cap_ignored", "I5", "one call too many", decide=on_decide.cap_ignored),
    Plant(
        "unknown_is_free", "I3", "a failure that may have been billed costs nothing", decide=changing(on_decide.unknown_is_free)
    ),
    Plant("swept_too_soon", "I2", "finished requests are forgotten before the horizon", with_cycle(shell.ForgetfulCycle)),
    Plant(
        "followers_forgotten", "flight", "those who follow a request that expires wait for ever", swap=shared.FOLLOWERS_FORGOTTEN
    ),
    Plant(
        "promoted_keeps_following",
        "flight",
        "a follower that makes the calls is noted as one that waits",
        decide=changing(shared.promoted_keeps_following),
    ),
    Plant(
        "followers_of_a_cancelled",
        "flight",
        "those who follow a request that is cancelled wait for ever",
        swap=shared.FOLLOWERS_CANCELLED,
    ),
    Plant("cancelled_goes_on", "I2", "a cancelled request stays open", decide=changing(on_decide.cancelled_goes_on)),
    Plant("shared_without_cost_event", "I3", "a shared answer leaves no cost event", swap=shared.SHARED_WITHOUT_LINE),
    Plant("shared_though_cut_off", "flight", "an answer that was cut off is shared", swap=shared.SHARED_CUT_OFF),
    Plant("shared_with_all", "flight", "an answer is shared with those who ask something else", swap=shared.SHARED_WITH_ALL),
    Plant("shared_with_one", "flight", "an answer is shared with the first who waits alone", swap=shared.SHARED_WITH_ONE),
    Plant("stale_total", "I4", "two events of one decision are added to the same old total", swap=shared.STALE_TOTAL),
    Plant("hedge_past_the_cap", "I5", "a hedge is no attempt", swap=shared.HEDGE_PAST_THE_CAP),
    Plant("hedge_at_once", "hedge", "a hedge leaves with the first call", swap=shared.HEDGE_AT_ONCE),
    Plant("hedge_forgotten", "hedge", "a failure moves a request on while its hedge lives", swap=shared.HEDGE_FORGOTTEN),
    Plant("never_wasted", "I3", "a second success is not marked as wasted", swap=shared.NEVER_WASTED),
    Plant("context_unasked", "context", "a candidate for long inputs is asked for any", swap=shared.CONTEXT_UNASKED),
    Plant("context_smaller", "context", "a long input is sent to candidates that take less", swap=shared.CONTEXT_SMALLER),
    Plant("fallback_of_own_faults", "fallback", "a request's own fault is papered over", swap=shared.FALLBACK_OF_FAULTS),
    Plant("limit_is_an_attempt", "I5", "an order that our own limit held back counts as sent", swap=shared.LIMIT_IS_AN_ATTEMPT),
)
PLANTS = {plant.name: plant for plant in _LIST}
