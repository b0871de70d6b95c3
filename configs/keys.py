"""Which models can be called with the keys that are there. Pure; nothing here reads or keeps a key.

For ``doctor``, and for the chain, which skips a route with the reason instead of failing on it at every call.
"""

from __future__ import annotations

from collections.abc import Mapping

from configs.catalogue import ProviderSettings
from configs.instances import with_instances
from configs.settings import Settings


def usable_models(settings: Settings, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Every configured model id, with ``None`` when it may be called and the reason when it may not."""
    return {
        model_id: None if variable is None else f"{variable} is not set"
        for model_id, variable in _missing_by_model(settings, environ).items()
    }


def missing_keys(settings: Settings, environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Each variable that is not set, and the models that wait for it; only models that some role uses."""
    chains = settings.roles.values()
    routed = {model_id for chain in chains for model_id in with_instances(chain, settings.models)}
    waiting: dict[str, tuple[str, ...]] = {}
    for model_id, variable in _missing_by_model(settings, environ).items():
        if variable is not None and model_id in routed:
            waiting[variable] = (*waiting.get(variable, ()), model_id)
    return waiting


def _missing_by_model(settings: Settings, environ: Mapping[str, str]) -> dict[str, str | None]:
    return {
        model_id: _missing_variable(settings.providers[model.provider], environ)
        for model_id, model in settings.models.items()
    }


def _missing_variable(provider: ProviderSettings, environ: Mapping[str, str]) -> str | None:
    """The variable without which ``provider`` refuses. Local providers take a key when it is there."""
    name = provider.api_key_env
    if name is None or provider.local or provider.embedded or environ.get(name, "").strip():
        return None
    return name
