"""Errors of the shield.

::

    CallFailed                 agents.errors
    ├── LeafCallFailed         a call behind a leaf shield broke; its own breaker has counted it already
    └── CallRefused            no call was made: the breaker said no, or the store had its chance in this request

Both are ``CallFailed``, so that an agent which knows only that one lets them pass.
"""

from __future__ import annotations

from agents.errors import CallFailed
from configs.kernel import Failure, FailureKind, Outcome
from engine.contract import BreakerState, Refusal


class LeafCallFailed(CallFailed):
    """A leaf call failed for good. Neutral for every outer breaker (B17)."""

    def __init__(self, failure: Failure, *, subject: str, outcome: Outcome) -> None:
        super().__init__(failure)
        self.subject = subject
        self.outcome = outcome


class CallRefused(CallFailed):
    """A call that was not made. Neutral for every outer breaker (B17), never retried."""

    code = "call_refused"

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(
            Failure(
                kind=FailureKind.REFUSED,
                detail=_why(refusal),
                retry_after_s=refusal.retry_after_s,
            )
        )
        self.refusal = refusal


def _why(refusal: Refusal) -> str:
    if refusal.state is BreakerState.CLOSED:  # the route is well, it only has no room
        return refusal.reason
    return f"breaker is {refusal.state.value}: {refusal.reason}"
