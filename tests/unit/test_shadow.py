"""Checks in the background: a share of hits answered afresh, fresh answers held against what was kept back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from configs.caching import BoundSettings, CacheSettings
from configs.errors import SwitchgearError
from configs.kernel import Money, Principal, Usage
from configs.settings import Settings
from engine.cache.bounded import Bound
from engine.cache.inmemory import InMemoryAnswerCache
from engine.cache.tally import SERVED_RIGHT, SERVED_WRONG
from engine.cache.tally_sync import TallySync
from engine.cached import Match, Observation
from engine.errors import AllRoutesUnavailable
from engine.gateway.admit import Options, build_request
from engine.lineage import within_parent
from engine.shadow import Checks, Shadows
from engine.types import SHADOW, Answer, Request, Verdict
from memory.errors import BackendUnavailable
from tests.support.answer_caches import DECISION, answer, at_angle, entry, lookup, place
from tests.support.clock import FakeClock
from tests.support.paraphrases import verdict

AT = place("stored")
SCORE = 0.99


def request_of(**options: Any) -> Request:
    """A request of user ada with all that a check must not repeat."""
    options = {"tags": {"team": "red"}, "on_unavailable": "queue", "webhook": "https://example.com/hook"} | options
    return build_request("?", Principal(user_id="ada"), Options(**options), Settings(), request_id="r", now_s=0.0)


def fresh(text: str, **changes: object) -> Answer:
    """An answer that a model has just given."""
    made = Answer(
        text=text,
        source="model",
        agent="sql",
        decision=DECISION,
        attempts=(),
        usage=Usage(),
        cost=Money(),
        latency_ms=1.0,
        request_id="r",
        trace_id="t",
    )
    return replace(made, **changes)


def near(text: str = "It opens at nine.", said: Verdict | None = None) -> Match:
    """A stored answer that was served, or would have been but for the bound."""
    stored = answer(text)
    said = verdict(SCORE) if said is None else said
    return Match(answer=stored if said.accepted else None, place=AT, verdict=said, stored=stored)


@dataclass
class World:
    """The checks of one engine, whose models and encoder are told what to say."""

    says: str = "It opens at nine."
    chance: float = 0.0
    fails: SwitchgearError | None = None
    gate: asyncio.Event | None = None
    unreadable: bool = False
    asked: list[Request] = field(default_factory=list[Request])

    def __post_init__(self) -> None:
        """Put it together."""
        self.settings = Settings(cache=CacheSettings(bound=BoundSettings(shadow_share=0.1, checks_max=2)))
        rules = self.settings.cache.bound
        self.store = InMemoryAnswerCache(self.settings.cache, now_s=FakeClock())
        self.tallies = TallySync(rules, None, clock=FakeClock(), now_s=lambda: 1e9)
        bound = Bound(rules, self.tallies, chance=lambda: self.chance)
        checks = Checks(
            store=self.store, bound=bound, tallies=self.tallies, encode=self._encode, again=self._again
        )
        self.shadows = Shadows(checks, self.settings)

    async def observed(self) -> tuple[Observation, ...]:
        """What the entry has learned, once all checks have ended."""
        await self.settle()
        found = await self.store.nearest(lookup("stored"), at_angle(0.0), count=1, similarity_min=0.0)
        return found[0].observations

    async def settle(self) -> None:
        """Wait for the checks under way; what one of them raises is raised here."""
        await asyncio.gather(*self.shadows._work)
        await asyncio.sleep(0)

    async def keep(self) -> World:
        """Store the entry that the checks are about."""
        await self.store.put(entry(AT, answer("It opens at nine."), degrees=0.0))
        return self

    async def _again(self, request: Request) -> Answer:
        self.asked.append(request)
        if self.gate is not None:
            await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        return fresh(self.says)

    async def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.unreadable:
            raise BackendUnavailable("encoder", "gone")
        return np.stack([at_angle(0.0 if text == "It opens at nine." else 90.0) for text in texts])


@pytest.mark.req("cache.bound")
async def test_a_share_of_hits_is_answered_afresh_and_the_rest_is_not():
    """Below the share a check is made, from the share on none is."""
    world = await World(chance=0.0999).keep()
    world.shadows.served(request_of(), near())
    await world.settle()
    assert len(world.asked) == 1
    world.chance = 0.1
    world.shadows.served(request_of(), near())
    await world.settle()
    assert len(world.asked) == 1


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize(
    ("says", "right"), [("It opens at nine.", True), ("Elephants never forget anything", False)]
)
async def test_what_a_check_found_is_remembered_with_the_entry_and_counted(says: str, right: bool):
    """The same answer again: right. Another one: wrong. The score is the verifier's for the pair."""
    world = await World(says=says).keep()
    world.shadows.served(request_of(), near())
    assert await world.observed() == (Observation(score=SCORE, right=right),)
    counted = world.tallies._totals[None]
    assert (counted[SERVED_RIGHT], counted[SERVED_WRONG]) == (int(right), int(not right))


@pytest.mark.req("cache.bound")
async def test_a_check_is_a_request_of_its_own_that_nobody_pays_for_with_patience():
    """Past the cache, behind everybody else, never queued, told to nobody, with its own time; marked by a tag."""
    world = await World().keep()
    request = request_of(idempotency_key="k")
    world.shadows.served(request, near())
    await world.settle()
    (shadow,) = world.asked
    assert (shadow.cache, shadow.priority, shadow.on_unavailable) == ("off", "low", "error")
    assert (shadow.webhook, shadow.idempotency_key) == (None, None)
    assert shadow.tags == {"team": "red", SHADOW: "r"}
    assert shadow.id != request.id
    assert shadow.deadline.at_s > request.deadline.at_s
    assert (shadow.principal, shadow.messages) == (request.principal, request.messages)


@pytest.mark.req("cache.bound")
async def test_a_check_is_nobodys_child():
    """A hit at the greatest depth is checked all the same, and not in what is left of its request's time."""
    world = await World().keep()
    with within_parent(request_of(), 1) as request:
        again = world.shadows._checks.again

        async def nested(asked: Request) -> Answer:
            with within_parent(asked, 1) as inner:
                return await again(inner)

        world.shadows._checks = replace(world.shadows._checks, again=nested)
        world.shadows.served(request, near())
        await world.settle()
    (shadow,) = world.asked
    assert shadow.deadline.at_s > request.deadline.at_s


@pytest.mark.req("cache.bound")
async def test_what_comes_on_top_of_the_checks_under_way_is_not_checked():
    """Two at once; when they have ended there is room again."""
    world = await World(gate=asyncio.Event()).keep()
    assert world.gate is not None
    for _ in range(5):
        world.shadows.served(request_of(), near())
    await asyncio.sleep(0)
    assert len(world.asked) == 2
    world.gate.set()
    await world.settle()
    world.shadows.served(request_of(), near())
    await world.settle()
    assert len(world.asked) == 3


@pytest.mark.req("cache.bound")
async def test_a_fresh_answer_is_held_against_one_that_the_bound_kept_back():
    """It costs no call. What verification itself refused has nothing to tell the entry."""
    world = await World().keep()
    kept = near(said=verdict(0.97, rule="bound"))
    world.shadows.answered(kept, fresh("It opens at nine."))
    world.shadows.answered(near(said=verdict(None, rule="number")), fresh("It opens at nine."))
    world.shadows.answered(near(said=verdict(0.5, rule="verifier")), fresh("It opens at nine."))
    world.shadows.answered(Match(answer=None), fresh("It opens at nine."))
    assert await world.observed() == (Observation(score=0.97, right=True),)
    assert world.asked == []


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize("broken", [{"degraded": ("fallback",)}, {"truncated": True}])
async def test_half_an_answer_proves_nothing(broken: dict[str, object]):
    """Cut or given by somebody else than meant: not compared; the twin above is."""
    world = await World().keep()
    world.shadows.answered(near(said=verdict(0.97, rule="bound")), fresh("Elephants", **broken))
    assert await world.observed() == ()


@pytest.mark.req("cache.bound")
async def test_a_check_that_fails_fails_nobody():
    """No route, no encoder, no store: nothing is raised and nothing counted; the next check is made."""
    world = await World(fails=AllRoutesUnavailable(())).keep()
    world.shadows.served(request_of(), near())
    assert await world.observed() == ()
    world.fails, world.unreadable = None, True
    world.shadows.served(request_of(), near())
    assert await world.observed() == ()
    world.unreadable = False

    async def gone(*_: object) -> None:
        raise BackendUnavailable("redis.cache", "gone")

    observe, world.store.observe = world.store.observe, gone  # pyright: ignore[reportAttributeAccessIssue] - fails
    world.shadows.served(request_of(), near())
    assert await world.observed() == ()
    world.store.observe = observe
    world.shadows.served(request_of(), near())
    assert await world.observed() == (Observation(score=SCORE, right=True),)


@pytest.mark.req("cache.bound")
async def test_closing_ends_the_checks_under_way():
    """They hang in a model; closing does not wait for it, and nothing is learned."""
    world = await World(gate=asyncio.Event()).keep()
    world.shadows.served(request_of(), near())
    await asyncio.sleep(0)
    await world.shadows.aclose()
    assert len(world.asked) == 1
    assert await world.observed() == ()


@pytest.mark.req("cache.bound")
async def test_lookups_of_both_tiers_are_counted_by_what_they_came_to():
    """Hits, misses and refusals, each under its tier and agent."""
    world = World()
    world.shadows.exact(None)
    world.shadows.exact(answer())
    world.shadows.looked(Match(answer=None))
    world.shadows.looked(near())
    world.shadows.looked(near(said=verdict(0.97, rule="bound")))
    assert world.tallies.lookups() == {
        ("exact", "miss"): 1,
        ("exact", "hit"): 1,
        ("semantic", "miss"): 1,
        ("semantic", "hit"): 1,
        ("semantic", "refused"): 1,
    }
    assert world.tallies._totals["sql"]["lookup.semantic.hit"] == 1
