"""What a model call costs: a pure function of model, token counts and date, to the micro-dollar, rounded up.

Prices come from, in this order: the YAML of the model, the declaration that its provider is local (then 0), the
installed genai-prices data at the date of the request, the ceiling price. A price nobody knows is therefore never
$0 (L6). Nothing here fetches anything: the data is what was installed, and changes with the lock file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from agents.usage import Bound
from configs.catalogue import ModelPrice
from configs.kernel import Message, Money, Sampling, Usage
from configs.settings import Settings

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, TieredPrices

PriceSource = Literal["yaml", "local", "published", "ceiling"]
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Dollars per million tokens for one call, and dollars per call."""

    input: Decimal
    output: Decimal
    cached: Decimal
    cache_write: Decimal
    reasoning: Decimal
    call: Decimal = Decimal(0)

    @classmethod
    def of(cls, price: ModelPrice) -> Rates:
        """A price from the configuration. Each number as it was written: 0.1 is a tenth."""
        given, output = Decimal(str(price.input)), Decimal(str(price.output))
        return cls(
            input=given,
            output=output,
            cached=given if price.cached is None else Decimal(str(price.cached)),
            cache_write=given if price.cache_write is None else Decimal(str(price.cache_write)),
            reasoning=output,
        )

    def charge(self, usage: Usage) -> Money:
        """The price of ``usage``. Parts beyond their whole count beside it, so that no token goes unpaid."""
        fresh = usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens
        said = usage.output_tokens - usage.reasoning_tokens
        tokens = (
            self.input * (fresh if fresh >= 0 else usage.input_tokens)
            + self.cached * usage.cached_tokens
            + self.cache_write * usage.cache_write_tokens
            + self.output * (said if said >= 0 else usage.output_tokens)
            + self.reasoning * usage.reasoning_tokens
        )
        return Money.from_usd(tokens / _MILLION + self.call)


_FREE = Rates.of(ModelPrice(input=0.0, output=0.0))


class PriceBook:
    """Prices of the models of one configuration, by model id. An id it does not know costs the ceiling price."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ceiling = Rates.of(settings.ceiling_price)
        self._declared: dict[str, Rates] = {}
        self._listed: dict[str, ModelInfo | None] = {}
        for model_id, model in settings.models.items():
            provider = settings.providers[model.provider]
            if model.price is not None:
                self._declared[model_id] = Rates.of(model.price)
            elif provider.local or provider.embedded:
                self._declared[model_id] = _FREE

    def cost(self, model_id: str, usage: Usage, *, now: datetime) -> Money:
        """The price of ``usage`` at ``now`` (aware; when the request began, also when it is settled later).

        Raises ``ValueError`` for a negative count.
        """
        counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens)
        if min(*counts, usage.reasoning_tokens) < 0:
            raise ValueError("a token count cannot be negative")
        parts = usage.cached_tokens + usage.cache_write_tokens
        whole = usage.input_tokens + (parts if parts > usage.input_tokens else 0)
        return self._rates(model_id, whole, now).charge(usage)

    def upper_bound(
        self, model_id: str, messages: Iterable[Message], sampling: Sampling, *, now: datetime
    ) -> Money:
        """The most that one call with exactly these messages can cost (L1).

        No token is shorter than a byte, ``max_tokens`` is always sent, and every token counts at the dearest way
        of billing it, in the price tier that so much input reaches.
        """
        bound = Bound.of(messages, sampling.max_tokens)
        rates = self._rates(model_id, bound.input_tokens, now)
        dearest_in = max(rates.input, rates.cached, rates.cache_write)
        dearest_out = max(rates.output, rates.reasoning)
        tokens = dearest_in * bound.input_tokens + dearest_out * bound.output_tokens
        return Money.from_usd(tokens / _MILLION + rates.call)

    def per_million(self, model_id: str, *, now: datetime) -> tuple[Money, Money]:
        """The most that a million tokens of input and of output cost, in small calls: for comparing models."""
        rates = self._rates(model_id, 0, now)
        dearest = max(rates.input, rates.cached, rates.cache_write), max(rates.output, rates.reasoning)
        return Money.from_usd(dearest[0]), Money.from_usd(dearest[1])

    def source(self, model_id: str, *, now: datetime) -> PriceSource:
        """Where the price of a model comes from; ``ceiling`` deserves a warning to the operator."""
        if model_id in self._declared:
            return "local" if self._declared[model_id] is _FREE else "yaml"
        return "ceiling" if self._published(model_id, 0, now) is None else "published"

    def context_window(self, model_id: str) -> int | None:
        """Tokens that a model can hold, or ``None`` when nobody said."""
        model = self._settings.models.get(model_id)
        if model is None or model.context_window is not None:
            return None if model is None else model.context_window
        if self._settings.providers[model.provider].embedded:
            return self._settings.embedded.model_context
        listed = self._find(model_id)
        return None if listed is None else listed.context_window

    def _rates(self, model_id: str, input_tokens: int, now: datetime) -> Rates:
        declared = self._declared.get(model_id)
        if declared is not None:
            return declared
        published = self._published(model_id, input_tokens, now)
        return self._ceiling if published is None else published

    def _published(self, model_id: str, input_tokens: int, now: datetime) -> Rates | None:
        """The published rates of a call with so much input. Half a price is none (L6)."""
        listed = self._find(model_id)
        if listed is None:
            return None
        price = listed.get_prices(now)
        given, output = _at(price.input_mtok, input_tokens), _at(price.output_mtok, input_tokens)
        if given is None or output is None:
            return None
        cached = _at(price.cache_read_mtok, input_tokens)
        written = _at(price.cache_write_mtok, input_tokens)
        reasoning = _at(price.output_reasoning_mtok, input_tokens)
        per_thousand_calls = _at(price.requests_kcount, input_tokens)
        return Rates(
            input=given,
            output=output,
            cached=given if cached is None else cached,
            cache_write=given if written is None else written,
            reasoning=output if reasoning is None else reasoning,
            call=Decimal(0) if per_thousand_calls is None else per_thousand_calls / 1_000,
        )

    def _find(self, model_id: str) -> ModelInfo | None:
        """The entry of a model in the installed data, looked up once."""
        if model_id not in self._listed:
            model = self._settings.models.get(model_id)
            provider = None if model is None else self._settings.providers[model.provider].prices
            self._listed[model_id] = None if model is None or provider is None else _look_up(provider, model.model)
        return self._listed[model_id]


def _look_up(provider: str, model: str) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - 0.3 s; a cache hit prices nothing

    try:
        return get_snapshot().find_provider_model(model, None, provider, None)[1]
    except LookupError:
        return None


def _at(price: Decimal | TieredPrices | None, input_tokens: int) -> Decimal | None:
    """A price at a size of input: beyond the start of a tier, its price holds for the whole call."""
    if price is None or isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if input_tokens > tier.start]
    return reached[-1] if reached else price.base
