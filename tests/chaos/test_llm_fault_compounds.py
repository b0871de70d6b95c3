"""Several rows of the fault catalogue at once, drawn at random: every request ends as its chain must.

Two to four routes, each with a fault of its own, before one that is well. The first route that answers or refuses
for good decides; the others are passed, whether they fail, park or are skipped by then. Asked one by one, at once
and streamed. The seed is the test's id; a failing one is run again with ``-k 'seed[17]'``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from configs.errors import SwitchgearError
from configs.kernel import Outcome
from engine.chaos.faults import fault_named
from engine.chaos.provider import ScriptedProvider
from engine.errors import AnswerInterrupted
from engine.events import Event, Final
from tests.support.fault_lab import GOOD, PRICE, Lab, Told, fault_lab, one_encoder
from tests.support.llm_cases import CASES, Case, is_charged_as

__all__ = ["one_encoder"]

pytestmark = [
    pytest.mark.usefixtures("one_encoder"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.req("brk.fallback", "brk.classify"),
]
QUICK_S, IDLE_S = 0.4, 0.6
"""Only where a fault needs them: on a busy machine a well answer can be late too."""
STARTS_LATE = {"hang", "hang-after-headers", "slow-headers", "slow-first-token"}
FALLS_SILENT = {"trickle", "silence"}
SHOWS_TEXT = {
    *("reset-mid-stream", "close-mid-stream", "no-finish", "no-done", "error-event", "trickle", "silence"),
    *("bad-line", "huge", "filter"),
}
"""Faults that begin after text: a stream that was watched cannot be continued by another route (F4)."""
BATCHES, BATCH = 20, 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Compound:
    """One draw: a fault for each route, and how often it is asked in which way."""

    cases: tuple[Case, ...]
    in_turn: int
    at_once: int
    streamed: int

    @property
    def models(self) -> tuple[str, ...]:
        """The chain."""
        return (*(f"bad{n}" for n in range(len(self.cases))), GOOD)

    @property
    def decides(self) -> int:
        """Place of the route that gives the answer or the refusal; after all faults, the well one."""
        final = (n for n, case in enumerate(self.cases) if case.ends != GOOD)
        return next(final, len(self.cases))

    @property
    def impatient(self) -> dict[str, dict[str, object]]:
        """Settings of the routes that are waited for in vain."""
        late = (m for m, case in zip(self.models, self.cases, strict=False) if case.fault in STARTS_LATE)
        return {model: {**PRICE, "first_token_s": QUICK_S} for model in late}

    @property
    def falls_silent(self) -> bool:
        """Whether some route stops in the middle, so that a short idle timeout is worth its risk."""
        return any(case.fault in FALLS_SILENT for case in self.cases)

    def expected(self) -> str:
        """The model that answers, or the class of the error."""
        if self.decides == len(self.cases):
            return GOOD
        case = self.cases[self.decides]
        return self.models[self.decides] if case.outcome is Outcome.OK else case.ends


def compound(seed: int) -> Compound:
    """The draw of a seed. Faults that fall back are likelier, so that chains are walked to their end."""
    drawn = random.Random(seed)
    passing = [case for case in CASES if case.ends == GOOD]
    pool = [passing if drawn.random() < 0.85 else CASES for _ in range(drawn.randint(2, 4))]
    cases = tuple(drawn.choice(cases) for cases in pool)
    takes_time = any(case.fault in STARTS_LATE | FALLS_SILENT for case in cases)
    return Compound(
        cases=cases,
        in_turn=1 if takes_time else drawn.randint(1, 2),
        at_once=drawn.randint(0, 3),
        streamed=drawn.randint(0, 1),
    )


async def run(seed: int, folder: Path, provider: ScriptedProvider) -> None:
    """Play one compound and hold every request to it."""
    draw = compound(seed)
    for model, case in zip(draw.models, draw.cases, strict=False):
        provider.script(fault_named(case.fault).play(case.seconds), model=model)
    sections: dict[str, Any] = {
        "urls": dict.fromkeys(draw.models, provider.url),
        "models": {**dict.fromkeys(draw.models, PRICE), **draw.impatient},
        "shield": {"retries": 0, **({"idle_s": IDLE_S} if draw.falls_silent else {})},
        "http": {"response_bytes_max": 60_000},
        "request": {"answer_bytes_max": 20_000},
    }
    async with fault_lab(folder, provider, **sections) as lab:
        told = [await lab.ask(*draw.models) for _ in range(draw.in_turn)]
        assert_calls_match(draw, provider)
        told += await asyncio.gather(*(lab.ask(*draw.models) for _ in range(draw.at_once)))
        for one in told:
            assert_as_drawn(draw, one)
        for _ in range(draw.streamed):
            await assert_stream_as_drawn(draw, lab)
        await lab.assert_clean()


def assert_calls_match(draw: Compound, provider: ScriptedProvider) -> None:
    """Asked in turn: every route up to the deciding one each time, a parked one once, those behind it never."""
    for place, model in enumerate(draw.models):
        asked = draw.in_turn if place <= draw.decides else 0
        parks = place < len(draw.cases) and draw.cases[place].b == "parked"
        assert provider.calls[model] == (min(1, asked) if parks else asked), model


def assert_as_drawn(draw: Compound, told: Told) -> None:
    """Result, order of the legs, outcome and charge of each."""
    assert told.ended == draw.expected()
    assert [a.model for a in told.attempts] == list(draw.models[: draw.decides + 1])
    for case, attempt in zip(draw.cases, told.attempts, strict=False):
        assert attempt.outcome in ({case.outcome} if attempt.called else {Outcome.REFUSED})
        assert is_charged_as(case.cost if attempt.called else "nothing", attempt), attempt


async def assert_stream_as_drawn(draw: Compound, lab: Lab) -> None:
    """Watched: the same, unless a route shows text before it breaks and is still asked by then."""
    events: list[Event] = []
    error: SwitchgearError | None = None
    try:
        await collect(lab.engine.stream("hello you", agent="general", cache="off", models=draw.models), events)
    except SwitchgearError as exc:
        error = exc
    first = next((n for n, c in enumerate(draw.cases[: draw.decides + 1]) if c.fault in SHOWS_TEXT), None)
    if isinstance(error, AnswerInterrupted):
        assert first is not None
        assert error.partial
        return
    last = events[-1] if events else None
    answer = last.answer if isinstance(last, Final) else None
    if first is not None:
        assert draw.cases[first].b == "counted"  # only an open breaker keeps it from being asked and breaking
        assert (await lab.view(draw.models[first])).consecutive_failures >= 5
    assert Told(answer=answer, error=error).ended == draw.expected()


async def collect(events: AsyncGenerator[Event], into: list[Event]) -> None:
    """Append every event, keeping those before an error."""
    async with aclosing(events):
        async for event in events:
            into.append(event)  # noqa: PERF401 - a comprehension would lose them when it raises


@pytest.mark.parametrize("seed", range(30), ids="seed[{}]".format)
async def test_a_compound_of_faults_ends_as_its_chain_must(
    provider: ScriptedProvider, tmp_path: Path, seed: int
) -> None:
    """Result, order, calls, breaker and charge; nothing held or left open; the well route stays well."""
    await run(seed, tmp_path, provider)
    assert provider.calls[GOOD] >= 1


@pytest.mark.long
@pytest.mark.parametrize("batch", range(BATCHES))
async def test_a_thousand_compounds_of_faults_end_as_their_chains_must(tmp_path: Path, batch: int) -> None:
    """The same with a thousand more seeds; the one that fails is printed."""
    for seed in range(1_000 + batch * BATCH, 1_000 + (batch + 1) * BATCH):
        print("seed", seed)  # noqa: T201 - pytest shows it when the test fails
        async with ScriptedProvider() as provider:
            await run(seed, tmp_path, provider)
            assert provider.calls[GOOD] >= 1


def test_the_draws_cover_the_catalogue() -> None:
    """A thousand seeds hold every case, and chains of each length and end."""
    draws = [compound(seed) for seed in range(1_000, 2_000)]
    assert {case.fault for draw in draws for case in draw.cases} == {case.fault for case in CASES}
    assert {len(draw.cases) for draw in draws} == {2, 3, 4}
    assert {"RejectedByModel", GOOD, "bad0"} <= {draw.expected() for draw in draws}
    assert sum(draw.expected() == GOOD for draw in draws) > 500
    assert draws == [compound(seed) for seed in range(1_000, 2_000)]
