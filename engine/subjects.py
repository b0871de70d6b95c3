"""Which breakers a configuration amounts to before anybody has used one."""

from __future__ import annotations

from agents.refs import model_ref, routed_models
from configs.settings import Settings
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
