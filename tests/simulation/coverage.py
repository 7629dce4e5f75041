"""How often each kind of thing must happen in 10,000 seeds: a simulation that explores nothing must fail."""

from tests.simulation.campaign import Tally

FLOORS = {
    "COMPLETED reported, acknowledgement lost": 150,
    "FAILED reported, acknowledgement lost": 600,
    "STARTED reported, acknowledgement lost": 1_000,
    "K1: intake crashes, not yet routed": 500,
    "K1: intake crashes, routed but not acknowledged": 500,
    "K2: dispatcher crashes, folded, not committed": 400,
    "K3: reply to a commit lost, it stands": 200,
    "K3: reply to a commit lost, it does not stand": 200,
    "K4: dispatcher crashes, committed": 180,
    "K5: worker crashes, order taken, STARTED not written": 350,
    "K6: worker crashes, STARTED written, nothing sent": 220,
    "K7: worker crashes, sent, no answer read": 150,
    "K8: worker crashes in mid-stream": 12,
    "K9: worker crashes, answered, not reported": 45,
    "K10: worker crashes, reported, order not acknowledged": 60,
    "call reported after it counted as lost": 600,
    "call reported by a worker that stops": 180,
    "call started": 15_000,
    "call: overloaded": 2_500,
    "call: unreachable": 1_200,
    "call: rate limited, Retry-After 2": 200,
    "call: rate limited, Retry-After 1e9": 200,
    "call: rate limited, Retry-After -1": 200,
    "call: success": 6_000,
    "call: success without usage": 180,
    "call: timed out, billed": 200,
    "call: timed out, not billed": 200,
    "call: stream cut short": 200,
    "call: malformed reply": 200,
    "call: server error, unknown if billed": 200,
    "call: rejected": 800,
    "call: unauthorized": 200,
    "clock jumps ahead": 1_200,
    "clock jumps back": 1_200,
    "commit fenced": 4_000,
    "zombie goes on folding": 1_000,
    "partition taken from a member that lives on": 4_000,
    "rebalance, the partition moves": 1_800,
    "rebalance, the partition stays": 1_800,
    "transaction left open": 400,
    "transaction timed out": 15,
    "restored from zero": 12_000,
    "restored from a kept state and the rest": 1_800,
    "restored from a compacted changelog": 4_000,
    "cost event: estimated": 2_000,
    "cost event: wasted": 2_500,
    "cost event: price unknown": 3_000,
    "final from the cache": 1_400,
    "final: ok": 7_000,
    "final: error": 4_000,
    "final: expired": 4_500,
    "notice: conflict": 3_000,
    "notice: duplicate": 2_000,
    "order": 15_000,
    "order came too late": 1_500,
    "order delivered again": 1_600,
    "orders move, calls under way": 450,
    "outage of one": 1_200,
    "outage of all": 600,
    "poisoned record": 1_200,
    "replayed": 1_200,
    "timers waited for the log": 600,
    "transaction committed": 30_000,
}


def missing(tally: Tally) -> list[str]:
    """What happened too seldom, for a tally of any size."""
    share = tally.seeds / 10_000
    return [
        f"{name}: happened {tally.count[name]} times, {least * share:.0f} at least were expected"
        for name, least in FLOORS.items()
        if tally.count[name] < least * share
    ]
