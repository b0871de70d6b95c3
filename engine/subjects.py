"""Which breakers a configuration amounts to before one is used, and which of them stand for each other."""

from __future__ import annotations

from agents.refs import model_ref, routed_models
from configs.instances import with_instances
from configs.settings import Settings
from engine.contract import BreakerStore
from engine.errors import UnknownName
from engine.resilience.shielded import agent_subject


def configured(settings: Settings) -> set[str]:
    """Keys of its agents, of the models in its roles and of their credentials."""
    refs = [model_ref(model, settings) for model in sorted(routed_models(settings))]
    keys = {ref.credential_subject for ref in refs} - {None}
    return {
        *(agent_subject(agent.name) for agent in settings.agents),
        *(ref.subject for ref in refs),
        *(key for key in keys if key is not None),
    }


def pools(settings: Settings) -> dict[str, tuple[str, ...]]:
    """For each route the largest chain it is in: of those, only so many may be open at once (max ejection)."""
    found: dict[str, tuple[str, ...]] = {}
    for chain in sorted(settings.roles.values(), key=len):
        models = with_instances(chain, settings.models)
        subjects = tuple(model_ref(model, settings).subject for model in models)
        found.update(dict.fromkeys(subjects, subjects))
    return found


async def refuse_unknown(subject: str, known: set[str], breakers: BreakerStore) -> None:
    """Raise ``UnknownName`` for a key that is neither ``known`` nor in use: a typing error must force nothing."""
    if subject not in known and subject not in (used := await breakers.subjects()):
        raise UnknownName("breaker", subject, {*known, *used})
