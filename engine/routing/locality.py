"""Personal and health data stay here: a last look before every call (admit.data). Pure.

Selection already leaves out what is not local (``engine/routing/constraints.py``). This rule knows nothing of how
a chain was made, so that a fallback, an instance, a retry or an agent put in by hand cannot carry data away.
"""

from __future__ import annotations

from collections.abc import Mapping

from configs.settings import Settings
from engine.routing.contract import Registered
from engine.types import PERSONAL, DataClass, Leg

Agents = Mapping[str, Registered]


def leaves(leg: Leg, settings: Settings, agents: Agents) -> str:
    """Why data would leave this machine or network with ``leg``; empty when it does not.

    A model stays when its provider is declared local or is embedded; an agent's own code when its author declared
    it local. Whatever is not known leaves: an agent or model that was removed, a provider that is not configured.
    """
    registered = agents.get(leg.agent)
    if registered is None:
        return f"agent {leg.agent!r} is not registered"
    if leg.model is None:
        declared = registered.own_handler and registered.capability.local
        return "" if declared else f"the handler of {leg.agent!r} is not declared local"
    if registered.own_handler and not registered.capability.local:
        return f"the handler of {leg.agent!r} is not declared local"
    model = settings.models.get(leg.model)
    provider = None if model is None else settings.providers.get(model.provider)
    if model is None or provider is None:
        return f"model {leg.model!r} is not configured"
    if provider.local or provider.embedded:
        return ""
    return f"model {leg.model!r} runs at {model.provider}, which is not local"


def may_call(leg: Leg, data_class: DataClass, settings: Settings, agents: Agents) -> str:
    """Why this call may not be made for data of ``data_class``; empty when it may. Asked before every call."""
    return leaves(leg, settings, agents) if data_class in PERSONAL else ""
