"""What may be kept of an answer, for whom and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from configs.caching import CacheSettings
from configs.catalogue import AgentCapability
from configs.kernel import Outcome, Principal, Usage
from configs.settings import Settings
from engine.cache.freshness import about_now
from engine.cache.may_store import DoNotKeep, Ended, Keep, may_store, may_store_refusal
from engine.gateway.admit import Options, build_request
from engine.types import Answer, Attempt, Decision, Leg, Request, Touch

RULES = CacheSettings()
AGENT = AgentCapability(name="python", description="Writes Python.")
COMMON = AGENT.model_copy(update={"context_free": True})


def request_of(text: str = "How do I sort a list?", **options: object) -> Request:
    """A request of user ada."""
    return build_request(text, Principal(user_id="ada"), Options(**options), Settings(), request_id="r", now_s=0.0)


def answer_of(outcome: Outcome = Outcome.OK, arm: str = "", touched: frozenset[Touch] = frozenset()) -> Answer:
    """A whole answer of the agent that was meant."""
    attempt = Attempt(agent="python", model="m", outcome=outcome, called=True, latency_ms=1.0)
    return Answer(
        text="sorted(xs)",
        source="model",
        agent="python",
        decision=Decision(agent="python", strategy="single", confidence=1.0, reason="test", arm=arm),
        attempts=(attempt,),
        usage=Usage(),
        cost=attempt.cost,
        latency_ms=1.0,
        request_id="r",
        trace_id="t",
        touched=touched,
    )


def ended(answer: Answer | None = None, agent: AgentCapability | None = AGENT, **options: object) -> Ended:
    """A request that ``answer`` ended."""
    said = answer_of() if answer is None else answer
    return Ended(
        request=request_of(**options),
        decision=said.decision,
        attempts=said.attempts,
        agent=agent,
        own_handler=False,
        answer=said,
    )


def refused(*models: str, outcome: Outcome = Outcome.POLICY, agent: AgentCapability | None = AGENT) -> Ended:
    """A request that the last of ``models`` refused; the first one was meant."""
    tried = tuple(
        Attempt(agent="python", model=model, outcome=outcome, called=True, latency_ms=1.0) for model in models
    )
    planned = Decision(
        agent="python", strategy="single", confidence=1.0, reason="test", legs=(Leg(agent="python", model="m"),)
    )
    return Ended(request=request_of(), decision=planned, attempts=tried, agent=agent, own_handler=False)


@pytest.mark.req("cache.write")
def test_a_whole_answer_of_the_agent_that_was_meant_is_kept_for_its_user():
    """The twin of every refusal below: nothing stands against it."""
    assert may_store(ended(), RULES) == Keep(sharing="user", ttl_s=RULES.ttl_s, live=False)


@pytest.mark.req("cache.write")
@pytest.mark.parametrize(
    ("case", "why"),
    [
        (ended(replace(answer_of(), truncated=True)), "not whole"),
        (ended(answer_of(Outcome.FAIL)), "not whole"),
        (ended(replace(answer_of(), degraded=("fallback",))), "degraded: fallback"),
        (ended(replace(answer_of(), degraded=("memory.cold",))), "degraded: memory.cold"),
        (ended(answer_of(touched=frozenset({"guard_flag"}))), "flagged by the guard"),
        (ended(answer_of(touched=frozenset({"side_effect"}))), "it did something besides answering"),
        (ended(answer_of(arm="try/b")), "an experiment: it would outlive a roll-back"),
        (ended(data_class="pii"), "personal data"),
        (ended(agent=AGENT.model_copy(update={"cacheable": False})), "its agent is not cacheable"),
        (replace(ended(), own_handler=True), "its agent is not cacheable"),
        (ended(agent=None), "the agent is gone"),
    ],
)
def test_what_must_not_be_kept_is_refused_with_its_reason(case: Ended, why: str):
    """Nothing partial, degraded, flagged, personal, with side effects or from an experiment."""
    assert may_store(case, RULES) == DoNotKeep(why=why)


@pytest.mark.req("cache.write")
def test_a_handler_that_says_so_and_the_control_arm_are_kept():
    """Declared cacheable; and what everybody else gets."""
    declared = replace(ended(agent=AGENT.model_copy(update={"cacheable": True})), own_handler=True)
    assert isinstance(may_store(declared, RULES), Keep)
    assert isinstance(may_store(ended(answer_of(arm="try/control")), RULES), Keep)


@pytest.mark.req("cache.scope")
def test_only_a_context_free_answer_without_memory_or_live_data_is_shared():
    """Each of the three conditions takes the sharing away, and only the declaration gives it."""
    kept = [
        may_store(case, RULES)
        for case in (
            ended(agent=COMMON),
            ended(),
            ended(answer_of(touched=frozenset({"memory"})), agent=COMMON),
            ended(answer_of(touched=frozenset({"live_data"})), agent=COMMON),
            ended(agent=COMMON, text="What is the latest release of Python?"),
        )
    ]
    assert [k.sharing for k in kept if isinstance(k, Keep)] == ["shared", "user", "user", "user", "user"]


@pytest.mark.req("cache.fresh")
def test_live_answers_expire_fast_and_an_agent_may_ask_for_less():
    """The shortest of caller, agent and liveness counts."""
    slow = AGENT.model_copy(update={"cache_ttl_s": 1_000})
    live = AGENT.model_copy(update={"live": True})
    lives = (ended(agent=slow), ended(agent=slow, ttl_s=10), ended(agent=live), ended(agent=live, ttl_s=7))
    kept = [may_store(case, RULES) for case in lives]
    assert [k.ttl_s for k in kept if isinstance(k, Keep)] == [1_000, 10, RULES.live_ttl_s, 7]


@pytest.mark.req("cache.fresh")
@pytest.mark.parametrize(
    ("question", "now"),
    [
        ("What is the weather in Oslo?", True),
        ("who won the match yesterday", True),
        ("Show me the LATEST commits", True),
        ("What\u2019s the time in Lima?", True),
        ("Wie ist das Wetter heute?", True),
        ("今日の天気は？", True),
        ("How do I sort a list in Python?", False),
        ("Where do cats live in the wild?", False),
        ("What is the ultimate guide to knitting?", False),
        ("Who actually wrote Don Quixote?", False),
        ("x" * 20_000 + " today?", True),
    ],
)
def test_a_question_about_now_is_recognised(question: str, now: bool):
    """By its words, also at the end of a long text."""
    assert about_now(question) is now


@pytest.mark.req("cache.write", "cache.flight")
def test_a_refusal_is_kept_for_a_moment_only_when_the_model_that_was_meant_gave_it():
    """After a failure of another one, through a fallback, or of an agent that is not cacheable: never."""
    kept = may_store_refusal(refused("m"), RULES)
    assert kept == Keep(sharing="user", ttl_s=RULES.refusal_ttl_s, live=False)
    assert [may_store_refusal(case, RULES) for case in (refused("n"), refused("m", "n"), refused())] == [
        DoNotKeep(why="not the model that was meant")
    ] * 3
    own = AGENT.model_copy(update={"cacheable": False})
    assert may_store_refusal(refused("m", agent=own), RULES) == DoNotKeep(why="its agent is not cacheable")
    assert may_store_refusal(refused("m", agent=None), RULES) == DoNotKeep(why="the agent is gone")
