"""Rate limits in headers: OpenAI's, Anthropic's, and what nobody should send."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.providers.limits import limits_of, span_s
from schemas.health import HealthEvent, HealthOutcome, RateLimits
from schemas.serde import Serde

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OPENAI = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "8.64s",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199000",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-06-01T12:00:30Z",
    "anthropic-ratelimit-tokens-limit": "40000",
    "anthropic-ratelimit-tokens-remaining": "39000",
    "anthropic-ratelimit-tokens-reset": "2026-06-01T11:59:00Z",
}
NAMES = [*OPENAI, *ANTHROPIC]
CODEC = Serde().of(HealthEvent)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"retry-after": "3", "x-ratelimit-limit-requests": "3"}, None, id="a-limit-alone-tells-nothing"),
        pytest.param(OPENAI, RateLimits(10_000, 9_999, 8.64, 200_000, 199_000, 360.0), id="openai"),
        pytest.param(ANTHROPIC, RateLimits(50, 49, 30.0, 40_000, 39_000, 0.0), id="anthropic"),
        pytest.param({"x-ratelimit-remaining-tokens": "7"}, RateLimits(tokens_remaining=7), id="part-of-them"),
        pytest.param(
            {"x-ratelimit-remaining-requests": "-1", "x-ratelimit-limit-requests": "many", "x-ratelimit-reset-requests": "soon"},
            RateLimits(),
            id="nonsense",
        ),
        pytest.param(
            {"x-ratelimit-remaining-requests": "9" * 40, "x-ratelimit-reset-requests": "999999999s"}, RateLimits(), id="absurd"
        ),
        pytest.param(
            {"anthropic-ratelimit-tokens-remaining": "1", "anthropic-ratelimit-tokens-reset": "2026-06-01T12:00:30"},
            RateLimits(tokens_remaining=1),
            id="a-time-without-its-zone",
        ),
    ],
)
def test_limits(headers, found):
    assert limits_of(headers, now=NOW) == found


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=40) | st.integers().map(str), max_size=6))
def test_whatever_stands_in_the_headers_fits_into_a_record(headers):
    limits = limits_of(headers, now=NOW)
    event = HealthEvent("d", "p", "m", "w", HealthOutcome.SUCCESS, 1, NOW, limits=limits)
    assert CODEC.decode(CODEC.encode(event)).limits == limits


@settings(deadline=None)
@given(st.text(alphabet="0123456789dhms.", max_size=20))
def test_a_span_is_never_negative(text):
    assert (span_s(text) or 0.0) >= 0.0
