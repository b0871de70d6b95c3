"""When the first model cannot answer: the next leg does, the record says why, and the breaker remembers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from configs.kernel import Outcome
from engine.app import Engine
from engine.contract import BreakerState
from engine.cost.ledger import DenyingLedger
from engine.errors import AllRoutesUnavailable, AnswerInterrupted, DeadlineExceeded
from engine.events import Event, FellBack, Final, Routed, Token
from tests.support.engines import closed_port, engine_settings
from tests.support.provider import RESET, Play, ScriptedProvider, tokens


async def collect(events: AsyncGenerator[Event], into: list[Event]) -> None:
    """Append every event, keeping those before an error."""
    async with aclosing(events):
        async for event in events:
            into.append(event)  # noqa: PERF401 - a comprehension would lose them when it raises


@pytest.mark.req("brk.fallback", "run.single")
async def test_a_closed_port_is_answered_by_the_fallback_and_the_record_says_why(tmp_path: Path):
    """Shown by: the first model's URL points at a closed port."""
    async with ScriptedProvider() as provider:
        urls = {"first": closed_port(), "second": provider.url}
        async with Engine.open(settings=await engine_settings(tmp_path, urls)) as engine:
            answer = await engine.execute("Write a haiku about rain", user_id="ada")
    assert answer.text == "ok"
    assert answer.model == "second"
    assert answer.degraded == ("fallback",)
    assert [(a.model, a.outcome) for a in answer.attempts] == [("first", Outcome.FAIL), ("second", Outcome.OK)]
    assert "connect" in (answer.attempts[0].error or "").lower()


@pytest.mark.req("brk.semantics", "brk.everywhere")
async def test_after_five_failures_the_breaker_is_open_and_no_connection_is_attempted(tmp_path: Path):
    """Counted at the provider: five calls reach it, the sixth request and all later ones do not."""
    async with ScriptedProvider() as provider:
        provider.script(status=500, body="{}", model="bad")
        urls = {"bad": provider.url, "good": provider.url}
        settings = await engine_settings(tmp_path, urls, shield={"retries": 0})
        async with Engine.open(settings=settings) as engine:
            answers = [await engine.execute(f"Tell me about day {i}", cache="off") for i in range(9)]
            view = await engine.breakers(("model:p-bad/bad#none",))
        assert len(provider.requests_for("bad")) == settings.breaker.consecutive_failures
    assert all(a.text.endswith("ok") for a in answers)  # an agent may open with a sentence of its own
    assert view["model:p-bad/bad#none"].state is BreakerState.OPEN
    sixth = answers[5].attempts[0]
    assert (sixth.outcome, sixth.called, sixth.tries, sixth.breaker) == (Outcome.REFUSED, False, 0, "open")
    assert sixth.retry_after_s is not None
    assert sixth.retry_after_s > 0


@pytest.mark.req("brk.nested")
async def test_a_model_that_fails_does_not_open_its_agents_breaker(tmp_path: Path):
    """B17: the agent answers as soon as its model does."""
    async with ScriptedProvider() as provider:
        provider.script(status=500, body="{}")
        settings = await engine_settings(tmp_path, {"m": provider.url}, breaker={"consecutive_failures": 2})
        async with Engine.open(settings=settings) as engine:
            for i in range(4):
                with pytest.raises(AllRoutesUnavailable):
                    await engine.execute(f"question {i}", agent="general")
            views = await engine.breakers(("agent:general", "model:p-m/m#none"))
    assert views["agent:general"].state is BreakerState.CLOSED
    assert views["model:p-m/m#none"].state is BreakerState.OPEN


@pytest.mark.req("brk.fallback")
async def test_when_every_route_is_out_one_error_names_each_reason_and_the_smallest_wait(tmp_path: Path):
    """F5: never a hang, never a bare failure."""
    async with ScriptedProvider() as provider:
        provider.script(status=429, headers={"Retry-After": "7"}, body="{}", model="busy")
        provider.script(status=401, body="{}", model="locked")
        urls = {"busy": provider.url, "locked": provider.url, "gone": closed_port()}
        async with Engine.open(settings=await engine_settings(tmp_path, urls)) as engine:
            with pytest.raises(AllRoutesUnavailable) as caught:
                await engine.execute("hello you", agent="general")
    assert {(r.model, r.outcome) for r in caught.value.reasons} == {
        ("busy", "throttle"),
        ("locked", "auth"),
        ("gone", "fail"),
    }
    assert caught.value.retry_after_s == pytest.approx(7, abs=1)


@pytest.mark.req("brk.fallback")
async def test_an_answer_that_breaks_before_anyone_saw_it_is_replaced_in_silence(tmp_path: Path):
    """F4, nobody watching: the half answer of the first model is in no part of the final text."""
    async with ScriptedProvider() as provider:
        provider.script(stream=[*tokens("half ", "an "), RESET], model="a")
        provider.script(reply="whole", model="b")
        urls = {"a": provider.url, "b": provider.url}
        settings = await engine_settings(tmp_path, urls, shield={"retries": 0})
        async with Engine.open(settings=settings) as engine:
            answer = await engine.execute("Tell me a story")
    assert answer.text == "whole"
    assert [a.outcome for a in answer.attempts] == [Outcome.FAIL, Outcome.OK]


@pytest.mark.req("brk.fallback", "run.stream")
async def test_an_answer_that_breaks_while_shown_is_never_spliced(tmp_path: Path):
    """F4, somebody watching: the break is explicit, no other model continues the text."""
    async with ScriptedProvider() as provider:
        provider.script(stream=[*tokens("half ", "an "), RESET], model="a")
        urls = {"a": provider.url, "b": provider.url}
        settings = await engine_settings(tmp_path, urls, shield={"retries": 0})
        seen: list[Event] = []
        async with Engine.open(settings=settings) as engine:
            with pytest.raises(AnswerInterrupted) as caught:
                await collect(engine.stream("Tell me a story"), seen)
        assert provider.requests_for("b") == []
    assert caught.value.partial == "half an "
    assert [e.text for e in seen if isinstance(e, Token)] == ["half ", "an "]
    assert not any(isinstance(e, Final | FellBack) for e in seen)


@pytest.mark.req("run.stream", "cache.stream")
async def test_a_stream_tells_routing_fallback_tokens_and_the_final_answer_in_order(tmp_path: Path):
    """A fallback before the first token is an event, not a break; a cached answer streams like a fresh one."""
    async with ScriptedProvider() as provider:
        provider.script(Play(status=500, body="{}"), model="a")
        provider.script(reply="one two three", model="b")
        settings = await engine_settings(tmp_path, {"a": provider.url, "b": provider.url}, shield={"retries": 0})
        async with Engine.open(settings=settings) as engine:
            seen = [event async for event in engine.stream("Count for me")]
        provider.script(reply="one two three", model="a")
        async with Engine.open(settings=settings) as engine:
            await engine.execute("Count for me once more")
            cached = [event async for event in engine.stream("Count for me once more")]
    kinds = [event.type for event in seen]
    assert kinds == ["routed", "attempt", "fallback", "token", "token", "token", "attempt", "final"]
    final = seen[-1]
    assert isinstance(final, Final)
    assert final.answer.text == "".join(e.text for e in seen if isinstance(e, Token)) == "one two three"
    assert isinstance(cached[0], Routed)
    assert [e.type for e in cached] == ["routed", "token", "token", "token", "final"]
    assert "".join(e.text for e in cached if isinstance(e, Token)) == "one two three"


@pytest.mark.req("run.stream")
async def test_leaving_a_stream_closes_the_providers_connection(tmp_path: Path):
    """Fault 77: the upstream stops when the client goes; nothing is left running, and no money left held."""
    async with ScriptedProvider() as provider:
        provider.script(stream=[*tokens("and ")] * 100_000)
        price = {"models": {"m": {"price": {"input": 1.0, "output": 1.0}}}}
        async with Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url}, **price)) as engine:
            async with aclosing(engine.stream("Talk for ever")) as events:
                async for event in events:
                    if isinstance(event, Token):
                        break
            await provider.requests[0].wait_disconnected(1.0)
            ledger = engine._parts.run.fresh.ledger
            assert isinstance(ledger, DenyingLedger)
            assert ledger.held.micros == 0
            assert ledger.spent.micros > 0
        assert not provider.requests[0].answered.is_set()


@pytest.mark.req("brk.fallback")
async def test_the_deadline_is_one_for_the_whole_chain(tmp_path: Path):
    """F3: two silent models do not double the time; the error is typed."""
    from asyncio import Event as Gate  # noqa: PLC0415 - the other Event here is the engine's

    async with ScriptedProvider() as provider:
        provider.script(Play(gate=Gate()))
        urls = {"a": provider.url, "b": provider.url}
        async with Engine.open(settings=await engine_settings(tmp_path, urls)) as engine:
            await engine.preload()
            with pytest.raises(DeadlineExceeded):
                await engine.execute("hello you", deadline_s=0.3)
        assert len(provider.requests) == 1
