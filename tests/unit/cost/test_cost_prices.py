"""Promise 2: a call costs what its provider charges, to the nano-dollar, or the price is said to be unknown."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from processors.cost.prices import PriceBook
from schemas.calls import Usage
from schemas.deployments import Deployment, DeploymentCatalogue, Price
from schemas.ledger import PricingStatus

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
BOOK = PriceBook()


def cost(
    usage: Usage, provider: str, model: str, *, at: datetime = AT, book: PriceBook = BOOK, deployment: str = ""
) -> int | None:
    return book.price(usage, provider=provider, model=model, deployment=deployment, at=at).cost_nanousd


@pytest.mark.parametrize(
    ("usage", "provider", "model", "nanousd"),
    [
        # The golden calls of the design: 3 plain + 12,304 written to the cache; 6 plain + 159,217 written.
        pytest.param(
            Usage(3 + 12_304, 550, 0, 12_304), "anthropic", "claude-3-7-sonnet", 54_399_000, id="sonnet-3.7-cache-write"
        ),
        pytest.param(
            Usage(6 + 159_217, 2_745, 0, 159_217), "anthropic", "claude-opus-4-7", 1_063_761_250, id="opus-4.7-cache-write"
        ),
        pytest.param(Usage(6 + 159_217, 2_745, 159_217), "anthropic", "claude-opus-4-7", 148_263_500, id="opus-4.7-cache-read"),
        pytest.param(Usage(1_000, 10), "openai", "gpt-4o-mini", 156_000, id="dated-alias-free"),
        pytest.param(Usage(1_000, 10), "openai", "gpt-4o-mini-2024-07-18", 156_000, id="dated"),
        pytest.param(Usage(1_000, 0), "openai", "text-embedding-3-small", 20_000, id="embeddings"),
        pytest.param(Usage(0, 0), "openai", "gpt-4o-mini", 0, id="explicit-zero"),
        pytest.param(Usage(200_000, 0), "google", "gemini-2.5-pro", 250_000_000, id="at-the-tier"),
        pytest.param(Usage(200_001, 0), "google", "gemini-2.5-pro", 500_002_500, id="above-the-tier-all-tokens"),
        pytest.param(Usage(10, 10), "openai", "gpt-99-imaginary", None, id="unknown-model"),
        pytest.param(Usage(10, 10), "ollama", "llama3.2", None, id="local-without-price"),
        pytest.param(Usage(10, 10), "my-openai-proxy", "gpt-4o-mini", None, id="a-name-that-contains-a-provider"),
        pytest.param(Usage(10, 0), "openai", "whisper-1", None, id="tokens-that-have-no-price"),
        pytest.param(Usage(10, 10), "google", "gemma-3", None, id="listed-without-any-price"),
    ],
)
def test_a_call_costs(usage, provider, model, nanousd):
    priced = BOOK.price(usage, provider=provider, model=model, deployment="", at=AT)
    assert priced.cost_nanousd == nanousd
    assert priced.status is (PricingStatus.UNKNOWN if nanousd is None else PricingStatus.PRICED)
    assert priced.price_version.startswith("genai-prices ")


def test_the_price_is_that_of_the_calls_time():
    """DeepSeek charged half off-peak, from 16:30 to 00:30 UTC, in 2025."""
    usage = Usage(1_000_000, 0)
    by_minute = {
        minute: cost(usage, "deepseek", "deepseek-chat", at=datetime(2025, 6, 1, 16, minute, 59, tzinfo=UTC))
        for minute in (29, 30)
    }
    assert by_minute == {29: 270_000_000, 30: 135_000_000}


def test_the_users_price_wins_deployment_before_model_before_list():
    def usd(amount: str) -> Price:
        return Price(Decimal(amount), Decimal(amount))

    mini = Deployment("mini", "openai", "gpt-4o-mini", price=usd("1"))
    other = Deployment("other", "openai", "gpt-4o-mini")
    book = PriceBook.of(DeploymentCatalogue("7", {}, (mini, other), {}), {("openai", "gpt-4o-mini"): usd("2")}, "prices 3")
    usage = Usage(1_000_000, 0)
    priced = [
        book.price(usage, provider="openai", model=model, deployment=deployment, at=AT)
        for deployment, model in (("mini", "gpt-4o-mini"), ("other", "gpt-4o-mini"), ("other", "gpt-4o"))
    ]
    assert [(p.cost_nanousd, p.price_version.split(".")[0]) for p in priced] == [
        (1_000_000_000, "catalogue 7"),
        (2_000_000_000, "prices 3"),
        (2_500_000_000, "genai-prices 0"),
    ]


@pytest.mark.parametrize(
    ("usd", "tokens", "nanousd"),
    [
        pytest.param("0.0005", 1, 0, id="half-goes-to-even-0"),
        pytest.param("0.0015", 1, 2, id="half-goes-to-even-2"),
        pytest.param("0.0006", 1, 1, id="above-half"),
        pytest.param("0.0004", 1, 0, id="below-half"),
        pytest.param("0.0004", 3, 1, id="summed-before-rounding"),
        pytest.param("0", 10**9, 0, id="a-price-of-0-is-known"),
    ],
)
def test_rounding_happens_once_half_to_even(usd, tokens, nanousd):
    book = PriceBook({"d": Price(Decimal(usd), Decimal(0))})
    assert cost(Usage(tokens, 5), "x", "y", book=book, deployment="d") == nanousd


def test_parts_beyond_their_whole_never_make_a_price_negative():
    book = PriceBook({"d": Price(Decimal(3), Decimal(0), Decimal(1), Decimal(4))})
    assert cost(Usage(5, 0, 10, 0), "x", "y", book=book, deployment="d") == 10_000


@pytest.mark.parametrize(
    ("model", "bound"),
    [
        pytest.param("claude-opus-4-7", 1_000 * 6_250 + 500 * 25_000, id="input-at-the-cache-write-price"),
        pytest.param("gpt-99-imaginary", None, id="unknown"),
    ],
)
def test_upper_bound(model, bound):
    assert BOOK.upper_bound(1_000, 500, provider="anthropic", model=model, deployment="", at=AT) == bound
