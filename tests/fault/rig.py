"""The rig: what a case does to a running stack, and what it asks of it.

A case is a function `async def run(rig: Rig) -> Observed` and a row in a list CASES of a file in `tests/fault/cases/`:

    async def paused(rig: Rig) -> Observed:
        async with rig.load(300, per_s=60) as load:             # publishes in the background
            await rig.flowing(20)                               # the first 20 finals are there: the fault hits a running stack
            await rig.fleet.send("dispatch", signal.SIGSTOP, index=0)
            await asyncio.sleep(20)
            await rig.fleet.send("dispatch", signal.SIGCONT, index=0)
            back = time.time()
        starts = rig.log_count("dispatch", "lane_restored")     # log lines of this repeat, all processes of the role
        seen = await rig.conclude(recovery_s=await rig.recovered(back), recovery_limit_s=11, duplicates_at_most=0)
        return seen.also(f"{starts} producer starts" if starts > 2 else "", notes=(f"{starts} producer starts",))

    CASES = [Case("F3", "SIGSTOP of a dispatcher", paused, tags=frozenset({"slow"}), stack=StackSpec())]

`also` takes problems: any string that is not empty makes the repeat unclean, and so does an exception, TimeoutError included.

Load       `rig.load(count, per_s=, make=, patience_s=)`; `load.acknowledged`, `.given_up`, `.sent_at`, `.refusals`, `.stop()`,
           `.stop_after(n)`: with a large `count`, a load that lasts as long as the case needs.
           `make(name, n)` makes the nth request; `load.mixed` is the default. A prompt may say `[[sim out=40 fault=http_503]]`.
           `await rig.publish_raw(topic, value, key=)` publishes any bytes, outside of every count.
Kills      `acted = await rig.kill_at("K9:20")` arms a point and waits until it acted: `acted.pid`, `.at`, `.about`.
           `rig.kills.arm(text)`, `.acted(point, within_s)`, `.disarm()` one by one; several points: "K1:5,K9:20:stop".
Processes  `rig.fleet.send(role, number, index=0 | None)`: None means all of the role. SIGKILL and SIGSTOP are awaited.
           `ended = await rig.fleet.end(role, SIGTERM, index=)`: exit code and seconds. The stack starts what died again.
           `await rig.fleet.kill_everything(("kafka", "valkey"))`: workers and the services named, at once.
           `await rig.fleet.until_running()`; `rig.fleet.pid(role, i)`, `.names()`, `.exits` (deaths nobody asked for).
           `rig.stack` is the Stack: `halt(name)`, `resume(name)` keep something down, `restart_broker(number=, down_s=)`.
Cache      a service as others: `rig.fleet.send("valkey", SIGSTOP)`, `rig.stack.halt("valkey")`, `await rig.flush_cache()`.
Provider   `await rig.profile("openai", {...})` sets a simulator profile (see `streams/simulator/profile_text.py`), `rig.calm()`
           puts all back; `await rig.provider_stats()`; `rig.provider_calls()` reads the call log, the billing truth.
Reading    `rig.seen`: `finals`, `notices`, `started`, `ended`, `costs`, `chunks`, `dead_letters` of this repeat, as committed
           readers see them; `await rig.seen.until(condition, within_s)`. `rig.log_count(role, text)`, `rig.log_text(role)`.
           `rig.sampler`: `samples`, `peak(name)`, `of(name)`, `most_in_flight`.
Recovery   `await rig.recovered(since)`: seconds until the first final read after `since` (a Unix time).
           `await rig.caught_up(since)`: until the last request sent before `since` had its final: stricter.
           `rig.held_by(pid, at)`: the calls a worker may repeat when it dies, for `duplicates_at_most`; `rig.in_flight()`.
End        `await rig.drained()` waits for finals and cost events; `await rig.conclude(...)` does so, has the separate checker
           judge the whole log, and checks what holds in every case. Before the next repeat the runner resumes what was halted,
           calms the providers, disarms, and waits until everything runs.
"""

from pathlib import Path
from typing import Any

import aiohttp
import redis.asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from streams.embedded.stack import Stack
from streams.simulator import call_log
from streams.verify.verdict import Verdict
from tests.fault import checker, judging
from tests.fault.case import Observed
from tests.fault.fleet import Fleet
from tests.fault.judging import Ledger
from tests.fault.kills import Acted, Kills
from tests.fault.load import Load, Make, mixed
from tests.fault.offsets import Offsets, groups_of
from tests.fault.sampling import Sampler
from tests.fault.seen import Final, Seen

_COMMIT_LAG_S = 1.0
"""A call that ended this long before its worker died has surely been committed: a worker commits five times a second."""


class Rig:
    """One repeat of one case."""

    def __init__(self, fleet: Fleet, seen: Seen, kills: Kills, ledger: Ledger) -> None:
        self.fleet, self.seen, self.kills = fleet, seen, kills
        self.sampler = Sampler(fleet, self.in_flight)
        self.offsets = Offsets(fleet.stack.settings, groups_of(fleet.stack.settings, fleet.spec.roles))
        self.loads: list[Load] = []
        self._ledger = ledger
        self._log_begins = fleet.log_sizes()

    @property
    def stack(self) -> Stack:
        return self.fleet.stack

    # -- doing

    def load(self, count: int, *, per_s: float, make: Make = mixed, patience_s: float = 60.0) -> Load:
        """A load to run: `async with rig.load(300, per_s=60) as load`. Several may run at once."""
        load = Load(
            self.stack.bootstrap_servers,
            self._ledger.acknowledged_log,
            count=count,
            per_s=per_s,
            make=make,
            patience_s=patience_s,
        )
        self.loads.append(load)
        return load

    async def flowing(self, finals: int = 20, *, within_s: float = 30.0) -> None:
        """Return when so many finals of this repeat have been read. Raises TimeoutError."""
        if not await self.seen.until(lambda: len(self.seen.finals) >= finals, within_s):
            raise TimeoutError(f"{len(self.seen.finals)} finals within {within_s:g} s, {finals} were expected")

    async def kill_at(self, text: str, *, within_s: float = 30.0) -> Acted:
        """Arm one kill point, `<point>:<nth>[:action]`, and return when it has acted. Raises TimeoutError."""
        await self.kills.arm(text)
        return await self.kills.acted(text.partition(":")[0], within_s)

    async def publish_raw(self, topic: str, value: bytes | None, *, key: str = "raw") -> RecordMetadata:
        """Where the broker put the record. Raises KafkaError."""
        producer = AIOKafkaProducer(bootstrap_servers=self.stack.bootstrap_servers, max_request_size=50_000_000)
        await producer.start()
        try:
            return await producer.send_and_wait(topic, value, key=key.encode())
        finally:
            await producer.stop()

    async def profile(self, provider: str, profile: dict[str, Any]) -> None:
        """Set the simulator's profile of a provider, or `default`; its calls and seconds count from here."""
        await self._admin("PUT", f"profiles/{provider}", profile)

    async def calm(self) -> None:
        """The spec's own profiles again, for all providers."""
        own = self.fleet.spec.profiles
        named = own.get("providers", {})
        current = await self._admin("GET", "profiles")
        for provider in current["providers"].keys() - named.keys():
            await self._admin("DELETE", f"profiles/{provider}")
        for provider, profile in {"default": own.get("default", {}), **named}.items():
            await self.profile(provider, profile)

    async def provider_stats(self) -> dict[str, dict[str, Any]]:
        """The simulator's counters by provider."""
        stats: dict[str, dict[str, Any]] = await self._admin("GET", "stats")
        return stats

    async def flush_cache(self) -> None:
        """Empty Valkey."""
        client = redis.asyncio.Redis.from_url(str(self.stack.settings.redis_url))
        try:
            await client.flushall()
        finally:
            await client.aclose()

    # -- asking

    def provider_calls(self) -> list[call_log.Call]:
        """The calls of this repeat's requests in the simulator's log; all calls that carry another id are left out."""
        path = self.stack.simulator_log
        ours = self.request_ids()
        return [] if path is None or not path.exists() else [c for c in call_log.read(path) if c.request_id in ours]

    def verdict(self) -> Verdict:
        """The separate checker's, once `conclude` has asked for it: on everything since the stack began."""
        if self._ledger.before is None:
            raise RuntimeError("there is no verdict before `conclude`")
        return self._ledger.before

    def request_ids(self) -> set[str]:
        """The requests that were sent in this repeat, acknowledged or not."""
        return {request_id for load in self.loads for request_id in load.sent_at}

    def acknowledged(self) -> dict[str, float]:
        """The acknowledged requests of this repeat, and when they were."""
        return {request_id: at for load in self.loads for request_id, at in load.acknowledged.items()}

    def in_flight(self) -> int:
        """Calls that are started and not reported, as the log has it now."""
        return len(self.seen.started.keys() - self.seen.ended.keys() - self.seen.charged)

    def held_by(self, pid: int, at: float) -> set[str]:
        """The calls that a worker process had in flight at `at`: started, and not reported long enough before to be committed."""
        ours = {call_id for call_id, report in self.seen.started.items() if report.worker.endswith(f"-{pid}")}
        return {c for c in ours if c not in self.seen.ended or self.seen.ended[c].reported_at.timestamp() > at - _COMMIT_LAG_S}

    def log_text(self, role: str) -> str:
        """What all processes of a role or service have logged in this repeat."""
        texts = []
        for name, begin in self._log_begins.items():
            if name == role or name.rpartition("-")[0] == role:
                with self.fleet.log(name).open("rb") as log:
                    log.seek(begin)
                    texts.append(log.read().decode(errors="replace"))
        return "".join(texts)

    def log_count(self, role: str, text: str) -> int:
        """How many lines with `text` the role has logged in this repeat: `lane_restored` counts producer starts."""
        return sum(text in line for line in self.log_text(role).splitlines())

    async def recovered(self, since: float, *, within_s: float = 60.0) -> float:
        """Seconds from `since` until the first final was read that came after it. Raises TimeoutError."""

        def after() -> list[float]:
            return [f.read_at for finals in self.seen.finals.values() for f in finals[:1] if f.read_at > since]

        if not await self.seen.until(lambda: bool(after()), within_s):
            raise TimeoutError(f"no final within {within_s:g} s after the fault")
        return min(after()) - since

    async def caught_up(self, since: float, *, within_s: float = 60.0) -> float:
        """Seconds from `since` until all requests that were sent before it, and acknowledged, had their finals.

        Raises TimeoutError.
        """
        sent_at = {request_id: at for load in self.loads for request_id, at in load.sent_at.items()}
        waiting = [request_id for request_id in self.acknowledged() if sent_at[request_id] <= since]
        if not await self.seen.until(lambda: all(r in self.seen.finals for r in waiting), within_s):
            missing = sum(r not in self.seen.finals for r in waiting)
            raise TimeoutError(f"{missing} of {len(waiting)} requests from before the fault have no final after {within_s:g} s")
        return max((self.first_final(r).read_at - since for r in waiting), default=0.0)

    def first_final(self, request_id: str) -> Final:
        return self.seen.finals[request_id][0]

    async def drained(self, *, within_s: float = 60.0) -> bool:
        """Whether, in time, every acknowledged request got its final, every started call its cost event, and all is committed."""

        def done() -> bool:
            seen = self.seen
            answered = all(r in seen.finals for r in self.acknowledged())
            return answered and seen.started.keys() <= seen.charged and self.offsets.reached_end(seen)

        return await self.seen.until(done, within_s)

    # -- judging

    async def conclude(
        self,
        *,
        recovery_s: float | None = None,
        recovery_limit_s: float | None = None,
        duplicates_at_most: int | None = None,
        dead_letters: int = 0,
        other_finals: int = 0,
        deaths: int | None = None,
        within_s: float = 60.0,
        check_wait_s: float = 20.0,
    ) -> Observed:
        """Wait for the end, have the log judged, and say what holds in every case and does not hold here.

        I1-I4 and the attempts by the separate checker; I5 again, and that an estimate covers what was billed, by the simulator's
        log; I6 by samples of the committed offsets; I7 as the number of new `dead_letters`; I8 by samples of the workers;
        I9 as `recovery_s` up to its limit; I10 as `duplicates_at_most`. `other_finals` are those of requests that `publish_raw`
        sent, `deaths` how many processes may have ended unasked.
        """
        drained = await self.drained(within_s=within_s)
        verdict = await checker.verify(
            self.stack.settings,
            call_log=self.stack.simulator_log or Path("none"),
            acknowledged_log=self._ledger.acknowledged_log,
            checkpoint=self._ledger.checkpoint,
            wait_s=check_wait_s,
        )
        grown = self._ledger.grown(verdict, "duplicate_calls", "estimated", "dead_letters", "final")
        self._ledger.before = verdict
        acknowledged, given_up = self.acknowledged(), sum(len(load.given_up) for load in self.loads)
        calls, letters = self.provider_calls(), grown["dead_letters"]
        problems = (
            "" if drained else f"not drained within {within_s:g} s",
            "" if verdict.ok else verdict.line(),
            *(str(problem) for problem in verdict.problems),
            *judging.finals(self.seen, acknowledged),
            judging.counted(grown["final"] - other_finals, sent=len(self.request_ids()), given_up=given_up),
            *judging.attempts(self.seen, calls, self.stack.settings.max_attempts),
            *judging.estimates(self.seen, calls),
            *self.offsets.problems(self.seen),
            "" if letters == dead_letters else f"{letters} new dead letters, {dead_letters} were expected",
            *self.sampler.problems(),
            judging.deaths((event for _, event in self.fleet.exits), deaths),
            judging.above("recovery took, in seconds,", recovery_s, recovery_limit_s),
            judging.above("duplicate calls:", grown["duplicate_calls"], duplicates_at_most),
        )
        return Observed(
            requests=len(acknowledged),
            duplicate_calls=grown["duplicate_calls"],
            estimated=grown["estimated"],
            recovery_s=recovery_s,
            notes=(f"{given_up} not acknowledged",) if given_up else (),
            problems=tuple(filter(None, problems)),
        )

    async def _admin(self, method: str, path: str, body: Any = None) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.stack.settings.simulator_url}/_sim/{path}", json=body) as reply,
        ):
            said = await reply.json()
            if reply.status != 200:
                raise RuntimeError(f"the simulator refuses {method} {path}: {said}")
            return said
