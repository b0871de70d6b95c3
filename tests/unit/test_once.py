"""A value that many ask for is made once; a failure is not remembered."""

from __future__ import annotations

import asyncio

import pytest

from engine.once import Once


async def test_a_hundred_callers_share_one_making():
    """All of them get the same value, made once."""
    made: list[object] = []
    go = asyncio.Event()

    async def make() -> object:
        await go.wait()
        made.append(object())
        return made[-1]

    once = Once(make)
    assert once.peek() is None
    callers = [asyncio.create_task(once.get()) for _ in range(100)]
    await asyncio.sleep(0)
    go.set()
    values = await asyncio.gather(*callers)
    assert made == [values[0]]
    assert set(map(id, values)) == {id(made[0])}
    assert once.peek() is made[0]


async def test_a_failure_reaches_the_caller_and_the_next_caller_tries_again():
    """An outage at the first use does not break the engine for ever."""
    outcomes = iter([OSError("down"), "up"])

    async def make() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    once = Once(make)
    with pytest.raises(OSError, match="down"):
        await once.get()
    assert await once.get() == "up"


async def test_a_cancelled_caller_does_not_cancel_the_others():
    """One client leaving does not take the load away from the rest."""
    go = asyncio.Event()

    async def make() -> str:
        await go.wait()
        return "made"

    once = Once(make)
    leaving, staying = asyncio.create_task(once.get()), asyncio.create_task(once.get())
    await asyncio.sleep(0)
    leaving.cancel()
    go.set()
    assert await staying == "made"
    assert leaving.cancelled() or await asyncio.wait((leaving,))
