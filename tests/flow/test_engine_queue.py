"""The queue through a whole engine: a dead provider that comes back, low priority, keys, webhooks, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError
from configs.settings import Settings
from engine.app import Engine
from engine.errors import AllRoutesUnavailable, InvalidInput, QueueFull, RequestQueued, UnknownTicket
from engine.events import ChainExhausted, Event
from engine.sync import SyncEngine
from engine.ticket import HookStatus, TicketStatus
from memory.errors import BackendUnavailable
from tests.support.engines import engine_settings
from tests.support.provider import Play, ScriptedProvider

GUARD_S = 20.0
FAST: dict[str, Any] = {
    "queue": {"retry_s": 0.02, "retry_s_max": 0.05, "poll_s": 0.01},
    "breaker": {"open_s": 0.05, "open_s_max": 0.05},
    "shield": {"retries": 0},
}


async def settings_for(folder: Path, provider: ScriptedProvider, **queue: Any) -> Settings:
    """One model at ``provider``; pauses of milliseconds."""
    return await engine_settings(folder, {"m": provider.url}, **{**FAST, "queue": {**FAST["queue"], **queue}})


def dead(provider: ScriptedProvider) -> None:
    """Every request fails."""
    provider.script(status=503, body="{}")


async def collect(events: AsyncGenerator[Event], into: list[Event]) -> None:
    """Append every event, keeping those before an error."""
    async with aclosing(events):
        async for event in events:
            into.append(event)  # noqa: PERF401 - a comprehension would lose them when it raises


async def delivered(engine: Engine, ticket_id: str) -> None:
    """Return when the ticket's webhook has been taken."""
    async with asyncio.timeout(GUARD_S):
        while True:
            ticket = await engine.ticket(ticket_id)
            if ticket.webhook is HookStatus.DELIVERED:
                return


@pytest.mark.req("run.queue", "brk.fallback")
async def test_a_question_to_a_dead_provider_is_answered_when_it_comes_back(tmp_path: Path):
    """``on_unavailable="queue"``: a ticket now, the answer later, under the same id, without being asked again."""
    async with ScriptedProvider() as provider:
        dead(provider)
        async with Engine.open(settings=await settings_for(tmp_path, provider)) as engine:
            with pytest.raises(RequestQueued) as caught:
                await engine.execute(
                    "hello you", agent="general", user_id="ada", on_unavailable="queue", deadline_s=9
                )
            ticket = caught.value.ticket
            assert (ticket.status, ticket.priority, ticket.user_id) == (TicketStatus.WAITING, "normal", "ada")
            assert isinstance(caught.value.__cause__, AllRoutesUnavailable)
            failed = len(provider.requests)
            await provider.wait_requests(failed + 2)  # it is tried again while the provider is dead
            provider.script(reply="back again")
            done = await engine.desk.wait(ticket.id, GUARD_S)
    assert (done.status, done.answer and done.answer.text) == (TicketStatus.DONE, "back again")
    assert done.answer is not None
    assert done.answer.request_id == ticket.id
    assert done.attempts >= 2


@pytest.mark.req("run.queue")
async def test_without_the_option_nothing_is_queued_and_low_priority_waits_by_itself(tmp_path: Path):
    """The default stays an error; work that can wait does, unless its caller says otherwise."""
    async with ScriptedProvider() as provider:
        dead(provider)
        async with Engine.open(settings=await settings_for(tmp_path, provider)) as engine:
            with pytest.raises(AllRoutesUnavailable):
                await engine.execute("hello you", agent="general")
            with pytest.raises(AllRoutesUnavailable):
                await engine.execute("hello you", agent="general", priority="low", on_unavailable="error")
            assert await engine.tickets(10) == ()
            with pytest.raises(RequestQueued):
                await engine.execute("hello you", agent="general", priority="low")
            assert [ticket.priority for ticket in await engine.tickets(10)] == ["low"]


@pytest.mark.req("run.queue")
async def test_a_batch_and_a_stream_queue_as_well(tmp_path: Path):
    """A batch holds the ticket in its place; a stream says that the chain is exhausted and ends in the ticket."""
    seen: list[Event] = []
    async with ScriptedProvider() as provider:
        dead(provider)
        async with Engine.open(settings=await settings_for(tmp_path, provider)) as engine:
            results = await engine.execute_batch(["one?", "two?"], agent="general", on_unavailable="queue")
            assert [type(result) for result in results] == [RequestQueued, RequestQueued]
            with pytest.raises(RequestQueued):
                await collect(engine.stream("three?", agent="general", on_unavailable="queue"), seen)
            assert len(await engine.tickets(10)) == 3
    exhausted = [event for event in seen if isinstance(event, ChainExhausted)]
    assert [len(event.reasons) for event in exhausted] == [1]
    assert exhausted[0].reasons[0].startswith("general/m: ")
    assert seen[-1] is exhausted[0]


@pytest.mark.req("run.queue")
async def test_a_ticket_outlives_its_engine_and_another_answers_it(tmp_path: Path):
    """Durable: the engine that queued it is gone, and so was the Redis; what was asked is asked as it was."""
    async with ScriptedProvider() as provider:
        dead(provider)
        settings = await settings_for(tmp_path, provider)
        async with Engine.open(settings=settings) as engine:
            ticket = await engine.enqueue(
                [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello you"}],
                agent="general",
                temperature=0.25,
                max_tokens=77,
                user_id="ada",
            )
        provider.script(reply="from the other one")
        async with Engine.open(settings=settings) as other:
            before = len(provider.requests)
            assert (await other.ticket(ticket.id)).status is TicketStatus.WAITING
            other.desk.start()
            done = await other.desk.wait(ticket.id, GUARD_S)
    assert done.answer is not None
    assert (done.answer.text, done.user_id) == ("from the other one", "ada")
    asked = provider.requests[before].json
    assert (asked["temperature"], asked.get("max_tokens", asked.get("max_completion_tokens"))) == (0.25, 77)
    assert asked["messages"][-1]["content"] == "hello you"


@pytest.mark.req("run.queue")
async def test_nobody_works_on_the_queue_unasked(tmp_path: Path):
    """An engine opened for one question leaves other people's tickets alone."""
    async with ScriptedProvider() as provider:
        dead(provider)
        settings = await settings_for(tmp_path, provider)
        async with Engine.open(settings=settings) as engine:
            ticket = await engine.enqueue("hello you", agent="general")
        provider.script(reply="answer")
        async with Engine.open(settings=settings) as other:
            await other.execute("something else", agent="general")
            assert other.desk._working is None
            assert (await other.ticket(ticket.id)).status is TicketStatus.WAITING


@pytest.mark.req("run.queue")
async def test_the_result_is_posted_where_the_caller_wants_it(tmp_path: Path):
    """Webhook end to end; one that may not be reached is refused before anything is asked."""
    async with ScriptedProvider() as provider, ScriptedProvider() as receiver:
        provider.script(reply="told you")
        settings = await settings_for(tmp_path, provider, webhook_hosts=[f"127.0.0.1:{receiver.port}"])
        async with Engine.open(settings=settings) as engine:
            with pytest.raises(InvalidInput) as refused:
                await engine.enqueue("hello you", webhook="https://169.254.169.254/latest")
            assert refused.value.code == "invalid_webhook"
            ticket = await engine.enqueue(
                "hello you", agent="general", webhook=f"http://127.0.0.1:{receiver.port}/done"
            )
            assert ticket.webhook is HookStatus.PENDING
            [posted] = await receiver.wait_requests(1)
            await delivered(engine, ticket.id)
    assert posted.json["ticket"] == ticket.id
    assert posted.json["answer"]["text"] == "told you"
    assert "x-switchgear-signature" not in posted.headers


@pytest.mark.req("run.queue")
async def test_a_webhook_key_that_is_named_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: ScriptedProvider
):
    """Nobody who asked for signatures goes without them; with the key they are there."""
    async with ScriptedProvider() as receiver:
        hosts = [f"127.0.0.1:{receiver.port}"]
        settings = await settings_for(tmp_path, provider, webhook_secret_env="HOOK_KEY", webhook_hosts=hosts)
        with pytest.raises(ConfigError, match="HOOK_KEY"):
            async with Engine.open(settings=settings):
                pass
        monkeypatch.setenv("HOOK_KEY", "s3cret")
        async with Engine.open(settings=settings) as engine:
            await engine.enqueue("hello you", agent="general", webhook=f"http://127.0.0.1:{receiver.port}/")
            [posted] = await receiver.wait_requests(1)
    assert posted.headers["x-switchgear-signature"].startswith("sha256=")


@pytest.mark.req("run.queue")
async def test_a_key_is_one_ticket_per_person_and_one_question(tmp_path: Path):
    """Idempotent: a repeat gets the first ticket, another user one of its own, another question a refusal."""
    async with ScriptedProvider() as provider:
        dead(provider)
        async with Engine.open(settings=await settings_for(tmp_path, provider)) as engine:
            first = await engine.enqueue("hello you", user_id="ada", idempotency_key="k")
            again = await engine.enqueue("hello you", user_id="ada", idempotency_key="k")
            other = await engine.enqueue("hello you", user_id="bob", idempotency_key="k")
            with pytest.raises(InvalidInput) as refused:
                await engine.enqueue("hello who", user_id="ada", idempotency_key="k")
    assert (again.id, refused.value.code) == (first.id, "idempotency_conflict")
    assert other.id != first.id


@pytest.mark.req("run.queue")
async def test_a_full_queue_is_a_typed_refusal_with_a_time(tmp_path: Path):
    """Bounded; what a higher priority pushed out says so on its ticket."""
    async with ScriptedProvider() as provider:
        provider.script(Play(gate=asyncio.Event()))
        settings = await settings_for(tmp_path, provider, length_max=2, concurrency=1)
        async with Engine.open(settings=settings) as engine:
            await engine.enqueue("one?", agent="general")
            await provider.wait_requests(1)
            low = await engine.enqueue("two?", agent="general", priority="low")
            with pytest.raises(QueueFull) as full:
                await engine.enqueue("three?", agent="general", priority="low")
            await engine.enqueue("four?", agent="general", priority="high")
            assert (await engine.ticket(low.id)).status is TicketStatus.SHED
    assert full.value.retry_after_s == settings.queue.retry_s


@pytest.mark.req("run.queue")
async def test_what_cannot_be_kept_is_refused_in_words(tmp_path: Path, provider: ScriptedProvider):
    """Too long for the queue, switched off, unknown: typed, before anything is stored."""
    settings = await settings_for(tmp_path, provider, request_bytes_max=2_000)
    async with Engine.open(settings=settings) as engine:
        with pytest.raises(InvalidInput) as long:
            await engine.enqueue("x" * 2_000)
        assert long.value.code == "prompt_too_large"
        with pytest.raises(UnknownTicket):
            await engine.ticket("nobody")
        for wrong in ({"priority": "urgent"}, {"on_unavailable": "wait"}, {"idempotency_key": ""}, {"webhook": 7}):
            with pytest.raises(InvalidInput):
                await engine.enqueue("hello", **wrong)  # pyright: ignore[reportArgumentType] - wrong on purpose
    async with Engine.open(settings=await settings_for(tmp_path, provider, enabled=False)) as engine:
        with pytest.raises(InvalidInput) as off:
            await engine.execute("hello you", on_unavailable="queue")
        assert off.value.code == "queue_disabled"
        assert (await engine.execute("hello you", agent="general", priority="low")).text == "ok"


@pytest.mark.req("run.queue", "brk.fallback")
async def test_a_queue_that_is_not_there_hides_no_reason(tmp_path: Path):
    """F5: the error still names every route; that it could not be queued either is its hint."""
    async with ScriptedProvider() as provider:
        dead(provider)
        settings = await settings_for(tmp_path, provider)
        gone = settings.model_copy(
            update={"redis": type(settings.redis)(state_url="unix:///nowhere/at/all.sock", cache_url=None)}
        )
        async with Engine.open(settings=gone) as engine:
            with pytest.raises(AllRoutesUnavailable) as caught:
                await engine.execute("hello you", agent="general", on_unavailable="queue")
            with pytest.raises(BackendUnavailable):
                await engine.enqueue("hello you")
    assert [reason.model for reason in caught.value.reasons] == ["m"]
    assert "could not be queued: redis.state" in caught.value.hint


@pytest.mark.req("run.queue", "brk.overload")
async def test_low_priority_waits_in_the_queue_while_the_engine_is_saturated(tmp_path: Path):
    """One place, one waiting request: low is given a ticket, and its answer when there is room again."""
    gate = asyncio.Event()
    async with ScriptedProvider() as provider:
        provider.script(Play(gate=gate, reply="room"), model="m")
        settings = await engine_settings(
            tmp_path,
            {"m": provider.url},
            **FAST,
            limiter={"start": 1, "most": 1, "restart": 1, "queue_max": 1},
        )
        async with Engine.open(settings=settings) as engine:
            running = asyncio.create_task(engine.execute("one?", agent="general"))
            await provider.wait_requests(1)
            waiting = asyncio.create_task(engine.execute("two?", agent="general"))
            with pytest.raises(RequestQueued) as caught:
                await engine.execute("three?", agent="general", priority="low")
            gate.set()
            assert [(await task).text for task in (running, waiting)] == ["room", "room"]
            done = await engine.desk.wait(caught.value.ticket.id, GUARD_S)
    assert (done.priority, done.status) == ("low", TicketStatus.DONE)


@pytest.mark.req("run.queue", "serve.python")
async def test_a_script_queues_and_waits_without_await(tmp_path: Path, provider: ScriptedProvider):
    """The sync twin: a ticket, a look that runs out of patience, and the answer."""
    gate = asyncio.Event()
    provider.script(Play(gate=gate, reply="at last"))
    settings = await settings_for(tmp_path, provider)
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def script() -> tuple[TicketStatus, str]:
        with SyncEngine.open(settings=settings) as engine:
            ticket = engine.enqueue("hello you", agent="general")
            early = engine.wait(ticket.id, 0.05)
            loop.call_soon_threadsafe(looked.set)
            done = engine.wait(ticket.id, GUARD_S)
            return early.status, done.answer.text if done.answer else ""

    running = asyncio.create_task(asyncio.to_thread(script))
    await looked.wait()
    gate.set()
    status, text = await running
    assert (status.final, text) == (False, "at last")
