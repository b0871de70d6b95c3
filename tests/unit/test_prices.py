"""What a call costs: literal prices, the installed data as an independent reference, bounds, unknown models."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from genai_prices import Usage as Counts
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices
from hypothesis import given
from hypothesis import strategies as st

from configs.catalogue import ModelPrice as Price
from configs.catalogue import ModelSettings, ProviderSettings
from configs.kernel import Message, Money, Sampling, Usage
from configs.load import load_settings
from configs.settings import Settings
from engine.cost.prices import PriceBook

ROOT = Path(__file__).parents[2]
TODAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
SHIPPED = load_settings("premium", environ={})
CLOUD = [m for m, s in SHIPPED.models.items() if not SHIPPED.providers[s.provider].local]
tokens = st.integers(min_value=0, max_value=2_000_000)


def book(
    model: str = "m", prices: str | None = "openai", price: Price | None = None, *, local: bool = False
) -> PriceBook:
    """Prices of one configured model ``x``."""
    return PriceBook(
        Settings(
            providers={"p": ProviderSettings(base_url="https://h/v1", prices=prices, local=local)},
            models={"x": ModelSettings(provider="p", model=model, price=price)},
        )
    )


@pytest.mark.req("cost.ledger")
@pytest.mark.parametrize(
    ("usage", "micros"),
    [
        (Usage(), 0),
        (Usage(input_tokens=1_000_000), 2_000_000),
        (Usage(output_tokens=1_000_000), 8_000_000),
        (Usage(input_tokens=1_000_000, cached_tokens=400_000), 1_200_000 + 200_000),
        (Usage(input_tokens=1_000_000, cache_write_tokens=400_000), 1_200_000 + 1_000_000),
        (Usage(output_tokens=1_000_000, reasoning_tokens=900_000), 8_000_000),
        (Usage(input_tokens=1), 2),
        (Usage(input_tokens=1, cached_tokens=1), 1),
        (Usage(input_tokens=3, cached_tokens=1), 5),
    ],
)
def test_each_kind_of_token_has_its_price_and_fractions_round_up(usage: Usage, micros: int) -> None:
    """$2 in, $8 out, $0.50 from cache, $2.50 into it, per million; reasoning is output."""
    prices = book(price=Price(input=2.0, output=8.0, cached=0.5, cache_write=2.5))
    assert prices.cost("x", usage, now=TODAY) == Money(micros)


@pytest.mark.req("cost.ledger")
def test_a_price_is_the_number_that_was_written() -> None:
    """Ten tokens at $0.10 per million are one micro-dollar; as a binary fraction they would be two."""
    assert book(price=Price(input=0.1, output=0.1)).cost("x", Usage(input_tokens=10), now=TODAY) == Money(1)


@pytest.mark.req("cost.ledger")
def test_a_price_without_cache_prices_charges_cached_tokens_as_input() -> None:
    """A discount that nobody agreed is not given."""
    usage = Usage(input_tokens=1_000, cached_tokens=500, cache_write_tokens=500)
    assert book(price=Price(input=2.0, output=8.0)).cost("x", usage, now=TODAY) == Money(2_000)


@pytest.mark.req("cost.ledger")
def test_parts_beyond_their_whole_are_paid_beside_it() -> None:
    """10 tokens in, 1,000 of them cached cannot be; both are charged, none is lost."""
    prices = book(price=Price(input=2.0, output=8.0, cached=1.0))
    assert prices.cost("x", Usage(input_tokens=10, cached_tokens=1_000), now=TODAY) == Money(20 + 1_000)
    assert prices.cost("x", Usage(output_tokens=10, reasoning_tokens=100), now=TODAY) == Money(880)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=-1),
        Usage(output_tokens=-1),
        Usage(cached_tokens=-1),
        Usage(cache_write_tokens=-1),
        Usage(reasoning_tokens=-1),
    ],
)
def test_a_negative_count_is_refused(usage: Usage) -> None:
    """It would lower a bill."""
    with pytest.raises(ValueError, match="cannot be negative"):
        book().cost("x", usage, now=TODAY)


@pytest.mark.req("cost.ledger")
@pytest.mark.parametrize("model_id", CLOUD)
@given(given_in=tokens, out=tokens, cached=st.integers(0, 100), written=st.integers(0, 100))
def test_published_prices_agree_with_their_own_calculator(
    model_id: str, given_in: int, out: int, cached: int, written: int
) -> None:
    """genai-prices computes the same sum from the same data; ours is that, rounded up to a micro-dollar."""
    cache_read = given_in * cached // 200
    cache_write = given_in * written // 200
    usage = Usage(
        input_tokens=given_in, output_tokens=out, cached_tokens=cache_read, cache_write_tokens=cache_write
    )
    model = SHIPPED.models[model_id]
    theirs = calc_price(
        Counts(
            input_tokens=given_in,
            output_tokens=out,
            cache_read_tokens=cache_read,
            cache_write_tokens=cache_write,
        ),
        model.model,
        provider_id=SHIPPED.providers[model.provider].prices,
        genai_request_timestamp=TODAY,
    ).total_price
    assert PriceBook(SHIPPED).cost(model_id, usage, now=TODAY) == Money.from_usd(theirs)


@pytest.mark.req("cost.ledger")
@pytest.mark.parametrize(
    ("provider", "model"), [("openrouter", "perplexity/sonar-deep-research"), ("perplexity", "sonar")]
)
def test_prices_per_call_and_of_reasoning_agree_with_their_own_calculator(provider: str, model: str) -> None:
    """Two entries of the data that charge more than input and output."""
    usage = Usage(input_tokens=1_000, output_tokens=2_000, reasoning_tokens=700)
    counts = Counts(input_tokens=1_000, output_tokens=2_000, output_reasoning_tokens=700)
    theirs = calc_price(counts, model, provider_id=provider, genai_request_timestamp=TODAY).total_price
    assert book(model, provider).cost("x", usage, now=TODAY) == Money.from_usd(theirs)


@pytest.mark.req("cost.ledger")
def test_a_price_holds_from_its_date() -> None:
    """Gemini 4 Argon's introductory price ends with November 2026."""
    usage = Usage(input_tokens=1_000_000)
    prices = book("gemini-4-argon", "google")
    before = prices.cost("x", usage, now=datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
    after = prices.cost("x", usage, now=datetime(2026, 12, 1, tzinfo=UTC))
    assert (before, after) == (Money(2_000_000), Money(4_000_000))


@pytest.mark.req("cost.ledger")
def test_a_long_prompt_costs_its_tier_for_every_token() -> None:
    """Claude Haiku 5.5 is five times dearer beyond 100,000 tokens."""
    prices = book("claude-haiku-5-5", "anthropic")
    assert prices.cost("x", Usage(input_tokens=100_000), now=TODAY) == Money(10_000)
    assert prices.cost("x", Usage(input_tokens=100_001), now=TODAY) == Money(50_001)
    beside = Usage(input_tokens=100_000, cached_tokens=100_001)
    assert prices.cost("x", beside, now=TODAY) == Money(50_000 + 5_001)


@pytest.mark.req("cost.ledger")
@pytest.mark.parametrize("given_in", [1, 32_000, 32_001, 128_000, 128_001, 256_000, 256_001, 900_000])
def test_of_several_tiers_the_highest_that_is_reached_holds(given_in: int) -> None:
    """An entry of the data with two steps, against its own calculator."""
    theirs = calc_price(
        Counts(input_tokens=given_in, output_tokens=10),
        "qwen/qwen3.7-flash",
        provider_id="openrouter",
        genai_request_timestamp=TODAY,
    ).total_price
    ours = book("qwen/qwen3.7-flash", "openrouter")
    usage = Usage(input_tokens=given_in, output_tokens=10)
    assert ours.cost("x", usage, now=TODAY) == Money.from_usd(theirs)


@pytest.mark.req("cost.ledger")
@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("gpt-99-imagined", "openai"),
        ("gpt-6-luna", "no-such-provider"),
        ("gpt-6-luna", None),
        ("gemma-4-31b-it", "google"),
        ("text-embedding-3-small", "openai"),
        ("whisper-1", "openai"),
    ],
)
def test_an_unknown_price_is_the_ceiling_and_never_zero(model: str, provider: str | None) -> None:
    """L6: unknown model, unknown list, no list, an entry without prices, half a price, a price per hour."""
    prices = book(model, provider)
    assert prices.source("x", now=TODAY) == "ceiling"
    assert prices.cost("x", Usage(input_tokens=1_000, output_tokens=1_000), now=TODAY) == Money(600_000)
    assert prices.cost("nobody-configured-me", Usage(output_tokens=1), now=TODAY) == Money(500)


@pytest.mark.req("cost.ledger")
def test_local_and_embedded_models_are_free_by_declaration_and_a_price_by_hand_wins() -> None:
    """Zero is a statement of the configuration, not of ignorance; a GPU may have an internal price."""
    usage = Usage(input_tokens=10, output_tokens=10)
    assert book(local=True).cost("x", usage, now=TODAY) == Money()
    assert book(local=True).source("x", now=TODAY) == "local"
    assert PriceBook(SHIPPED).cost("smollm2", usage, now=TODAY) == Money()
    priced = book(local=True, price=Price(input=1.0, output=1.0))
    assert (priced.cost("x", usage, now=TODAY), priced.source("x", now=TODAY)) == (Money(20), "yaml")


@pytest.mark.req("cost.reserve")
@pytest.mark.parametrize("model_id", ["smollm2", "claude-haiku-5-5", "gpt-6-luna", "gemini-4-argon", "unknown"])
@given(
    texts=st.lists(st.text(max_size=300), min_size=1, max_size=3),
    repeat=st.sampled_from([1, 400]),
    shares=st.tuples(*[st.integers(0, 100)] * 5),
)
def test_no_possible_usage_costs_more_than_the_upper_bound(
    model_id: str, texts: list[str], repeat: int, shares: tuple[int, ...]
) -> None:
    """L1: at most one token per byte, at most max_tokens, however the provider splits the bill."""
    messages = tuple(Message("user", text * repeat) for text in texts)
    whole = sum(len(m.content.encode(errors="replace")) for m in messages) * shares[0] // 100
    out = 512 * shares[1] // 100
    cached = whole * shares[2] // 100
    usage = Usage(
        input_tokens=whole,
        output_tokens=out,
        cached_tokens=cached,
        cache_write_tokens=(whole - cached) * shares[3] // 100,
        reasoning_tokens=out * shares[4] // 100,
    )
    prices = PriceBook(SHIPPED)
    bound = prices.upper_bound(model_id, messages, Sampling(max_tokens=512), now=TODAY)
    assert prices.cost(model_id, usage, now=TODAY) <= bound


@pytest.mark.req("cost.reserve")
@pytest.mark.parametrize(
    ("provider", "model"), [("openrouter", "perplexity/sonar-deep-research"), ("perplexity", "sonar")]
)
def test_the_bound_covers_prices_per_call_and_of_reasoning(provider: str, model: str) -> None:
    """Everything the model may write can be reasoning, and the call itself may cost."""
    prices = book(model, provider)
    bound = prices.upper_bound("x", (Message("user", "hi"),), Sampling(max_tokens=1_000), now=TODAY)
    worst = Usage(input_tokens=2, output_tokens=1_000, reasoning_tokens=1_000)
    assert prices.cost("x", worst, now=TODAY) <= bound


@pytest.mark.req("cost.reserve")
def test_the_bound_counts_bytes_and_the_dearest_way_of_billing() -> None:
    """Three-byte letters count three; writing to the cache is the dearest input."""
    prices = book(price=Price(input=2.0, output=8.0, cached=0.5, cache_write=2.5))
    one = prices.upper_bound("x", (Message("user", "€" * 1_000),), Sampling(max_tokens=100), now=TODAY)
    none = prices.upper_bound("x", (Message("user", ""),), Sampling(max_tokens=100), now=TODAY)
    assert one.micros - none.micros == 7_500
    assert none.micros >= 800


@pytest.mark.req("cost.reserve")
def test_no_published_tier_is_cheaper_than_the_one_below() -> None:
    """What the bound rests on: more input never lowers a price. Checked on all of the installed data."""
    cheaper: list[str] = []
    for provider in get_snapshot().providers:
        for model in provider.models:
            for price in _prices(model):
                for tiered in (v for v in vars(price).values() if isinstance(v, TieredPrices)):
                    steps = [tiered.base, *(tier.price for tier in tiered.tiers)]
                    if steps != sorted(steps):
                        cheaper.append(f"{provider.id}/{model.id}")
    assert cheaper == []


def _prices(model: ModelInfo) -> list[ModelPrice]:
    if isinstance(model.prices, ModelPrice):
        return [model.prices]
    return [conditional.prices for conditional in model.prices]


@pytest.mark.req("serve.providers")
def test_a_context_window_is_declared_or_published_or_that_of_the_embedded_host() -> None:
    """And unknown where nobody said."""
    prices = PriceBook(SHIPPED)
    windows = [prices.context_window(m) for m in ("claude-haiku-5-5", "smollm2", "ollama-gpt-oss-20b", "nobody")]
    assert windows == [1_000_000, SHIPPED.embedded.model_context, None, None]
    own = Settings(
        providers={"p": ProviderSettings(base_url="https://h/v1", prices="openai")},
        models={"x": ModelSettings(provider="p", model="gpt-6-luna", context_window=99)},
    )
    assert PriceBook(own).context_window("x") == 99


def test_a_litellm_proxy_is_priced_by_the_provider_in_the_model_name() -> None:
    """``openai/gpt-6-luna`` behind the proxy costs what it costs at OpenAI."""
    usage = Usage(input_tokens=1_000, output_tokens=1_000)
    direct = book("gpt-6-luna", "openai").cost("x", usage, now=TODAY)
    assert book("openai/gpt-6-luna", "litellm").cost("x", usage, now=TODAY) == direct
    assert direct == Money(600)


def test_free_prices_are_computed_without_the_price_data() -> None:
    """A cache hit and a local answer must not wait 0.3 s for an import."""
    code = (
        "import sys; from datetime import datetime, UTC; from configs.load import load_settings;"
        "from configs.kernel import Usage; from engine.cost.prices import PriceBook;"
        "book = PriceBook(load_settings(environ={}));"
        "book.cost('smollm2', Usage(input_tokens=5), now=datetime(2026, 1, 1, tzinfo=UTC)); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "engine.cost.prices" in loaded
    assert "genai_prices" not in loaded


def test_pricing_starts_no_thread_and_uses_the_installed_data() -> None:
    """The library can update itself from the network; nothing here asks it to (and the test network is closed)."""
    before = threading.active_count()
    PriceBook(SHIPPED).cost("gpt-6-luna", Usage(input_tokens=1), now=TODAY)
    assert threading.active_count() == before
    assert get_snapshot().from_auto_update is False


def test_the_dearest_of_all_shipped_models_stays_below_the_ceiling() -> None:
    """Otherwise not knowing a price would be the cheaper way."""
    prices = PriceBook(SHIPPED)
    usage = [Usage(input_tokens=1_000_000), Usage(output_tokens=1_000_000)]
    for one in usage:
        ceiling = prices.cost("nobody", one, now=TODAY)
        assert [m for m in CLOUD if prices.cost(m, one, now=TODAY) >= ceiling] == []
