"""Which model behind which credential a configured id stands for. No adapter: everybody may ask."""

from __future__ import annotations

from agents.contract import NO_CREDENTIAL, ModelRef
from configs.errors import ConfigError
from configs.instances import with_instances
from configs.settings import Settings


def routed_models(settings: Settings) -> set[str]:
    """Every model that some chain may ask: those of the roles, their instances, and the declared last resort."""
    routed = {model for chain in settings.roles.values() for model in with_instances(chain, settings.models)}
    return routed if settings.chain.last_resort is None else routed | {settings.chain.last_resort}


def model_ref(model_id: str, settings: Settings) -> ModelRef:
    """The identity of a configured model. Raises ``ConfigError`` for an id or provider that is not configured."""
    try:
        model = settings.models[model_id]
        provider = settings.providers[model.provider]
    except KeyError as exc:
        raise ConfigError(f"model {model_id!r} names {exc.args[0]!r}, which is not configured") from None
    return ModelRef(
        id=model_id,
        provider=model.provider,
        model=model.model,
        credential=NO_CREDENTIAL if provider.api_key_env is None else provider.api_key_env,
    )
