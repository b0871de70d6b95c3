"""One try of a call: which limit strikes next, what has been seen so far, and what is told about it afterwards.

No I/O and no clock: the shield passes the time in. ``CallReport`` is the one mutable record that leaves it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from agents.contract import Chunk
from agents.errors import CallFailed
from configs.kernel import Deadline, Failure, FailureKind, Outcome
from configs.settings import Settings
from engine.contract import BreakerState


@dataclass(slots=True, kw_only=True)
class CallReport:
    """What became of one call through a shield, over all its tries. Filled in while it runs.

    Give one to the shield to know what ``engine.types.Attempt`` asks for. Used for several calls in a row, it adds
    up their tries and keeps the outcome of the last.
    """

    tries: int = 0
    """Calls really made; 0 when the breaker or the deadline said no first."""
    asked_s: float | None = None
    """When the last of them began, on the shield's clock; ``None`` while it waits in line."""
    outcome: Outcome | None = None
    """``None`` while the call runs."""
    failure: Failure | None = None
    breaker: BreakerState = BreakerState.CLOSED
    """As it stood when it was last asked for leave."""
    first_token_s: float | None = None
    """From the start of the try that produced it."""
    latency_s: float = 0.0
    """Time spent in tries, without the pauses between them."""
    outpaced: bool = False
    """Set by a hedge when another route answered first: the cancellation that follows is this route's lateness."""

    @property
    def retry_after_s(self) -> float | None:
        """When asking again may help, if anybody said so."""
        return None if self.failure is None else self.failure.retry_after_s

    def refused(self, outcome: Outcome, failure: Failure) -> None:
        """Note that no call was made."""
        self.outcome, self.failure = outcome, failure

    def ended(self, outcome: Outcome, failure: Failure | None, watch: Watch, now_s: float) -> None:
        """Note how a try ended."""
        self.outcome, self.failure = outcome, failure
        self.latency_s += now_s - watch.started_s
        if self.first_token_s is None:
            self.first_token_s = watch.first_token_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a call may be silent, and who is inside it. ``None``: the deadline alone."""

    first_s: float | None
    idle_s: float | None
    retries: int
    nested: bool
    """Shields of its own inside: slow is not a failure here, and a probe is not held to a first token."""


class Watch:
    """Time and size of one try."""

    def __init__(
        self, limits: Limits, settings: Settings, deadline: Deadline, started_s: float, *, probe: bool
    ) -> None:
        self.started_s = started_s
        self.first_token_s: float | None = None
        self._limits = limits
        self._slow_share = settings.shield.slow_share
        self._deadline = deadline
        self._bytes_left = settings.request.answer_bytes_max
        silent_s = math.inf if limits.first_s is None else limits.first_s
        if probe and not limits.nested:
            silent_s = min(silent_s, settings.breaker.probe_deadline_s)
        self._silent_until_s = started_s + silent_s

    @property
    def produced(self) -> bool:
        """Whether any text has come."""
        return self.first_token_s is not None

    def was_slow(self, first_token_s: float | None) -> bool:
        """Whether the first token used more than its share of the limit; never for calls with shields inside."""
        if first_token_s is None or self._limits.first_s is None:
            return False
        return first_token_s > self._slow_share * self._limits.first_s

    def given_up(self, outcome: Outcome, report: CallReport) -> bool:
        """Whether somebody left before the first token: the caller's deadline, or a hedge that was faster."""
        left = outcome is Outcome.DEADLINE or (outcome is Outcome.CANCEL and report.outpaced)
        return left and not self.produced

    def late(self, usual_s: float | None, now_s: float) -> Failure | None:
        """The failure of a route given up on after its own p95: the first-token rule.

        Neutral for whoever gave up, but not for the route: hanging calls would otherwise never open its breaker
        while every caller's deadline is shorter than ``first_token_s``.
        """
        waited_s = now_s - self.started_s
        if usual_s is None or waited_s < usual_s:
            return None
        detail = f"no first token when given up on, {waited_s:.3g} s"
        return Failure(kind=FailureKind.FIRST_TOKEN_TIMEOUT, detail=detail)

    def limit(self, now_s: float) -> tuple[float, FailureKind]:
        """Seconds until the next limit, and what it means."""
        nearest = (self._deadline.remaining_s(now_s), FailureKind.DEADLINE)
        if self.produced:
            if self._limits.idle_s is not None and self._limits.idle_s < nearest[0]:
                nearest = (self._limits.idle_s, FailureKind.IDLE_TIMEOUT)
        elif (left_s := self._silent_until_s - now_s) < nearest[0]:
            nearest = (max(0.0, left_s), FailureKind.FIRST_TOKEN_TIMEOUT)
        return nearest

    def saw(self, chunk: Chunk, now_s: float) -> None:
        """Take note of a chunk. Raises ``CallFailed`` when the answer grows over the cap (fault 33)."""
        if not chunk.text:
            return
        if self.first_token_s is None:
            self.first_token_s = now_s - self.started_s
        # Characters first: encoding a text that is far too long would double it in memory.
        self._bytes_left -= len(chunk.text)
        if self._bytes_left >= 0 and not chunk.text.isascii():
            self._bytes_left -= len(chunk.text.encode(errors="surrogatepass")) - len(chunk.text)
        if self._bytes_left < 0:
            detail = "the answer is longer than request.answer_bytes_max"
            raise CallFailed(Failure(kind=FailureKind.OVERSIZE, detail=detail))

    def struck(self, kind: FailureKind, now_s: float) -> Failure:
        """The failure that a limit amounts to."""
        waited = f"{now_s - self.started_s:.3g} s"
        detail = {
            FailureKind.DEADLINE: f"the deadline passed after {waited}",
            FailureKind.FIRST_TOKEN_TIMEOUT: f"nothing came within {waited}",
        }.get(kind, f"silence in mid-answer, {waited} after its start")
        return Failure(kind=kind, detail=detail, produced_text=self.produced)
