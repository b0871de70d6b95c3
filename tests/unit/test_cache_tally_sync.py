"""Counts of one replica and of all: read at once, told behind the answer, loud when something changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import replace

import pytest

from configs.caching import BoundSettings
from engine.cache.bounded import Bound
from engine.cache.inmemory_tally import LocalTallies
from engine.cache.tally import DAY_S, Counts, TallyStore
from engine.cache.tally_sync import TallySync
from engine.types import Verdict
from memory.errors import BackendUnavailable
from tests.support.clock import FakeClock

RULES = BoundSettings(judge_min=100, agents_max=3, delta=0.02)
TODAY_S = 20_000.0 * DAY_S
REQUEST: ContextVar[str] = ContextVar("request", default="")


class Flaky:
    """A store that can be gone."""

    def __init__(self) -> None:
        self.kept = LocalTallies()
        self.gone = False
        self.adds = 0

    async def add(self, day: int, counts: Counts) -> None:
        """Add, unless gone."""
        self.adds += 1
        if self.gone:
            raise BackendUnavailable("redis.state", "planted")
        await self.kept.add(day, counts)

    async def read(self, days: tuple[int, ...]) -> Mapping[int, Counts]:
        """Read, unless gone."""
        if self.gone:
            raise BackendUnavailable("redis.state", "planted")
        return await self.kept.read(days)


def replica(
    store: TallyStore | None, clock: Callable[[], float], now_s: Callable[[], float] = lambda: TODAY_S
) -> TallySync:
    """One that shares ``store``."""

    async def opened() -> TallyStore:
        assert store is not None
        return store

    return TallySync(RULES, None if store is None else opened, clock=clock, now_s=now_s)


def verdict(probability: float, *, accepted: bool = True, rule: str = "accepted") -> Verdict:
    """Of guard and verifier."""
    return Verdict(accepted=accepted, rule=rule, detail="", similarity=0.9, probability=probability, threshold=0.5)


async def settled() -> None:
    """Let background tasks run to where they wait."""
    for _ in range(10):
        await asyncio.sleep(0)


def many(tallies: TallySync, count: int, *counters: str, agent: str = "python") -> None:
    """Count often."""
    for _ in range(count):
        tallies.count(agent, *counters)


@pytest.mark.req("cache.bound")
async def test_what_one_replica_counts_another_one_goes_by(clock: FakeClock, caplog: pytest.LogCaptureFixture):
    """Eight of a hundred wrong on one replica switch the other one off, and it says so with its figures."""
    store = LocalTallies()
    one, other = replica(store, clock), replica(store, clock)
    many(one, 92, "high.right", "served.right")
    many(one, 8, "high.wrong", "served.wrong")
    await one.flush()
    assert other.standing("python").stance == "normal"
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        await other.flush()
    found = other.standing("python")
    assert (found.stance, found.rate, found.compared) == ("off", 0.08, 100)
    assert other.standing("rust").stance == "off", "nobody knows anything of its own, so all count"
    assert "semantic hits of python: normal -> off" in caplog.text
    assert "8.00%" in caplog.text
    await one.aclose()
    await other.aclose()


@pytest.mark.req("cache.bound")
async def test_a_replica_that_only_reads_hears_of_the_others(clock: FakeClock):
    """In the background, when what it knows is older than ``refresh_s``; not before."""
    store = LocalTallies()
    idle = replica(store, clock)
    await idle.flush()
    await store.add(20_000, {("python", "high.wrong"): 200})
    assert idle.standing("python").stance == "normal"
    await settled()
    assert idle.standing("python").stance == "normal", "what it knows is fresh"
    clock.advance(RULES.refresh_s)
    idle.standing("python")
    await settled()
    assert idle.standing("python").stance == "off"
    await idle.aclose()


@pytest.mark.req("cache.bound")
async def test_counts_are_told_on_behalf_of_no_request(clock: FakeClock):
    """What fails in the background would otherwise be held against the request that counted first."""
    seen: list[str] = []

    async def opened() -> TallyStore:
        seen.append(REQUEST.get())
        return LocalTallies()

    tallies = TallySync(RULES, opened, clock=clock, now_s=lambda: TODAY_S)
    token = REQUEST.set("the first one")
    tallies.looked("semantic", "hit")
    await settled()
    REQUEST.reset(token)
    await tallies.aclose()
    assert seen == [""]


@pytest.mark.req("cache.bound")
async def test_an_agent_that_speaks_for_itself_does_not_pay_for_another(clock: FakeClock):
    """``python`` is wrong too often, ``rust`` has a hundred right ones of its own."""
    tallies = replica(None, clock)
    many(tallies, 50, "high.right")
    many(tallies, 50, "high.wrong")
    many(tallies, 100, "high.right", agent="rust")
    stances = {agent: tallies.standing(agent).stance for agent in ("python", "rust", "go")}
    assert stances == {"python": "off", "rust": "normal", "go": "off"}
    assert set(tallies.standings()) == {"", "python", "rust"}


@pytest.mark.req("cache.bound")
async def test_a_store_that_is_gone_leaves_the_process_with_its_own_counts(clock: FakeClock):
    """They count here; what may have counted there is not sent twice; afterwards it shares again."""
    store = Flaky()
    tallies = replica(store, clock)
    store.gone = True
    many(tallies, 100, "high.wrong")
    await tallies.flush()
    assert tallies.standing("python").stance == "off"
    assert "planted" in tallies.degraded
    assert (tallies.dropped, store.adds) == (100, 1)
    await tallies.flush()
    assert store.adds == 1, "left alone for a while"
    store.gone = False
    clock.advance(RULES.alone_s)
    tallies.count("python", "high.right")
    await tallies.flush()
    assert tallies.degraded == ""
    assert await store.kept.read((20_000,)) == {20_000: {("python", "high.right"): 1}}
    assert tallies.standing("python").stance == "normal", "what the others know is what counts"
    await tallies.aclose()


@pytest.mark.req("cache.bound")
async def test_days_leave_the_window(clock: FakeClock):
    """A bad day is forgotten when it is older than the window, not before."""
    now = FakeClock()
    now.advance(TODAY_S - now())
    tallies = replica(None, clock, now)
    many(tallies, 100, "high.wrong")
    now.advance((RULES.window_days - 1) * DAY_S)
    tallies.count("python", "lookup.semantic.miss")
    assert tallies.standing("python").stance == "off"
    now.advance(DAY_S)
    tallies.count("python", "lookup.semantic.miss")
    assert tallies.standing("python").stance == "normal"
    assert tallies.standing("").stance == "normal"


@pytest.mark.req("cache.bound")
async def test_an_exact_lookup_wakes_nobody_and_a_semantic_one_tells_the_others(clock: FakeClock):
    """An exact hit must not start ``redis.state``; its count goes along with the next one."""
    store = Flaky()
    tallies = replica(store, clock)
    tallies.looked("exact", "hit", "python")
    await tallies.aclose()
    assert (store.adds, tallies.lookups()) == (0, {("exact", "hit"): 1})
    tallies = replica(store, clock)
    tallies.looked("exact", "hit", "python")
    tallies.looked("semantic", "miss")
    await tallies.aclose()
    assert await store.kept.read((20_000,)) == {
        20_000: {("python", "lookup.exact.hit"): 1, ("", "lookup.semantic.miss"): 1}
    }


@pytest.mark.req("cache.bound")
async def test_agents_beyond_the_limit_count_for_all_only(clock: FakeClock):
    """Names are bounded."""
    tallies = replica(None, clock)
    for number in range(20):
        many(tallies, 100, "high.right", agent=f"agent-{number}")
    assert len(tallies.standings()) <= RULES.agents_max + 1
    many(tallies, 500, "high.wrong", agent="agent-19")
    assert tallies.standing("agent-19").stance == "off"


# one decision per candidate


@pytest.mark.req("cache.bound")
async def test_the_bound_refuses_by_its_own_rules_and_says_which(clock: FakeClock):
    """Below the entry's threshold; tight; off; and a refusal of somebody else stays what it was."""
    tallies = replica(None, clock)
    bound = Bound(RULES, tallies, chance=lambda: 0.5)
    assert bound(verdict(0.985), (), "python").accepted
    assert bound(verdict(0.9), (), "python").rule == "bound"
    refused = verdict(0.999, accepted=False, rule="verifier")
    assert bound(refused, (), "python") is refused
    many(tallies, 95, "high.right")
    many(tallies, 5, "low.wrong")
    assert bound(verdict(0.985), (), "python").rule == "bound_tight"
    assert bound(verdict(0.999), (), "python").accepted
    many(tallies, 20, "high.wrong")
    assert bound(verdict(0.999), (), "python").rule == "bound_off"


@pytest.mark.req("cache.bound")
async def test_comparisons_teach_the_entry_and_the_tally(clock: FakeClock):
    """A shadowed hit, a withheld one, one below the threshold; unsure ones teach nobody."""
    tallies = replica(None, clock)
    bound = Bound(RULES, tallies, chance=lambda: 0.5)
    hit = bound(verdict(0.999), (), "python")
    bound.looked(hit, "python")
    seen = bound.compared(hit, "python", "different")
    assert seen is not None
    assert (seen.score, seen.right) == (0.999, False)
    assert bound.compared(hit, "python", "unsure") is None
    found = tallies.standing("python")
    assert (found.compared, found.wrong) == (1, 1)
    below = bound(verdict(0.95), (), "python")
    assert bound.compared(below, "python", "same") is not None
    assert tallies.standing("python").compared == 1
    doubted = bound(verdict(0.6), (), "python")
    assert bound.compared(doubted, "python", "same") is None
    assert [bound.wants(v) for v in (below, doubted, hit, None)] == [True, False, False, False]


@pytest.mark.req("cache.bound")
async def test_what_a_model_vouched_for_is_served_until_delta_is_exceeded(clock: FakeClock):
    """Its score is low, so it is neither firm nor an observation; it counts all the same."""
    tallies = replica(None, clock)
    bound = Bound(RULES, tallies, chance=lambda: 0.5)
    vouched = replace(verdict(0.6), grey=True)
    assert bound(vouched, (), "python") is vouched
    assert bound.compared(vouched, "python", "different") is None
    assert tallies.standing("python").wrong == 1
    many(tallies, 95, "high.right")
    many(tallies, 5, "low.wrong")
    assert bound(vouched, (), "python").rule == "bound_tight"
    many(tallies, 20, "high.wrong")
    assert bound(vouched, (), "python").rule == "bound_off"


@pytest.mark.req("cache.bound")
async def test_a_bad_verifier_is_switched_off_and_a_good_one_is_not(clock: FakeClock):
    """It calls 99.9 % what is right in 80 %: off within a few hundred hits; its calibrated twin serves on."""

    def served_of_last_hundred(wrong_every: int) -> int:
        tallies = replica(None, clock)
        bound, served = Bound(RULES, tallies, chance=lambda: 0.5), 0
        for ask in range(600):
            said = bound(verdict(0.999), (), "python")
            bound.looked(said, "python")
            served += said.accepted and ask >= 500
            bound.compared(said, "python", "different" if ask % wrong_every == 0 else "same")
        return served

    assert served_of_last_hundred(5) == 0
    assert served_of_last_hundred(200) == 100


@pytest.mark.req("cache.bound")
async def test_a_share_of_hits_is_shadowed(clock: FakeClock):
    """By the sample: below the share yes, at it no."""
    tallies = replica(None, clock)
    assert Bound(RULES, tallies, chance=lambda: RULES.shadow_share - 1e-9).shadows()
    assert not Bound(RULES, tallies, chance=lambda: RULES.shadow_share).shadows()
