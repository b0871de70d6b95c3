"""What a run's end amounts to, and what the cache keeps of it and gives back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from configs.kernel import Money, Outcome, Principal, Usage
from configs.settings import Settings
from engine.cached import Provenance
from engine.concluded import answer_of, conclude, pieces, record_of, refusal_of
from engine.errors import AllRoutesUnavailable, AnswerInterrupted, DeadlineExceeded, RejectedByModel
from engine.gateway.admit import Options, build_request
from engine.types import Attempt, Decision, Leg
from tests.support.paraphrases import verdict

REQUEST = build_request("Why?", Principal(user_id="ada"), Options(), Settings(), request_id="r", now_s=0.0)
DECISION = Decision(
    agent="python",
    strategy="single",
    confidence=1.0,
    reason="test",
    legs=(Leg(agent="python", model="m"), Leg(agent="general", model=None)),
    degraded=("registry",),
)
OK = Attempt(
    agent="python",
    model="m",
    outcome=Outcome.OK,
    called=True,
    latency_ms=1.0,
    usage=Usage(input_tokens=3, output_tokens=2),
    cost=Money(7),
)
SOURCE = Provenance(by="b", tenant="t", agent="python", agent_version="v", request_id="r")


def state(*attempts: Attempt, text: str = "Because.", shown: bool = False) -> Any:
    """A run's last state."""
    return {"attempts": list(attempts), "decision": DECISION, "text": text, "shown": shown}


def failed(outcome: Outcome) -> Attempt:
    """An attempt that ended like this."""
    return replace(OK, outcome=outcome, error="it said no")


def concluded(*attempts: Attempt, degraded: tuple[str, ...] = ()) -> Any:
    """The answer of those attempts."""
    return conclude(state(*attempts), REQUEST, degraded=degraded, trace_id="t")


@pytest.mark.req("run.single")
def test_an_answer_costs_what_all_its_attempts_cost_and_says_whose_it_is():
    """The planned leg: nothing degraded but what routing and gateway said."""
    answer = concluded(failed(Outcome.FAIL), OK, degraded=("cache",))
    assert (answer.text, answer.source, answer.agent, answer.model) == ("Because.", "model", "python", "m")
    assert (answer.usage, answer.cost) == (Usage(input_tokens=6, output_tokens=4), Money(14))
    assert (answer.request_id, answer.trace_id, answer.truncated) == ("r", "t", False)
    assert answer.degraded == ("cache", "registry")


@pytest.mark.req("run.single")
def test_an_answer_by_another_leg_than_the_planned_one_says_so():
    """Agent or model; a handler of one's own is its source. Cut is what the model's own word says."""
    other = concluded(replace(OK, model="n"))
    handler = concluded(replace(OK, agent="general", model=None))
    assert (other.degraded[-1], handler.degraded[-1], handler.source) == ("fallback", "fallback", "handler")
    assert concluded(replace(OK, finish_reason="length")).truncated
    assert not concluded(replace(OK, finish_reason="stop")).truncated


@pytest.mark.req("run.single")
@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (Outcome.CALLER, RejectedByModel),
        (Outcome.POLICY, RejectedByModel),
        (Outcome.DEADLINE, DeadlineExceeded),
        (Outcome.FAIL, AllRoutesUnavailable),
    ],
)
def test_a_run_without_an_answer_is_the_error_of_its_last_attempt(outcome: Outcome, error: type[Exception]):
    """Unless something was shown already: then it was interrupted, with what was shown."""
    with pytest.raises(error):
        concluded(failed(outcome))
    with pytest.raises(AnswerInterrupted):
        conclude(state(failed(outcome), text="Bec", shown=True), REQUEST, degraded=(), trace_id="t")


@pytest.mark.req("run.single")
def test_a_run_without_any_attempt_had_no_route():
    """Nobody was asked, whatever was shown."""
    with pytest.raises(AllRoutesUnavailable):
        conclude(state(shown=True), REQUEST, degraded=(), trace_id="t")


@pytest.mark.req("cache.exact", "cache.semantic")
def test_what_is_stored_comes_back_free_and_as_the_next_requests_own():
    """Text, agent and model as they were; no attempts, no tokens, no cost; ids of whoever asks now."""
    made = concluded(OK)
    record = record_of(made, REQUEST, stored_at_s=5.0, provenance=SOURCE)
    assert (record.question, record.usage, record.stored_at_s, record.provenance) == (
        "Why?",
        made.usage,
        5.0,
        SOURCE,
    )
    said = verdict()
    again = answer_of(record, replace(REQUEST, id="r2"), source="semantic_cache", trace_id="t2", verdict=said)
    assert (again.text, again.agent, again.model, again.decision) == ("Because.", "python", "m", DECISION)
    assert (again.attempts, again.usage, again.cost) == ((), Usage(), Money())
    assert (again.request_id, again.trace_id, again.source, again.verdict) == ("r2", "t2", "semantic_cache", said)
    assert again.degraded == ()


@pytest.mark.req("cache.write")
def test_a_stored_refusal_is_raised_again_at_no_price():
    """The attempts that explain it stay, their costs do not; whose it is stands with it."""
    refused = RejectedByModel((failed(Outcome.POLICY),))
    record = refusal_of(refused, REQUEST, decision=DECISION, stored_at_s=5.0, provenance=SOURCE)
    with pytest.raises(RejectedByModel) as raised:
        answer_of(record, REQUEST, source="exact_cache", trace_id="t")
    (attempt,) = raised.value.attempts
    assert (attempt.outcome, attempt.error, attempt.cost, attempt.usage) == (
        Outcome.POLICY,
        "it said no",
        Money(),
        Usage(),
    )
    assert (record.decision, record.provenance, record.question) == (DECISION, SOURCE, "Why?")


@pytest.mark.req("cache.stream")
@pytest.mark.parametrize("text", ["", " ", "one", "  two words\n", "a\n\nb\t c ", "日本語 です", "\n"])
def test_pieces_of_an_answer_are_the_answer(text: str):
    """Nothing is lost or added, and a text of words comes in more than one piece."""
    assert "".join(pieces(text)) == text
    leading = bool(text.split()) and text[0].isspace()
    assert len(list(pieces(text))) == max(1, len(text.split())) + leading
