"""The copy of shared averages that a process reads: at once, behind the answer, and alone when Redis is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from configs.routing import LearnSettings
from engine.learning.contract import RouteResult, Standing
from engine.learning.inmemory import LocalOutcomes
from engine.learning.learned import LearnedAverages
from memory.errors import BackendUnavailable, FolderNotUsable
from tests.support.clock import FakeClock

RULES = LearnSettings()
PYTHON = "agent:python"
FAILED = RouteResult(subject=PYTHON, ok=False)
WORKED = RouteResult(subject=PYTHON, ok=True)


class Store(LocalOutcomes):
    """A shared store whose clock is another one, that counts messages and can be gone."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(RULES, clock=lambda: clock() + 1e9)
        self.gone = False
        self.messages: list[str] = []
        self.hold: asyncio.Event | None = None
        self.asked = asyncio.Event()

    async def record(self, results: Sequence[RouteResult]) -> Standing:
        await self._asked(f"record {len(results)}")
        return await super().record(results)

    async def look(self, subjects: Sequence[str]) -> Standing:
        await self._asked(f"look {len(subjects)}")
        return await super().look(subjects)

    async def _asked(self, what: str) -> None:
        self.messages.append(what)
        self.asked.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.gone:
            raise BackendUnavailable("redis.state", "gone")


@dataclass(slots=True)
class Lab:
    """A store and processes that share it."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: Store = field(init=False)
    opened: int = 0
    members: list[LearnedAverages] = field(default_factory=list[LearnedAverages])

    def __post_init__(self) -> None:
        self.store = Store(self.clock)

    def join(self, rules: LearnSettings = RULES) -> LearnedAverages:
        """One more process."""
        self.members.append(LearnedAverages(rules, self._open, clock=self.clock))
        return self.members[-1]

    async def _open(self) -> Store:
        self.opened += 1
        return self.store


@pytest.fixture
async def lab(clock: FakeClock) -> AsyncIterator[Lab]:
    """Closed at the end."""
    made = Lab(clock)
    yield made
    for member in made.members:
        await member.aclose()


@pytest.mark.req("route.learn")
async def test_an_own_result_counts_at_once_and_costs_no_message(lab: Lab):
    """Reading and recording do not wait: nothing was opened, nothing was sent."""
    mine = lab.join()
    mine.record([FAILED])
    assert mine.now([PYTHON])[PYTHON].success == 0.9
    assert (lab.opened, lab.store.messages) == (0, [])


@pytest.mark.req("route.learn")
async def test_what_one_process_learned_another_reads_without_waiting(lab: Lab):
    """Results of many requests travel in one message; a refresh brings them to whoever has asked."""
    mine, other = lab.join(), lab.join()
    other.now([PYTHON])
    for _ in range(5):
        mine.record([FAILED])
    await mine.flush()
    await other.flush()
    assert lab.store.messages == ["record 5", "look 1"]
    assert other.now([PYTHON])[PYTHON] == mine.now([PYTHON])[PYTHON]
    assert (await other.health(["python", "nobody"])).keys() == {"python"}


@pytest.mark.req("route.learn")
async def test_reading_fetches_again_only_when_the_copy_is_old(lab: Lab):
    """At most one look per ``refresh_s``, however often it is read."""
    mine = lab.join()
    for _ in range(3):
        mine.now([PYTHON])
        await mine.flush()
    assert lab.store.messages == ["look 1"]
    lab.clock.advance(RULES.refresh_s)
    mine.now([PYTHON])
    await mine.flush()
    assert lab.store.messages == ["look 1", "look 1"]


@pytest.mark.req("route.learn")
async def test_results_that_come_while_a_message_is_on_its_way_are_not_lost(lab: Lab):
    """They count on top of what the reply says, and are sent next."""
    mine, lab.store.hold = lab.join(), asyncio.Event()
    mine.record([FAILED])
    sending = asyncio.create_task(mine.flush())
    await lab.store.asked.wait()
    mine.record([FAILED])
    lab.store.hold.set()
    await sending
    assert mine.now([PYTHON])[PYTHON].count == 2
    await mine.flush()
    assert (await lab.store.averages([PYTHON]))[PYTHON].count == 2


@pytest.mark.req("route.learn")
async def test_without_redis_a_process_goes_on_with_its_own_averages_and_says_so(lab: Lab):
    """Nothing raises; what the others will never hear of is counted; nobody is asked for ``alone_s``."""
    mine, lab.store.gone = lab.join(), True
    mine.record([FAILED, FAILED])
    await mine.flush()
    mine.record([FAILED])
    await mine.flush()
    assert lab.store.messages == ["record 2"]
    assert (mine.dropped, mine.now([PYTHON])[PYTHON].count) == (3, 3)
    assert "redis.state: gone" in mine.degraded
    lab.clock.advance(RULES.alone_s)
    lab.store.gone = False
    mine.record([WORKED])
    await mine.flush()
    assert (mine.degraded, mine.dropped) == ("", 3)
    assert mine.now([PYTHON])[PYTHON].count == 1, "the shared record counts from here on"


@pytest.mark.req("route.learn")
async def test_a_folder_that_holds_no_redis_is_no_failure_of_a_request(clock: FakeClock):
    """Whatever the store says when it is opened, the averages go on."""

    async def refused() -> Store:
        raise FolderNotUsable("/nowhere", "is read-only")

    mine = LearnedAverages(RULES, refused, clock=clock)
    mine.record([FAILED])
    await mine.aclose()
    assert (mine.now([PYTHON])[PYTHON].count, mine.dropped) == (1, 1)
    assert "read-only" in mine.degraded


@pytest.mark.req("route.learn")
async def test_models_and_contexts_are_read_by_plain_names(lab: Lab):
    """As the router asks: model ids, agents' names; one without statistics is left out."""
    mine = lab.join()
    mine.record([RouteResult(subject="model:mini", ok=False), WORKED])
    mine.record([RouteResult(subject="agent:rust", ok=True, context=(1.0, 0.5))])
    assert {name: known.success for name, known in mine.models(["mini", "other"]).items()} == {"mini": 0.9}
    assert mine.in_context(["python", "rust"]) == {"rust": (1.0, 0.5, 0.5, 0.25, 1.0, 0.5)}


@pytest.mark.req("route.learn")
async def test_what_waits_to_be_sent_is_bounded(lab: Lab):
    """Beyond ``unsent_max`` results count here only."""
    mine = lab.join(RULES.model_copy(update={"unsent_max": 3}))
    for _ in range(5):
        mine.record([FAILED])
    await mine.flush()
    assert (lab.store.messages, mine.dropped) == (["record 3"], 2)


@pytest.mark.req("route.learn")
async def test_what_was_learned_before_the_clocks_were_compared_keeps_its_age(lab: Lab):
    """What was learned alone is neither older nor younger once the store's clock is known."""
    mine, lab.store.gone = lab.join(), True
    mine.record([RouteResult(subject="agent:sql", ok=False)])
    await mine.flush()
    lab.store.gone = False
    lab.clock.advance(RULES.half_life_s)
    mine.record([FAILED])
    await mine.flush()
    assert not mine.degraded
    assert mine.now(["agent:sql"])["agent:sql"].success == pytest.approx(0.95)
    lab.clock.advance(RULES.half_life_s)
    assert mine.now(["agent:sql"])["agent:sql"].success == pytest.approx(0.975)


@pytest.mark.req("route.learn")
async def test_the_background_task_sends_by_itself_and_ends(lab: Lab):
    """Nobody has to flush."""
    mine = lab.join(RULES.model_copy(update={"send_s": 1e-4}))
    mine.record([WORKED])
    await lab.store.asked.wait()
    await mine.aclose()
    assert lab.store.messages == ["record 1"]


@pytest.mark.req("route.learn")
async def test_closing_sends_what_is_left(lab: Lab):
    """A clean end loses nothing."""
    mine = lab.join()
    mine.record([WORKED])
    await mine.aclose()
    assert lab.store.messages == ["record 1"]


@pytest.mark.req("route.learn")
@pytest.mark.parametrize("off", [{"shared": False}, {"enabled": False}])
async def test_nothing_is_shared_when_that_is_switched_off(lab: Lab, off: dict[str, bool]):
    """``shared`` off: this process alone; ``enabled`` off: nothing is learned."""
    mine = lab.join(RULES.model_copy(update=off))
    mine.record([FAILED])
    await mine.flush()
    assert (lab.opened, lab.store.messages) == (0, [])
    assert (PYTHON in mine.now([PYTHON])) == ("shared" in off)
