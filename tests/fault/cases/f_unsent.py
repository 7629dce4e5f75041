"""F15: no connection. Nothing was sent, so that calling again is safe and nothing is charged."""

from collections import Counter

from schemas.calls import Billing, CallReported, FailureKind
from schemas.ledger import PricingStatus
from tests.fault.case import ANTHROPIC, OPENAI, Case, Observed
from tests.fault.cases._addresses import BAD_CERTIFICATE, NO_NAME, NO_TLS, REFUSED, unreachable
from tests.fault.cases._asking import Asking, not_answered, not_in_time
from tests.fault.cases._parts import all_children, restart
from tests.fault.rig import Rig

ROLE = "calls:anthropic"
DEADLINE_S, AT_LEAST = 3.0, 3
SAID = {REFUSED: "ClientConnectorError", NO_NAME: "DNS", NO_TLS: "SSL", BAD_CERTIFICATE: "Certificate"}
"""What the failure's message names, of aiohttp's errors."""
CUT_OFF = "not within"


async def unsent(rig: Rig) -> Observed:
    """Anthropic's worker is given addresses where it cannot send anything, one after the other, and then its own again."""
    (worker,) = [child for child in all_children(rig) if child.name.rpartition("-")[0] == ROLE]
    own = worker.part
    made: dict[str, set[str]] = {}
    async with (
        unreachable(str(rig.stack.settings.simulator_url)) as addresses,
        rig.load(100_000, per_s=8, make=Asking(providers=(ANTHROPIC, OPENAI))) as free,
        rig.load(100_000, per_s=3, make=Asking(ANTHROPIC)) as patient,
        rig.load(100_000, per_s=3, make=Asking(ANTHROPIC, deadline_s=DEADLINE_S)) as hasty,
    ):
        await rig.flowing(40)
        try:
            for kind, url in addresses.items():
                await restart(worker, {"PENSTOCK_SIMULATOR_URL": url, "NO_PROXY": "*"})
                before = set(rig.seen.ended)
                await rig.seen.until(lambda before=before: len(_unreachable(rig, before)) >= AT_LEAST, 20)  # type: ignore[misc]
                made[kind] = _unreachable(rig, before)
            for load in (free, patient, hasty):
                load.stop()
        finally:
            await worker.stop(grace_s=30.0)
            worker.part = own
            await worker.start()
    observed = await rig.conclude(duplicates_at_most=0, deaths=0)
    every = _unreachable(rig, set())
    return observed.also(
        *not_answered(rig, free, "requests that may go elsewhere"),
        *not_answered(rig, patient, "requests that can wait"),
        *not_in_time(rig, hasty, DEADLINE_S, "a hasty request"),
        *(_misnamed(rig, kind, made[kind]) for kind in SAID),
        *_charged(rig, every),
        *_arrived(rig, every),
        notes=(f"{len(every)} calls not sent: {', '.join(f'{len(ids)} {kind}' for kind, ids in made.items())}",),
    )


def _unreachable(rig: Rig, before: set[str]) -> set[str]:
    return {
        call_id
        for call_id, report in rig.seen.ended.items()
        if call_id not in before and report.provider == ANTHROPIC and _kind(report) is FailureKind.UNREACHABLE
    }


def _kind(report: CallReported) -> FailureKind | None:
    return None if report.failure is None else report.failure.kind


def _misnamed(rig: Rig, kind: str, call_ids: set[str]) -> str:
    """Each failure says what it was, or that the deadline came first, and that nothing can be billed."""
    failures = [failure for c in call_ids if (failure := rig.seen.ended[c].failure) is not None]
    wrong = [f for f in failures if not any(s in f.message for s in (SAID[kind], CUT_OFF)) or f.billing is not Billing.NOT_BILLED]
    if len(failures) < AT_LEAST:
        return f"{kind}: {len(failures)} calls were reported as not sent, {AT_LEAST} were expected"
    return f"{kind} is reported as {wrong[0]}" if wrong else ""


def _charged(rig: Rig, call_ids: set[str]) -> list[str]:
    """One ledger line a call, and nothing in it."""
    events = [e for events in rig.seen.costs.values() for e in events if e.call_id in call_ids]
    lines = Counter(e.call_id for e in events)
    wrong = [
        e
        for e in events
        if (e.cost_nanousd, e.pricing_status, e.estimated, e.usage) != (0, PricingStatus.NOT_BILLED, False, None)
    ]
    missing = [c for c in call_ids if lines[c] != 1]
    return [
        f"{len(missing)} calls that were not sent have not one ledger line" if missing else "",
        f"a call that was not sent is charged: {wrong[0]}" if wrong else "",
    ]


def _arrived(rig: Rig, call_ids: set[str]) -> list[str]:
    calls = rig.provider_calls()
    arrived = [c.call_id for c in calls if c.call_id in call_ids]
    again = [r for r, count in Counter(c.request_id for c in calls).items() if count > 1]
    return [
        f"{len(arrived)} calls reported as not sent have arrived" if arrived else "",
        f"{len(again)} requests arrived more than once, {again[0]} for one" if again else "",
    ]


CASES = [Case("F15", "connection refused, DNS failure, TLS errors", unsent)]
