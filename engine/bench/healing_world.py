"""A small world in which an agent fails for a while and recovers, routed by the engine's own rules. Pure, seeded.

Selection, exploration and averages are the code that serves requests; only questions and outcomes are drawn. Every
question is one that ``OWNER`` answers best. Figures and plots are made in ``engine/bench/healing.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from configs.settings import Settings
from engine.learning.averages import aged, step
from engine.learning.contract import RouteResult, Tally
from engine.routing.decide import Match, Shortlist
from engine.routing.explore import Situation, choose, context_of
from engine.routing.select import rank
from engine.routing.turns import Turns
from engine.routing.words import Hits
from engine.types import Averages

OWNER: Final = "python"
OTHERS: Final = ("javascript", "general")
OTHER_SUCCESS: Final = 0.85
"""Of whoever answers a question that is not theirs."""
SPACING_S: Final = 1.0
"""Between two requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """How well ``OWNER`` does over time, and how many replicas route."""

    success: Callable[[int], float]
    """Of request number n."""
    requests: int
    replicas: int
    delay: int = 0
    """Requests after which an outcome, or what another replica has learned, is known to a replica."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What happened in one scene."""

    asked: tuple[bool, ...]
    """Whether ``OWNER`` was asked, per request."""
    explored: tuple[bool, ...]
    regret: tuple[float, ...]
    """Success that the best choice of the moment would have had beyond the one that was made; cumulative."""
    fixed_regret: tuple[float, ...]
    """The same of asking ``OWNER`` always."""


@dataclass(slots=True)
class _Replica:
    """One process: its copy of the averages, and its count of turns."""

    turns: Turns
    known: dict[str, Tally] = field(default_factory=dict[str, Tally])


def run(scene: Scene, settings: Settings, seed: int) -> Run:
    """Route every request of a scene."""
    chance = Random(seed)  # noqa: S311 - a simulation
    shared: dict[str, Tally] = {}
    replicas = [_Replica(Turns(settings.learn.subjects_max)) for _ in range(scene.replicas)]
    waiting: list[tuple[int, RouteResult]] = []
    asked, explored, regret, fixed = list[bool](), list[bool](), [0.0], [0.0]
    for n in range(scene.requests):
        now_s = n * SPACING_S
        while waiting and waiting[0][0] <= n:
            result = waiting.pop(0)[1]
            shared[result.subject] = step(shared.get(result.subject), result, settings.learn, now_s)
        mine = replicas[chance.randrange(scene.replicas)]
        if n % (scene.delay + 1) == 0:
            for replica in replicas:
                replica.known = dict(shared)
        agent, tried, context = _ask(mine, settings, chance, now_s)
        odds = {OWNER: scene.success(n)}
        result = RouteResult(
            subject=agent, ok=chance.random() < odds.get(agent, OTHER_SUCCESS), latency_ms=500.0, context=context
        )
        waiting.append((n + 1 + scene.delay, result))
        best = max(odds[OWNER], OTHER_SUCCESS)
        asked.append(agent == OWNER)
        explored.append(tried)
        regret.append(regret[-1] + best - odds.get(agent, OTHER_SUCCESS))
        fixed.append(fixed[-1] + best - odds[OWNER])
    return Run(
        asked=tuple(asked), explored=tuple(explored), regret=tuple(regret[1:]), fixed_regret=tuple(fixed[1:])
    )


def share(asked: Sequence[bool], start: int, count: int) -> float:
    """Part of ``count`` requests from ``start`` on that went to ``OWNER``."""
    some = asked[start : start + count]
    return sum(some) / len(some)


def first(asked: Sequence[bool], start: int, end: int, holds: Callable[[float], bool], window: int) -> int:
    """Requests from ``start`` until the share of the next ``window`` first ``holds``; all if it never does."""
    for n in range(start, end - window + 1):
        if holds(share(asked, n, window)):
            return n - start
    return end - start


def _ask(
    replica: _Replica, settings: Settings, chance: Random, now_s: float
) -> tuple[str, bool, tuple[float, ...]]:
    averages = _averages(replica.known, settings, now_s)
    ranking = rank(_question(settings, chance), averages, settings.routing)
    linear = settings.learn.explore == "linucb"
    contexts = {c.agent: context_of(c, None, 200) for c in ranking.candidates} if linear else {}
    situation = Situation(
        waited=replica.turns.waited,
        contexts=contexts,
        moments={name: tally.moments for name, tally in replica.known.items()},
    )
    chosen = choose(ranking.candidates, averages, settings, situation, chance.random())
    agent = ranking.candidates[chosen.index].agent
    replica.turns.note(chosen, agent)
    return agent, chosen.explored, contexts.get(agent, ())


def _averages(known: Mapping[str, Tally], settings: Settings, now_s: float) -> dict[str, Averages]:
    return {name: aged(tally, settings.learn, now_s).averages() for name, tally in known.items()}


def _question(settings: Settings, chance: Random) -> Shortlist:
    """A question of ``OWNER``'s: sometimes clearly, sometimes narrowly."""
    own, other = 0.0, 1.0
    while own <= max(other, settings.routing.out_of_scope):
        own, other = chance.uniform(0.35, 0.9), chance.uniform(0.1, 0.45)
    intents = (own, other, settings.routing.out_of_scope)
    names = (OWNER, *OTHERS)
    matches = (
        Match(agent=name, similarity=intent, hits=Hits(), intent=intent, cost=1.0, latency=1.0)
        for name, intent in zip(names, intents, strict=True)
    )
    return Shortlist(matches=tuple(matches), familiar=True)
