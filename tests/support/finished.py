"""A finished request with everything in it: a failed call, a skipped leg, a fallback that answered."""

from __future__ import annotations

from dataclasses import replace

from configs.kernel import Deadline, Message, Money, Outcome, Principal, Usage
from engine.contract import Finished
from engine.types import Answer, Attempt, Candidate, Decision, Request

QUESTION = "how many zebras are in the zoo"
REQUEST = Request(
    id="r1",
    principal=Principal(user_id="ada", tenant_id="acme"),
    messages=(Message("system", "be brief"), Message("user", QUESTION)),
    deadline=Deadline(1.0),
    ttl_s=60,
    data_class="public",
)


def candidate(agent: str, propensity: float) -> Candidate:
    """One that could have been chosen."""
    return Candidate(
        agent=agent,
        score=0.5,
        similarity=0.5,
        keyword_hits=(),
        intent=0.5,
        success=1.0,
        cost=1.0,
        latency=1.0,
        propensity=propensity,
    )


DECISION = Decision(
    agent="sql",
    strategy="single",
    wanted="parallel",
    confidence=0.75,
    reason="best",
    complexity="simple",
    candidates=(candidate("viz", 0.1), candidate("sql", 0.9)),
    explored=True,
    out_of_scope=True,
    head="h1",
    arm="trial/new",
)
FAILED = Attempt(
    agent="sql",
    model="a",
    outcome=Outcome.FAIL,
    called=True,
    latency_ms=5.0,
    usage=Usage(input_tokens=2),
    cost=Money(3),
)
SKIPPED = replace(FAILED, called=False)
WON = replace(
    FAILED, model="b", outcome=Outcome.OK, usage=Usage(input_tokens=10, output_tokens=20), cost=Money(40)
)
ANSWER = Answer(
    text="seven",
    source="model",
    agent="general",
    decision=DECISION,
    attempts=(FAILED, SKIPPED, WON),
    usage=Usage(),
    cost=Money(),
    latency_ms=9.0,
    request_id="r1",
    trace_id="t",
    model="b",
    degraded=("fallback",),
)
FINISHED = Finished(
    request=REQUEST, decision=DECISION, attempts=ANSWER.attempts, answer=ANSWER, error="", latency_ms=9.5
)
