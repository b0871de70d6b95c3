"""A second breaker, written from docs/rules.md alone, to hold the real one against (B12).

It keeps the whole history of a CLOSED period and judges it anew after every outcome, where the real one keeps
sums. Slow, unbounded, obvious. Imports nothing from ``engine.resilience``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import Report

PARK = {Outcome.THROTTLE, Outcome.QUOTA, Outcome.AUTH, Outcome.MISSING}


@dataclass
class Reference:
    """State names are those of the contract. ``acquire`` returns the generation, or ``None`` for no."""

    rules: BreakerSettings
    state: str = "closed"
    gen: int = 1
    until: float = 0.0
    opens: int = 0
    row: int = 0
    probes_ok: int = 0
    ema: float = 1.0
    history: list[tuple[float, bool, bool]] = field(default_factory=list[tuple[float, bool, bool]])
    """When, whether it went well, and whether it was slow."""
    leases: dict[str, float] = field(default_factory=dict[str, float])
    reported: set[str] = field(default_factory=set[str])

    def _go(self, state: str) -> None:
        self.state, self.gen = state, self.gen + 1
        self.leases, self.probes_ok = {}, 0
        if state == "closed":
            self.history, self.row, self.opens = [], 0, 0

    def pass_time(self, now: float) -> None:
        """OPEN and PARKED end at ``until``; a lease is dead at its expiry."""
        if self.state in ("open", "parked") and now >= self.until:
            self._go("half_open")
        self.leases = {call: end for call, end in self.leases.items() if end > now}

    def acquire(self, call: str, now: float) -> int | None:
        """Ask leave."""
        self.pass_time(now)
        if self.state in ("open", "parked", "forced_open"):
            return None
        if self.state == "half_open":
            if call in self.leases:
                return self.gen
            if call in self.reported or len(self.leases) >= self.rules.half_open_probes:
                return None
            self.leases[call] = now + self.rules.lease_s
        return self.gen

    def report(self, call: str, gen: int, result: Report, now: float, sample: float) -> None:
        """Say how it ended. ``sample`` is the drawn one."""
        outcome, wait = result.outcome, (result.retry_after_s, sample)
        if gen != self.gen or call in self.reported:
            return
        if self.state == "half_open":
            if self.leases.get(call, -math.inf) <= now:
                return
            del self.leases[call]
        self.reported.add(call)
        if self.state == "disabled":
            return
        if outcome in PARK and self.state in ("closed", "half_open"):
            self._go("parked")
            self.until = now + self._parked(outcome, *wait)
        if outcome in (Outcome.OK, Outcome.FAIL):
            self._count(result, now, wait)

    def _count(self, result: Report, now: float, wait: tuple[float | None, float]) -> None:
        good = result.outcome is Outcome.OK
        self.ema += self.rules.ema_alpha * (good - self.ema)
        self.row = 0 if good else self.row + 1
        self.history.append((now, good, good and result.slow))
        if self.state == "half_open":
            fine = good and not result.slow
            self.probes_ok += fine
            if not fine:
                self._trip(now, *wait)
            elif self.probes_ok >= self.rules.half_open_successes:
                self._go("closed")
        elif self.state == "closed" and result.may_open and self._bad_enough(now):
            self._trip(now, *wait)

    def force(self, state: str) -> None:
        """By hand."""
        self._go(state)

    def _bad_enough(self, now: float) -> bool:
        if self.row >= self.rules.consecutive_failures:
            return True
        width = self.rules.window_s / self.rules.window_buckets
        first = math.floor(now / width) - self.rules.window_buckets + 1
        recent = [(good, slow) for at, good, slow in self.history if math.floor(at / width) >= first]
        bad = sum(not good for good, _ in recent)
        slow = sum(slow for _, slow in recent)
        return len(recent) >= self.rules.rate_min_calls and (
            bad / len(recent) >= self.rules.failure_rate or slow / len(recent) >= self.rules.slow_rate
        )

    def _trip(self, now: float, asked: float | None, sample: float) -> None:
        self.opens += 1
        r, opens = self.rules, self.opens
        base = min(r.open_s * 2 ** (opens - 1), r.open_s_max)
        low, high = base * (1 - r.jitter), min(base * (1 + r.jitter), r.open_s_max)
        self._go("open")
        self.until = now + max(low + (high - low) * sample, min(asked or 0.0, r.park_s_max))

    def _parked(self, outcome: Outcome, asked: float | None, sample: float) -> float:
        r = self.rules
        if outcome is Outcome.THROTTLE:
            return min((r.open_s if asked is None else asked) * (1 + r.jitter * sample), r.park_s_max)
        return max(r.reprobe_s * (1 - r.jitter + 2 * r.jitter * sample), min(asked or 0.0, r.park_s_max))
