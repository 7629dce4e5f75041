"""What an edge tells at `GET /v1/live`, made up."""

from typing import Any


def request(n: int, **more: Any) -> dict[str, Any]:
    return {
        "n": n,
        "request_id": f"req-{n}",
        "tenant": "acme",
        "answered_at": f"2026-01-05T10:00:{n % 60:02d}.512Z",
        "status": "ok",
        "operation": "chat",
        "model": "auto",
        "deployment": "openai/gpt-6-luna",
        "task_kind": "chat",
        "latency_ms": 540,
        "attempts": 1,
        "cache": "miss",
        "input_tokens": 33,
        "output_tokens": 113,
        "cost_nanousd": 59_800,
        "error": None,
        **more,
    }


def letter(n: int) -> dict[str, Any]:
    return {
        "n": n,
        "topic": "ai.requests",
        "partition": 0,
        "offset": n,
        "stage": "intake",
        "reason": "bad_magic",
        "message": "the first byte is not 0",
        "request_id": None,
        "tenant": "acme",
        "value_size": 12,
        "seen_at": "2026-01-05T10:00:07.000Z",
    }


def spent(name: str | None, cost_nanousd: int) -> dict[str, Any]:
    return {"name": name, "cost_nanousd": cost_nanousd, "avoided_nanousd": 0, "calls": 3, "cache_hits": 1}


def series(from_s: int, *answered: int, p95_ms: float | None = 800.0) -> dict[str, Any]:
    count = len(answered)
    return {
        "from_s": from_s,
        "answered": list(answered),
        "failed": [0] * count,
        "cached": [0] * count,
        "cost_nanousd": [10] * count,
        "p50_ms": [400.0] * count,
        "p95_ms": [p95_ms] * count,
    }


MINUTE = {
    "answered": 702,
    "failed": 3,
    "requests_per_s": 11.7,
    "p50_ms": 540.0,
    "p95_ms": 1370.0,
    "p99_ms": 2100.0,
    "cache_asked": 600,
    "cache_served": 150,
    "cost_nanousd": 1_000_000,
}


def snapshot(**more: Any) -> dict[str, Any]:
    return {
        "at": "2026-01-05T10:00:00.512Z",
        "tenant": None,
        "window_s": 300,
        "series": series(1_000, 10, 12, 11),
        "minute": MINUTE,
        "spend": {
            "hour_nanousd": 12_000_000,
            "day_nanousd": 1_836_900_000,
            "day_avoided_nanousd": 198_300,
            "day_calls": 55,
            "day_cache_hits": 5,
            "day_unpriced_calls": 2,
            "by_model": [spent("openai/gpt-6-luna", 1_500_000_000), spent(None, 336_900_000)],
            "by_tenant": [spent("acme", 1_836_900_000)],
            "by_hour": [spent("2026-01-05T09:00:00Z", 1_824_900_000), spent("2026-01-05T10:00:00Z", 12_000_000)],
            "partial": False,
        },
        "health": [
            {"deployment": "a/well", "provider": "a", "model": "well", "circuit": "closed", "opened_by": None, "down_since": None,
             "limited": False, "success_rate": 1.0, "p50_ms": 400.0, "p95_ms": 800.0, "in_flight": 2, "headroom": 0.5},
            {"deployment": "z/ails", "provider": "z", "model": "ails", "circuit": "open", "opened_by": "overloaded",
             "down_since": "2026-01-05T09:59:00Z", "limited": False, "success_rate": 0.25, "p50_ms": None, "p95_ms": None,
             "in_flight": None, "headroom": None},
        ],
        "lag": [{"group": "penstock-intake", "topic": "ai.requests", "records": 1234}],
        "requests": [request(n) for n in range(3)],
        "dead_letters": [letter(7)],
        **more,
    }  # fmt: skip
