"""The dispatcher's state machine: `decide(state, event, now) -> Decision`. All that affects it lives in this folder.

Strategy
1. A request is known by (tenant, request_id). The first body wins; the same again changes nothing, another is a conflict.
2. One request has one order outstanding. It walks

       NEW ─► CACHED* | REJECTED* | ORDERED ─► DONE* | FAILED* | PARKED ─► ORDERED …

   and `*` emits its one final response. At its deadline an open request is answered `expired`, whatever it waits for.
3. The first success answers, whichever attempt it belongs to. Later and duplicate results only produce cost events (`wasted`).
4. The ledger does not look at the request: every STARTED call leaves exactly one cost event, when it is reported, or when it
   is lost. A report of a call that is no longer open was charged before and charges nothing.
   What a provider bills otherwise is posted as the difference, once a call and sequence number.
5. After a failure the next candidate is ordered at once, and each is tried once before the request parks. It parks for what the
   provider asked (Retry-After), else for an exponential time with full jitter.
6. A deployment whose calls fail several times in a row is down: no more orders to it but one probe at a time, less and less
   often. Requests that only it could answer park without spending attempts, and are released when it answers again.
7. Only calls that may have reached a provider count against the cap on attempts. The last one is saved: while everything is
   down it is not spent before half of the remaining time has passed.

Nothing here reads a clock, draws a random number, or awaits: the same state and event at the same `now` give the same decision.
"""
