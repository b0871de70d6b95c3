"""Models and agents behind shields, one inside the other: who counts what, and who tries again (B17)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from agents.contract import ChatModel, Chunk, ModelRef, Task
from agents.errors import CallFailed
from configs.catalogue import AgentCapability
from configs.kernel import Deadline, Failure, FailureKind, Message, Outcome, Sampling
from engine.contract import BreakerState
from engine.errors import AllRoutesUnavailable, AnswerInterrupted, DeadlineExceeded
from engine.resilience.attempt import CallReport
from engine.resilience.errors import CallRefused, LeafCallFailed
from engine.resilience.record import Effect
from engine.resilience.shielded import ShieldedAgent, ShieldedModel, agent_subject
from engine.resilience.translate import failure_of, is_inner
from memory.errors import BackendUnavailable
from tests.support.shield_lab import FINISH, HANG, SUBJECT, Lab, failure, pause
from tests.support.virtual_time import on_virtual_time

K = FailureKind
REF = ModelRef(id="m", provider="p", model="m", credential="k")
SAMPLING = Sampling(max_tokens=9)
AGENT = agent_subject("coder")


class LabModel:
    """A ``ChatModel`` over the lab's upstream."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.closed = False
        self.asked: list[tuple[tuple[Message, ...], Sampling, Deadline]] = []

    @property
    def ref(self) -> ModelRef:
        return REF

    def stream(
        self, messages: tuple[Message, ...], sampling: Sampling, deadline: Deadline
    ) -> AsyncIterator[Chunk]:
        self.asked.append((messages, sampling, deadline))
        return self._lab.upstream.open()

    async def aclose(self) -> None:
        self.closed = True


Behaviour = Callable[[Task, ChatModel | None], AsyncIterator[Chunk]]


class LabAgent:
    """An ``Agent`` that does what it is given to do."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.runs = 0

    @property
    def capability(self) -> AgentCapability:
        return AgentCapability(name="coder", description="Writes code.")

    def run(self, task: Task, model: ChatModel | None) -> AsyncIterator[Chunk]:
        self.runs += 1
        return self._behaviour(task, model)


async def hand_on(task: Task, model: ChatModel | None) -> AsyncIterator[Chunk]:
    """An agent that passes its model's answer on."""
    async for chunk in model.stream(task.messages, task.sampling, task.deadline):
        yield chunk


class Nest:
    """An agent behind its shield, over a model behind its own."""

    def __init__(self, behaviour: Behaviour = hand_on, **shield: object) -> None:
        self.lab = Lab(**shield)
        self.agent = LabAgent(behaviour)
        self.model_report, self.agent_report = CallReport(), CallReport()
        self.shielded = ShieldedAgent(self.agent, self.lab.shield, report=self.agent_report)

    async def run(self, deadline_s: float = 120.0) -> str:
        """The agent's whole answer."""
        task = Task(messages=(), sampling=SAMPLING, deadline=self.lab.deadline(deadline_s), request_id="r")
        model = ShieldedModel(LabModel(self.lab), self.lab.shield, report=self.model_report)
        return "".join([chunk.text async for chunk in self.shielded.run(task, model)])


@on_virtual_time
@pytest.mark.req("brk.everywhere")
async def test_a_shielded_model_is_a_model() -> None:
    """Arguments arrive, the reference is the model's own, closing reaches it, and its subject has the breaker."""
    lab = Lab()
    model = LabModel(lab)
    shielded = ShieldedModel(model, lab.shield, first_token_s=2.0)
    lab.upstream.play("hi", FINISH)
    lab.upstream.play(HANG)
    asked = ((Message("user", "hello"),), SAMPLING, lab.deadline(9.0))
    assert [chunk.text async for chunk in shielded.stream(*asked)] == ["hi", ""]
    assert (model.asked, shielded.ref) == ([asked], REF)
    with pytest.raises(LeafCallFailed):
        [chunk async for chunk in shielded.stream(*asked)]
    assert (lab.elapsed_s, lab.view(REF.subject).consecutive_failures) == (2.0, 1)
    await shielded.aclose()
    assert model.closed


@on_virtual_time
@pytest.mark.req("brk.nested")
async def test_only_the_leaf_tries_again_and_counts() -> None:
    """A dead model: its own retry, its own count; the agent runs once per question and stays closed."""
    nest = Nest(retries=1)
    nest.lab.upstream.play(failure(K.CONNECT, detail="connection refused"))
    with pytest.raises(LeafCallFailed) as caught:
        await nest.run()
    assert (caught.value.failure.detail, caught.value.outcome) == ("connection refused", Outcome.FAIL)
    assert (nest.lab.upstream.opened, nest.agent.runs) == (2, 1)
    assert (nest.lab.view(SUBJECT).consecutive_failures, nest.lab.view(AGENT).consecutive_failures) == (2, 0)
    assert nest.lab.store.effects == {Effect.COUNTED: 2, Effect.NEUTRAL: 1}
    assert (nest.model_report.tries, nest.agent_report.tries) == (2, 1)
    assert (nest.model_report.outcome, nest.agent_report.outcome) == (Outcome.FAIL, Outcome.FAIL)


@on_virtual_time
@pytest.mark.req("brk.nested")
async def test_an_agent_answers_on_its_next_call_after_its_model_was_dead_for_minutes() -> None:
    """B17: 5 minutes of questions to a dead model leave the agent closed; its first healthy call answers."""
    nest = Nest()
    nest.lab.upstream.play(failure(K.CONNECT))
    for _ in range(300):
        with pytest.raises(CallFailed):
            await nest.run()
        await pause(1.0)
    assert nest.lab.upstream.opened <= 5 + 5
    assert nest.lab.view(AGENT).state is BreakerState.CLOSED
    assert nest.lab.view(AGENT).ema_success == 1.0
    nest.lab.upstream.play("well again", FINISH)
    nest.lab.upstream._plays = nest.lab.upstream._plays[-1:]
    await pause(nest.lab.view(SUBJECT).retry_after_s or 0.0)
    assert await nest.run() == "well again"


@on_virtual_time
@pytest.mark.req("brk.nested")
async def test_an_inner_refusal_is_neutral_and_keeps_its_reason() -> None:
    """The open model's refusal reaches the caller of the agent as it is."""
    nest = Nest(retries=0)
    nest.lab.upstream.play(failure(K.CONNECT))
    for _ in range(5):
        with pytest.raises(LeafCallFailed):
            await nest.run()
    for _ in range(10):
        with pytest.raises(CallRefused) as caught:
            await nest.run()
        assert caught.value.refusal.subject == SUBJECT
    assert (nest.agent_report.outcome, nest.agent_report.retry_after_s) == (Outcome.REFUSED, 60.0)
    assert nest.lab.view(AGENT).state is BreakerState.CLOSED


@on_virtual_time
@pytest.mark.req("brk.nested")
@pytest.mark.parametrize("error", [ValueError("bug"), failure(K.AGENT), failure(K.EMPTY)], ids=repr)
async def test_failures_of_its_own_open_an_agent(error: Exception) -> None:
    """Five of them, without a retry; the sixth question is refused without running it."""

    async def broken(task: Task, model: ChatModel | None) -> AsyncIterator[Chunk]:
        raise error
        yield

    nest = Nest(broken)
    for _ in range(5):
        with pytest.raises(LeafCallFailed):
            await nest.run()
    with pytest.raises(CallRefused) as caught:
        await nest.run()
    assert (nest.agent.runs, caught.value.refusal.subject) == (5, AGENT)


def reraising(make: Callable[[Exception], Exception], *, hide: bool = False) -> Behaviour:
    """An agent that answers its model's failure with an error of its own."""

    async def behaviour(task: Task, model: ChatModel | None) -> AsyncIterator[Chunk]:
        try:
            async for chunk in model.stream(task.messages, task.sampling, task.deadline):
                yield chunk
        except CallFailed as exc:
            if hide:
                raise make(exc) from None
            raise make(exc) from exc

    return behaviour


@on_virtual_time
@pytest.mark.parametrize(
    ("behaviour", "counted"),
    [
        (reraising(lambda exc: ValueError("wrapped")), 0),
        (reraising(lambda exc: CallFailed(exc.failure)), 0),
        (reraising(lambda exc: ValueError("own fault"), hide=True), 1),
    ],
    ids=["wrapped", "copied", "disowned"],
)
async def test_an_agent_that_rewraps_its_models_failure_is_still_not_to_blame(
    behaviour: Behaviour, counted: int
) -> None:
    """The cause is followed, unless the agent says that it is none."""
    nest = Nest(behaviour, retries=0)
    nest.lab.upstream.play(failure(K.CONNECT))
    with pytest.raises(LeafCallFailed):
        await nest.run()
    assert nest.lab.view(AGENT).consecutive_failures == counted


@on_virtual_time
@pytest.mark.parametrize(
    "error",
    [
        AllRoutesUnavailable([]),
        AnswerInterrupted("half", []),
        DeadlineExceeded("too late"),
        BackendUnavailable("redis.cache", "gone"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_broke_further_inside_is_neutral_for_an_agent(error: Exception) -> None:
    """An agent that asks an engine or a store of its own is not blamed for them."""

    async def asks_others(task: Task, model: ChatModel | None) -> AsyncIterator[Chunk]:
        raise error
        yield

    nest = Nest(asks_others)
    for _ in range(20):
        with pytest.raises(LeafCallFailed):
            await nest.run()
    assert (nest.agent.runs, nest.lab.view(AGENT).state) == (20, BreakerState.CLOSED)


def test_the_cause_of_an_error_is_found_wherever_it_was_put() -> None:
    """Named by ``from`` away from the place of the failure, or only by context, or not at all."""
    inner = LeafCallFailed(Failure(kind=K.RESET, detail=""), subject=SUBJECT, outcome=Outcome.FAIL)
    named, beside, alone = ValueError(), ValueError(), ValueError()
    named.__cause__ = inner
    beside.__context__ = inner
    assert (is_inner(inner), is_inner(named), is_inner(beside)) == (True, True, True)
    assert (is_inner(alone), is_inner(None)) == (False, False)


def test_an_inner_chain_that_had_no_route_is_a_refusal_with_its_time() -> None:
    """The smallest retry-after reaches the outer chain."""
    nothing = AllRoutesUnavailable([])
    nothing.retry_after_s = 12.0
    failure = failure_of(nothing)
    assert (failure.kind, failure.retry_after_s) == (K.REFUSED, 12.0)


@on_virtual_time
async def test_a_slow_agent_ends_at_the_deadline_uncounted() -> None:
    """Silence limits belong to the leaves inside; outside only the deadline cuts."""

    async def thinks(task: Task, model: ChatModel | None) -> AsyncIterator[Chunk]:
        await pause(300.0)
        yield Chunk(text="done")

    nest = Nest(thinks)
    with pytest.raises(LeafCallFailed) as caught:
        await nest.run(200.0)
    assert (caught.value.outcome, nest.lab.elapsed_s) == (Outcome.DEADLINE, 200.0)
    assert nest.lab.view(AGENT).consecutive_failures == 0
    assert await nest.run(400.0) == "done"


@on_virtual_time
async def test_an_agent_that_probes_for_long_makes_way_for_the_next() -> None:
    """B1b for agents: at the probe's deadline its permit is freed without a verdict; its answer still comes."""

    async def thinks(task: Task, model: ChatModel | None) -> AsyncIterator[Chunk]:
        await pause(50.0)
        yield Chunk(text="done")

    nest = Nest(thinks)
    await nest.lab.until_half_open(AGENT)
    began = nest.lab.elapsed_s
    assert await nest.run() == "done"
    assert nest.lab.elapsed_s - began == 50.0
    assert (nest.lab.leases(AGENT), nest.lab.view(AGENT).state) == (0, BreakerState.HALF_OPEN)


@on_virtual_time
async def test_one_report_adds_up_the_calls_of_one_leg() -> None:
    """An agent that asks its model twice: tries add up, the last outcome and the first token time stand."""

    async def twice(task: Task, model: ChatModel | None) -> AsyncIterator[Chunk]:
        for _ in range(2):
            async for chunk in model.stream(task.messages, task.sampling, task.deadline):
                yield chunk

    nest = Nest(twice, backoff_s=0.0001)
    nest.lab.upstream.play(0.5, "a", FINISH)
    nest.lab.upstream.play(failure(K.RESET))
    nest.lab.upstream.play(2.0, "b", FINISH)
    assert await nest.run() == "ab"
    report = nest.model_report
    assert (report.tries, report.outcome, report.first_token_s) == (3, Outcome.OK, 0.5)
    assert report.latency_s == pytest.approx(2.5)
