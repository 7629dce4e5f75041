"""F27: half an hour at half of what the machine carries, and nothing grows."""

import os
import statistics
import time

from tests.fault.case import Case, Observed, StackSpec
from tests.fault.rig import Rig
from tests.fault.sampling import Sample

MINUTES_VARIABLE, MINUTES = "FAULT_SOAK_MINUTES", 30.0
RATE_VARIABLE, PER_S = "FAULT_SOAK_PER_S", 200.0
WARM_UP_SHARE, WARM_UP_MOST_S = 0.3, 300.0
SAMPLES = "samples.txt"
RSS_MB_A_MINUTE, MORE_FDS, MOST_IN_FLIGHT_S = 1.0, 30, 2.0


async def soak(rig: Rig) -> Observed:
    """The slope of memory of every process after its warm-up, its files, and the calls in flight."""
    minutes, per_s = float(os.environ.get(MINUTES_VARIABLE, MINUTES)), float(os.environ.get(RATE_VARIABLE, PER_S))
    begun = time.time()
    async with rig.load(int(minutes * 60 * per_s), per_s=per_s):
        pass
    ended = time.time()
    in_flight = rig.sampler.most_in_flight
    warm = begun + min(WARM_UP_MOST_S, WARM_UP_SHARE * (ended - begun))
    workers = [name for name in rig.fleet.names() if name.rpartition("-")[0] in rig.fleet.spec.roles]
    slopes = {name: slope_mb_a_minute([s for s in rig.sampler.of(name) if warm <= s.at <= ended]) for name in workers}
    grown = {name: _more_fds([s for s in rig.sampler.of(name) if warm <= s.at <= ended]) for name in workers}
    samples = (f"{s.at:.1f} {s.name} {s.rss_mb:.1f} {s.fds}" for s in rig.sampler.samples if s.name in workers)
    # The check takes long, and may fail: what was sampled must not go with it.
    (rig.stack.settings.data_dir.parent / SAMPLES).write_text("\n".join(samples), encoding="utf-8")
    steepest = max(slopes, key=lambda name: slopes[name])
    observed = await rig.conclude(duplicates_at_most=0, deaths=0, within_s=120, check_wait_s=60)
    return observed.also(
        *(f"{n} grows by {mb:.2f} MB a minute" for n, mb in slopes.items() if mb > RSS_MB_A_MINUTE),
        *(f"{n} holds {fds} files more than at first" for n, fds in grown.items() if fds > MORE_FDS),
        f"{in_flight} calls were in flight" if in_flight > MOST_IN_FLIGHT_S * per_s else "",
        notes=(
            f"{minutes:g} minutes at {per_s:g} a second",
            f"{steepest} grows by {slopes[steepest]:.2f} MB a minute, the others less",
            f"{in_flight} calls in flight at most",
        ),
    )


def slope_mb_a_minute(samples: list[Sample]) -> float:
    """The slope of a line through the medians of the first and the last third: an outlier of a moment does not count."""
    third = max(1, len(samples) // 3)
    first, last = samples[:third], samples[-third:]
    minutes = (statistics.median(s.at for s in last) - statistics.median(s.at for s in first)) / 60
    return (statistics.median(s.rss_mb for s in last) - statistics.median(s.rss_mb for s in first)) / minutes


def _more_fds(samples: list[Sample]) -> int:
    third = max(1, len(samples) // 3)
    return max(s.fds for s in samples[-third:]) - max(s.fds for s in samples[:third])


CASES = [
    Case(
        "F27",
        f"soak at half load ({MINUTES_VARIABLE} minutes, {MINUTES:g} by default)",
        soak,
        tags=frozenset({"long"}),
        stack=StackSpec(settings={"dedupe_horizon_s": 60.0}),
    )
]
