"""What the settings and the price list say about every model, gathered once for ``models.py``. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from configs.catalogue import ModelSettings
from configs.instances import families
from configs.kernel import Message, Money
from configs.settings import Settings
from engine.routing.constraints import model_facts as of_model
from engine.routing.models import ModelFact

PricesOf = Callable[[str], tuple[Money, Money]]
"""Model id → the most that a million tokens of input and of output cost."""
WindowOf = Callable[[str], int | None]
"""Model id → tokens that it can hold, ``None`` when nobody said."""


def facts_for_ordering(
    settings: Settings, prices_of: PricesOf, window_of: WindowOf, unusable: Mapping[str, str]
) -> dict[str, ModelFact]:
    """Every configured model. An instance has the quality and the context of its model where it says nothing.

    ``unusable``: models that cannot be asked from here, and why. Price lists may take a moment to load: not on the
    event loop.
    """
    known = families(settings.models)

    def fact(model_id: str, model: ModelSettings) -> ModelFact:
        provider = settings.providers[model.provider]
        root = model_id if model.same_as is None else model.same_as
        given, output = prices_of(model_id)
        window = window_of(model_id)
        return ModelFact(
            can=of_model(model, provider, window_of(root) if window is None else window),
            input_micros=given.micros,
            output_micros=output.micros,
            quality=settings.models[root].quality if model.quality is None else model.quality,
            weight=model.weight,
            family=known[model_id],
            unusable=unusable.get(model_id, ""),
        )

    return {model_id: fact(model_id, model) for model_id, model in settings.models.items()}


def prompt_tokens(messages: Iterable[Message], token_bytes: float) -> int:
    """About how many tokens ``messages`` have, at so many UTF-8 bytes each: for ordering, never for money."""
    sent = sum(len(message.content.encode(errors="replace")) for message in messages)
    return round(sent / token_bytes)
