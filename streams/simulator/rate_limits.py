"""The headers in which a provider tells its rate limits. The simulator tells them; to refuse is for its faults."""

from datetime import UTC, datetime

from streams.simulator.endpoints import Shape

_WINDOW_S = 60


def headers_of(shape: Shape, limit: int | None, *, call: int, now_s: float) -> tuple[tuple[str, str], ...]:
    """What the reply to the nth call says of `limit` calls a minute; nothing without a limit, or where a shape tells none.

    >>> headers_of(Shape.OPENAI, 60, call=1, now_s=0)[1:]
    (('x-ratelimit-remaining-requests', '59'), ('x-ratelimit-reset-requests', '1m0s'))
    """
    if limit is None:
        return ()
    left = str(limit - 1 - (call - 1) % limit)
    if shape is Shape.OPENAI:
        return (
            ("x-ratelimit-limit-requests", str(limit)),
            ("x-ratelimit-remaining-requests", left),
            ("x-ratelimit-reset-requests", "1m0s"),
        )
    if shape is Shape.ANTHROPIC:
        full_at = datetime.fromtimestamp(int(now_s) + _WINDOW_S, UTC)
        return (
            ("anthropic-ratelimit-requests-limit", str(limit)),
            ("anthropic-ratelimit-requests-remaining", left),
            ("anthropic-ratelimit-requests-reset", f"{full_at:%Y-%m-%dT%H:%M:%SZ}"),
        )
    return ()
