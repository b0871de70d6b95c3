"""The worker on the in-memory queue and a virtual clock: beats, pauses, ends, stopping. No network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from configs.kernel import Outcome
from engine.errors import AllRoutesUnavailable, DeadlineExceeded, EngineClosed
from engine.queue.contract import Delivery, Hook
from engine.queue.inmemory import InMemoryQueue
from engine.queue.stored import QueuedRequest
from engine.queue.worker import QueueWorker, Worked, pause_s
from engine.ticket import HookStatus, Ticket, TicketError, TicketStatus
from engine.types import Answer, Attempt
from memory.errors import BackendUnavailable
from tests.support.queues import ANSWER, SETTINGS, enqueue
from tests.support.shield_lab import pause
from tests.support.virtual_time import on_virtual_time

RULES = SETTINGS.model_copy(update={"concurrency": 1, "poll_s": 1.0, "webhook_tries": 3})


def out(retry_after_s: float | None = None) -> AllRoutesUnavailable:
    """What a run raises whose routes are all out."""
    attempt = Attempt(
        agent="a", model="m", outcome=Outcome.REFUSED, called=False, latency_ms=0.0, retry_after_s=retry_after_s
    )
    return AllRoutesUnavailable((attempt,))


@dataclass
class Stage:
    """A queue, what its worker runs, and what was seen."""

    store: InMemoryQueue
    steps: list[Worked] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    posted: list[Hook] = field(default_factory=list)

    async def put(self, name: str, **fields: object) -> None:
        assert isinstance(await self.store.put(enqueue(name, **fields)), Ticket)  # pyright: ignore[reportArgumentType] - any field

    async def final(self, name: str) -> Ticket:
        """The ticket once it has ended; virtual time passes meanwhile."""
        while True:
            ticket = await self.store.get(name)
            assert ticket is not None
            if ticket.status.final:
                return ticket
            await pause(1.0)

    def said(self, name: str) -> list[str]:
        return [step.what for step in self.steps if step.ticket_id == name]


Post = Callable[[Hook], Awaitable[bool]]
Play = Callable[[QueuedRequest], Awaitable[Answer]]


@asynccontextmanager
async def working(
    stage: Stage, play: Play, post: Callable[[Hook], Awaitable[bool]] | None = None
) -> AsyncIterator[None]:
    """A worker at work for the length of the block."""

    async def execute(request: QueuedRequest) -> Answer:
        stage.ran.append(request.id)
        return await play(request)

    async def take(hook: Hook) -> bool:
        stage.posted.append(hook)
        return True if post is None else await post(hook)

    worker = QueueWorker(stage.store, execute, take, RULES, on_step=stage.steps.append)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


def stage() -> Stage:
    """A fresh one on the running loop's clock."""
    return Stage(InMemoryQueue(RULES, now_s=asyncio.get_running_loop().time))


async def well(request: QueuedRequest) -> Answer:
    """Answer at once."""
    return ANSWER


async def wait_for(condition: Callable[[], bool]) -> None:
    """Let virtual time pass until it holds."""
    async with asyncio.timeout(1e6):
        while not condition():
            await pause(1.0)


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_what_is_queued_is_run_and_its_answer_is_on_the_ticket():
    """Nothing to do, then something: found within ``poll_s``, answered, and said."""
    on = stage()
    async with working(on, well):
        await pause(10 * RULES.poll_s)
        await on.put("a")
        ticket = await on.final("a")
    assert (ticket.status, ticket.answer) == (TicketStatus.DONE, ANSWER)
    assert on.said("a") == ["taken", "done"]


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_exhausted_chains_are_tried_again_after_growing_pauses_until_one_answers():
    """Doubling from ``retry_s`` to ``retry_s_max``; ends as an answer however many tries it took."""
    on = stage()
    began_s: list[float] = []

    async def play(request: QueuedRequest) -> Answer:
        began_s.append(asyncio.get_running_loop().time())
        if len(began_s) <= 6:
            raise out()
        return ANSWER

    async with working(on, play):
        await on.put("a")
        ticket = await on.final("a")
    assert (ticket.status, ticket.attempts) == (TicketStatus.DONE, 7)
    gaps = [later - earlier for earlier, later in pairwise(began_s)]
    assert gaps == [pytest.approx(s, abs=RULES.poll_s) for s in (100, 200, 400, 800, 800, 800)]


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_a_retry_after_longer_than_the_pause_is_kept():
    """What the routes ask for is respected; a shorter wish does not shorten the pause."""
    on = stage()
    wishes: list[float | None] = [3_000.0, 1.0, None]
    began_s: list[float] = []

    async def play(request: QueuedRequest) -> Answer:
        began_s.append(asyncio.get_running_loop().time())
        if len(began_s) <= 2:
            raise out(wishes[len(began_s) - 1])
        return ANSWER

    async with working(on, play):
        await on.put("a")
        await on.final("a")
    gaps = [later - earlier for earlier, later in pairwise(began_s)]
    assert gaps == [pytest.approx(3_000, abs=RULES.poll_s), pytest.approx(200, abs=RULES.poll_s)]


@pytest.mark.req("run.queue")
@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (DeadlineExceeded("too slow"), TicketError(code="deadline_exceeded", message="too slow")),
        (ZeroDivisionError("secret"), TicketError(code="internal_error", message="ZeroDivisionError")),
    ],
)
def test_any_other_error_is_the_result(raised: Exception, error: TicketError):
    """Typed code and words of our own errors; of a bug only its kind."""

    async def play(request: QueuedRequest) -> Answer:
        raise raised

    @on_virtual_time
    async def run() -> None:
        on = stage()
        async with working(on, play):
            await on.put("a")
            assert (await on.final("a")).error == error
        assert on.ran == ["a"]

    run()


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_a_slow_answer_keeps_its_lease_by_beating():
    """Ten leases long, taken once: no second worker is given it."""
    on = stage()

    async def play(request: QueuedRequest) -> Answer:
        await pause(9 * RULES.lease_s)
        return ANSWER

    async with working(on, play), working(on, play):
        await on.put("a")
        ticket = await on.final("a")
    assert (ticket.status, ticket.attempts, on.ran) == (TicketStatus.DONE, 1, ["a"])


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_stopping_gives_back_what_is_under_way():
    """The next worker takes it at once, without a lease to wait for, and no death is counted."""
    on = stage()
    cancelled: list[str] = []

    async def hang(request: QueuedRequest) -> Answer:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(request.id)
        return ANSWER

    await on.put("a")
    async with working(on, hang):
        await wait_for(lambda: on.ran == ["a"])
    assert cancelled == ["a"]
    ticket = await on.store.get("a")
    assert ticket is not None
    assert ticket.status is TicketStatus.WAITING
    delivery = await on.store.take()
    assert isinstance(delivery, Delivery)
    assert delivery.token == 2


@pytest.mark.req("run.queue")
@pytest.mark.parametrize("hangs", [False, True])
def test_stopping_does_not_wait_for_a_store_that_is_away(hangs: bool):
    """Fault 71: with an answer that cannot be written, or a store that never replies, it ends after ``stop_s``."""

    @on_virtual_time
    async def run() -> None:
        on = stage()

        async def away(delivery: Delivery, result: Answer | TicketError) -> bool:
            if hangs:
                await asyncio.Event().wait()
            raise BackendUnavailable("redis.state", "gone")

        on.store.finish = away  # pyright: ignore[reportAttributeAccessIssue] - a store that is gone
        async with working(on, well):
            await on.put("a")
            await wait_for(lambda: on.ran == ["a"])
            await pause(3 * RULES.poll_s)
            began_s = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(RULES.stop_s, abs=RULES.poll_s)

    run()


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_a_cancelled_ticket_stops_the_work_on_it():
    """Noticed at the next beat; the worker goes on with the next request."""
    on = stage()
    gone = asyncio.Event()

    async def play(request: QueuedRequest) -> Answer:
        if request.id == "b":
            return ANSWER
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        return ANSWER

    async with working(on, play):
        await on.put("a")
        await wait_for(lambda: on.ran == ["a"])
        await on.store.cancel("a")
        await on.put("b")
        assert (await on.final("b")).status is TicketStatus.DONE
    assert gone.is_set()
    assert on.said("a") == ["taken", "lost"]


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_an_engine_that_closes_under_a_worker_costs_nothing():
    """``EngineClosed`` is no result: the request keeps its place."""
    on = stage()

    async def play(request: QueuedRequest) -> Answer:
        if len(on.ran) == 1:
            raise EngineClosed("closed")
        return ANSWER

    async with working(on, play):
        await on.put("a")
        assert (await on.final("a")).status is TicketStatus.DONE


@pytest.mark.req("run.queue")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", TicketStatus.FAILED),
        (b"[]", TicketStatus.FAILED),
        (b'{"schema": 1, "request": {}}', TicketStatus.FAILED),
        (b'{"request": {}}', TicketStatus.FAILED),
        (b'{"schema": 3, "request": {}}', TicketStatus.WAITING),
    ],
)
def test_a_request_that_cannot_be_read_fails_unless_a_later_release_wrote_it(body: bytes, status: TicketStatus):
    """N and N+1 run together (serve.upgrade): what is newer is left for those who can read it."""

    @on_virtual_time
    async def run() -> None:
        on = stage()
        async with working(on, well):
            await on.put("a", body=body)
            await wait_for(lambda: len(on.steps) == 2)
        ticket = await on.store.get("a")
        assert ticket is not None
        assert ticket.status is status
        assert (ticket.error.code if ticket.error else None) == (
            "request_unreadable" if status is TicketStatus.FAILED else None
        )
        assert on.ran == []

    run()


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_a_store_that_goes_away_loses_no_result():
    """Redis is gone when the answer is ready: it is written when Redis is back, and ran once."""
    on = stage()
    finish, refusals = on.store.finish, [BackendUnavailable("redis.state", "gone")] * 5

    async def flaky(delivery: Delivery, result: Answer | TicketError) -> bool:
        if refusals:
            raise refusals.pop()
        return await finish(delivery, result)

    on.store.finish = flaky  # pyright: ignore[reportAttributeAccessIssue] - a store that fails five times
    async with working(on, well):
        await on.put("a")
        assert (await on.final("a")).status is TicketStatus.DONE
    assert (on.ran, refusals) == (["a"], [])


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_a_store_that_is_away_is_waited_for():
    """A worker survives an outage of the queue and goes on where it was."""
    on = stage()
    take, refusals = on.store.take, [BackendUnavailable("redis.state", "gone")] * 5

    async def flaky() -> Delivery | None:
        if refusals:
            raise refusals.pop()
        return await take()

    on.store.take = flaky  # pyright: ignore[reportAttributeAccessIssue] - a store that fails five times
    async with working(on, well):
        await on.put("a")
        assert (await on.final("a")).status is TicketStatus.DONE


@pytest.mark.req("run.queue")
@pytest.mark.parametrize("name", ["take", "finish", "take_hook"])
def test_an_unforeseen_error_of_one_step_does_not_end_the_worker(name: str, caplog: pytest.LogCaptureFixture):
    """A record of a newer release, or a bug: that step is said by its kind, and the worker goes on."""

    @on_virtual_time
    async def run() -> None:
        on = stage()
        real = getattr(on.store, name)
        refusals = [ValueError("my secret prompt"), KeyError("status"), RuntimeError("deep")]

        async def flaky(*args: object) -> object:
            if refusals:
                raise refusals.pop()
            return await real(*args)

        setattr(on.store, name, flaky)
        async with working(on, well):
            for which in ("a", "b", "c", "d"):
                await on.put(which, webhook="https://example.com/")
                await wait_for(lambda which=which: which in on.ran)
            await wait_for(lambda: "hook_delivered" in on.said("d"))
        assert refusals == []

    run()
    assert [record.getMessage().rsplit(" ", 1)[1] for record in caplog.records] == [
        *("RuntimeError", "KeyError", "ValueError")
    ]
    assert "secret" not in caplog.text


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_a_webhook_is_posted_again_after_growing_pauses_and_then_given_up():
    """``webhook_tries`` posts, and the ticket says what became of it."""
    on = stage()
    at_s: list[float] = []

    async def refuse(hook: Hook) -> bool:
        at_s.append(asyncio.get_running_loop().time())
        return False

    async with working(on, well, refuse):
        await on.put("a", webhook="https://example.com/")
        await wait_for(lambda: "hook_failed" in on.said("a"))
    assert [hook.tries for hook in on.posted] == [1, 2, 3]
    gaps = [later - earlier for earlier, later in pairwise(at_s)]
    assert gaps == [pytest.approx(100, abs=RULES.poll_s), pytest.approx(200, abs=RULES.poll_s)]
    ticket = await on.store.get("a")
    assert ticket is not None
    assert ticket.webhook is HookStatus.FAILED


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_a_webhook_that_is_taken_is_posted_once():
    """Delivered, said so, and never again."""
    on = stage()
    async with working(on, well):
        await on.put("a", webhook="https://example.com/")
        await wait_for(lambda: "hook_delivered" in on.said("a"))
        await pause(3 * RULES.lease_s)
    assert [(hook.ticket.id, hook.ticket.status) for hook in on.posted] == [("a", TicketStatus.DONE)]


@pytest.mark.req("run.queue")
@on_virtual_time
async def test_a_cancellation_that_a_client_library_loses_still_stops_the_worker():
    """Fault 78: whatever the call to the store returned in its place, a request or nothing, the worker ends."""
    on = stage()
    take, renew = on.store.take, on.store.renew

    async def lossy_take() -> Delivery | None:
        with suppress(asyncio.CancelledError):
            await pause(1.0)
        return await take()

    async def lossy_renew(delivery: Delivery) -> bool:
        with suppress(asyncio.CancelledError):
            await pause(RULES.lease_s)
        return await renew(delivery)

    on.store.take = lossy_take  # pyright: ignore[reportAttributeAccessIssue] - as asyncio.wait_for did in Python 3.11
    on.store.renew = lossy_renew  # pyright: ignore[reportAttributeAccessIssue] - same
    async with working(on, well):
        await pause(0.5)
        await on.put("a")
    ticket = await on.store.get("a")
    assert ticket is not None
    assert (ticket.status, on.ran) == (TicketStatus.WAITING, [])
    on.store.take = take  # pyright: ignore[reportAttributeAccessIssue] - same

    async def hang(request: QueuedRequest) -> Answer:
        await asyncio.Event().wait()
        return ANSWER

    async with working(on, hang):
        await pause(RULES.lease_s / 2)
    ticket = await on.store.get("a")
    assert ticket is not None
    assert ticket.status is TicketStatus.WAITING


@pytest.mark.req("run.queue")
def test_pauses_double_up_to_their_maximum_and_never_overflow():
    """A literal table; the millionth try is as bounded as the tenth."""
    pauses = [pause_s(RULES, attempts) for attempts in (1, 2, 3, 4, 5, 1_000_000)]
    assert pauses == [100, 200, 400, 800, 800, 800]
