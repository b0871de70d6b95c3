"""The model policies of one engine at work: counts turns, draws samples, reads limits, and asks ``models.py``.

What the router holds instead of the plain role chains. Decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from configs.policies import RolePolicy
from configs.settings import Settings
from engine.routing.chain import DEFAULT_ROLE
from engine.routing.constraints import unfit
from engine.routing.contract import Registered
from engine.routing.limits import LimitBook
from engine.routing.models import Facts, Ordered, Situation, order_models

UNORDERED = RolePolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The chains of one request: for ``build_chain`` and the decision record."""

    roles: Mapping[str, tuple[str, ...]]
    """Role → its models in the order they are asked."""
    why: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict[str, str])
    """Models of the chosen agent's role that are not asked, and why."""


class ModelOrders:
    """Orders chains. One per engine; any number of requests on one loop."""

    def __init__(
        self,
        settings: Settings,
        facts: Facts,
        limits: LimitBook,
        *,
        clock: Callable[[], float],
        sample: Callable[[], float],
    ) -> None:
        """``clock``: that of ``limits``, in seconds; ``sample``: random numbers from [0, 1)."""
        self._settings = settings
        self._facts = facts
        self._limits = limits
        self._clock = clock
        self._sample = sample
        self._turns: dict[str, int] = {}

    def plan(self, agents: Sequence[Registered], situation: Situation, *, asked: bool) -> Plan:
        """The chains of ``agents``, the chosen one first and then those it falls back on.

        ``situation`` without turn, sample, limits and need of tools, which are known here. Only the chosen agent
        takes a turn of its role: who merely stands by must not shift who is next. Its first model is taken to be
        asked: its limits shrink by this request until its provider says what is left. Unless ``asked``, nobody
        will be, and nothing is taken.
        """
        limits = self._limits.at(self._clock())
        found: dict[str, Ordered] = {}
        why: list[str] = []
        for index, registered in enumerate(agents):
            role = self._role(registered)
            if registered.own_handler or role in found:
                continue
            turn = self._turns.get(role, 0)
            if index == 0 and asked:
                self._turns[role] = turn + 1
            ordered = order_models(
                self._settings.roles.get(role, ()),
                self._settings.policies.get(role, UNORDERED),
                self._facts,
                replace(
                    situation,
                    turn=turn,
                    sample=self._sample(),
                    limits=limits,
                    needs_tools=registered.capability.needs_tools,
                ),
            )
            found[role] = ordered
            if index == 0 and ordered.models and asked:
                self._limits.took(ordered.models[0], situation.prompt_tokens, situation.max_tokens)
            why += [f"{role}: {line}" for line in ordered.why]
        chosen = found.get(self._role(agents[0])) if not agents[0].own_handler else None
        return Plan(
            roles={role: ordered.models for role, ordered in found.items()},
            why=tuple(why),
            skipped={} if chosen is None else chosen.ruled_out,
        )

    def forbidden(self, model_id: str, situation: Situation) -> str:
        """Why a constraint forbids a model that no policy ordered: a caller's own, the last resort. Or ``""``."""
        return unfit(self._facts[model_id].can, situation.constraints, needs_tools=situation.needs_tools)

    def _role(self, registered: Registered) -> str:
        own = registered.capability.role
        return own if own in self._settings.roles else DEFAULT_ROLE
