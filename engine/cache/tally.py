"""What came of semantic hits over a window of days, and whether they may go on as they do (cache.bound). Pure.

Counters are added up over replicas (``redis_tally.py``); here they are read and judged. An entry's own threshold
is ``bound.py``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from configs.caching import BoundSettings
from engine.cache.intervals import clopper_pearson, is_above

Stance = Literal["normal", "tight", "off"]
"""``tight``: thresholds are raised. ``off``: no semantic hit is served; what would be one is only compared."""
Band = Literal["high", "low"]
"""Of candidates that an entry's threshold lets through: ``high`` those that a raised threshold would, too."""
Counts = Mapping[tuple[str, str], int]
"""By agent and counter. The agent is empty where nobody has been chosen yet."""
DAY_S: Final = 86_400
RULE: Final = re.compile(r"[a-z][a-z_]{0,23}")
OTHER: Final = "other"
SERVED_RIGHT: Final = "served.right"
SERVED_WRONG: Final = "served.wrong"
UNSURE: Final = "served.unsure"


class TallyStore(Protocol):
    """Counters of all replicas, by day. Raises ``BackendUnavailable``.

    ``engine/cache/redis_tally.py`` and its twin ``engine/cache/inmemory_tally.py``, under ``tests/contract``.
    """

    async def add(self, day: int, counts: Counts) -> None:
        """Add to the counters of ``day``, days since 1970; all of them or none."""
        ...

    async def read(self, days: tuple[int, ...]) -> Mapping[int, Counts]:
        """Counters of ``days``; days on which nothing was counted are left out."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Answers of one kind that were compared with fresh ones."""

    count: int
    wrong: int

    @property
    def rate(self) -> float | None:
        """Share that was wrong; ``None`` without any."""
        return self.wrong / self.count if self.count else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """One agent's counters over the window, or everybody's."""

    served: Compared
    """Hits that were served: what the false-hit rate is made of."""
    unsure: int
    """Served and compared, without anybody knowing."""
    high: Compared
    low: Compared
    """Candidates by band, served or not."""
    high_seen: int
    low_seen: int
    """How many there were, compared or not."""

    @property
    def wrong_share(self) -> float | None:
        """Share of wrong ones among all that the normal thresholds let through.

        Bands are compared at different rates while one of them is withheld, so they are weighed by how many there
        were, not by how many were compared.
        """
        bands = [(b, n) for b, n in ((self.high, self.high_seen), (self.low, self.low_seen)) if b.count]
        weights = [float(max(n, b.count)) for b, n in bands]
        if not bands:
            return None
        return sum(w * b.wrong / b.count for w, (b, _) in zip(weights, bands, strict=True)) / sum(weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one agent's semantic hits do."""

    stance: Stance
    rate: float | None
    """False-hit rate: share of compared hits that were wrong; ``None`` when none was compared."""
    compared: int
    wrong: int
    confidence: float
    why: str

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of the rate's interval (Clopper-Pearson), worked out when asked for: it takes a millisecond."""
        return clopper_pearson(self.wrong, self.compared, self.confidence)


def lookup(tier: str, result: str) -> str:
    """Name of a counter of lookups."""
    return f"lookup.{tier}.{result}"


def is_outcome(counter: str) -> bool:
    """Whether a counter is of answers that were compared: the only ones that move a stance."""
    return counter.endswith((".right", ".wrong"))


def refusal(rule: str) -> str:
    """Name of the counter of a rule that refused; what is no rule's name counts as another one."""
    return f"refused.{rule if RULE.fullmatch(rule) else OTHER}"


def seen(band: Band) -> str:
    """Name of the counter of candidates of a band."""
    return f"{band}.seen"


def outcome(band: Band, right: bool) -> str:
    """Name of the counter of compared candidates of a band."""
    return f"{band}.{'right' if right else 'wrong'}"


def day_of(now_s: float) -> int:
    """Days since 1970, UTC."""
    return int(now_s // DAY_S)


def window(now_s: float, rules: BoundSettings) -> tuple[int, ...]:
    """The days that count, today last."""
    today = day_of(now_s)
    return tuple(range(today - rules.window_days + 1, today + 1))


def summed(days: Iterable[Counts]) -> dict[tuple[str, str], int]:
    """All days in one."""
    total: Counter[tuple[str, str]] = Counter()
    for counts in days:
        total.update(counts)
    return dict(total)


def of_agent(counts: Counts, agent: str | None) -> dict[str, int]:
    """Counters of one agent; of all of them together for ``None``."""
    found: Counter[str] = Counter()
    for (name, counter), count in counts.items():
        if agent is None or name == agent:
            found[counter] += count
    return dict(found)


def tally_of(counters: Mapping[str, int]) -> Tally:
    """What counters say of semantic hits. Numbers below zero, which nobody counts, are none."""

    def count(name: str) -> int:
        return max(0, counters.get(name, 0))

    def compared(right: str, wrong: str) -> Compared:
        return Compared(count=count(right) + count(wrong), wrong=count(wrong))

    return Tally(
        served=compared(SERVED_RIGHT, SERVED_WRONG),
        unsure=count(UNSURE),
        high=compared(outcome("high", True), outcome("high", False)),
        low=compared(outcome("low", True), outcome("low", False)),
        high_seen=count(seen("high")),
        low_seen=count(seen("low")),
    )


def standing_of(tally: Tally, rules: BoundSettings, before: Stance) -> Standing:
    """What follows from a tally, by the stance ``before``; a stance is left later than it is taken.

    ``off``: the interval of the share of wrong ones among those that even raised thresholds let through lies above
    δ; until that share is at most δ. ``tight``: the share among all is above δ; until it is at most
    ``calm`` of δ. Neither begins with fewer than ``judge_min`` compared answers.
    """
    stance, why = _stance(tally, rules, before)
    return Standing(
        stance=stance,
        rate=tally.served.rate,
        compared=tally.served.count,
        wrong=tally.served.wrong,
        confidence=rules.confidence,
        why=why,
    )


def nothing(rules: BoundSettings) -> Standing:
    """Where nothing was compared."""
    return standing_of(tally_of({}), rules, "normal")


def can_judge(tally: Tally, rules: BoundSettings) -> bool:
    """Whether a tally has enough to speak for itself."""
    return tally.high.count + tally.low.count >= rules.judge_min


def _stance(tally: Tally, rules: BoundSettings, before: Stance) -> tuple[Stance, str]:
    firm, share = tally.high, tally.wrong_share
    said = f"{firm.wrong} of {firm.count} firm candidates were wrong"
    if firm.count >= rules.judge_min and is_above(firm.wrong, firm.count, rules.delta, rules.confidence):
        return "off", f"{said}, beyond chance, and δ is {rules.delta:.2%}"
    if before == "off" and (firm.rate or 0.0) > rules.delta:
        return "off", f"{said}, and δ is {rules.delta:.2%}"
    if share is None:
        return "normal", "nothing was compared"
    counted = f"{share:.2%} of {firm.count + tally.low.count} compared candidates were wrong"
    if share > rules.delta and (before != "normal" or can_judge(tally, rules)):
        return "tight", f"{counted}, and δ is {rules.delta:.2%}"
    if before != "normal" and share > rules.calm * rules.delta:
        return "tight", f"{counted}, still above {rules.calm * rules.delta:.2%}"
    return "normal", counted
