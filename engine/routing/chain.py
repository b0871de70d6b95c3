"""The fallback chain of one request: which agent through which model, then who else (run.single, F1, F2). Pure.

Not who is chosen (``engine/routing/decide.py``) and not whether a leg is refused when its turn comes
(``engine/resilience``). In which order the models of a role stand is ``engine/routing/models.py``'s decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from configs.errors import ConfigError
from engine.errors import InvalidInput
from engine.routing.contract import Registered
from engine.types import Leg

DEFAULT_ROLE = "default"


def build_chain(
    agent: str,
    agents: Mapping[str, Registered],
    roles: Mapping[str, Sequence[str]],
    fallback_agents: Sequence[str],
    models: Sequence[str] = (),
    last_resort: str | None = None,
) -> tuple[Leg, ...]:
    """Legs in the order they are tried: finite, and no model twice (F1).

    ``agents`` are those that may answer, the chosen ``agent`` among them; ``roles`` the models of each role that
    may be asked, in their order for this request.

    First the models of ``agent``'s role, or ``models`` when the caller named some; then, for each fallback agent
    that is registered, the models that are not in the chain yet. An agent with its own handler is one leg without
    a model. ``last_resort``, the model that is declared for when all others are out, ends the chain for the last
    agent that answers through models. Named models are the whole chain: nobody else takes over.

    Raises ``InvalidInput`` when models are named for an agent that uses none, ``ConfigError`` when the chain would
    be empty.
    """
    if models:
        if agents[agent].own_handler:
            raise InvalidInput(
                f"agent {agent!r} answers by its own code and takes no models", code="models_not_used"
            )
        return tuple(Leg(agent=agent, model=model) for model in dict.fromkeys(models))
    legs: list[Leg] = []
    used: set[str] = set()
    for name in dict.fromkeys((agent, *fallback_agents)):
        registered = agents.get(name)
        if registered is None:
            continue
        if registered.own_handler:
            legs.append(Leg(agent=name, model=None))
            continue
        fresh = [m for m in dict.fromkeys(models_of(registered, roles)) if m not in used]
        used.update(fresh)
        legs += [Leg(agent=name, model=m) for m in fresh]
    by_model = [leg.agent for leg in legs if leg.model is not None]
    if last_resort is not None and last_resort not in used and by_model:
        legs.append(Leg(agent=by_model[-1], model=last_resort))
    if not legs:
        role = agents[agent].capability.role
        raise ConfigError(
            f"no model answers for agent {agent!r}", hint=f"name models under roles.{role} or roles.default"
        )
    return tuple(legs)


def models_of(registered: Registered, roles: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The models that answer for an agent: its role's, else those of ``default``."""
    own = roles.get(registered.capability.role)
    return own if own is not None else roles.get(DEFAULT_ROLE, ())
