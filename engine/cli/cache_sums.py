"""The report of the cache as values: hits and savings out of the history, false hits out of counters. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from configs.caching import BoundSettings
from engine.cache.tally import Counts, Stance, can_judge, of_agent, standing_of, tally_of
from engine.history.contract import HistoryRow

TIERS: Final = ("exact_cache", "semantic_cache", "flight")
REFUSED: Final = "refused."


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Answers of one agent, or of all."""

    agent: str
    answers: int
    exact: int
    semantic: int
    flight: int
    """Of somebody else's identical request that was under way."""
    hit_rate: float
    """Share of the answers that no model was asked for."""
    saved_micros: int
    """What the hits would have cost."""
    guessed: int
    """Hits whose own price is not known; an agent's mean fresh answer stands for it."""
    unpriced: int
    """Hits that nothing stands for; they count as nothing saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Semantic hits that were answered afresh as well, to compare; nobody was given these answers."""

    count: int
    cost_micros: int
    """Of all of them, those that failed too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseHits:
    """Of one agent, or of all: semantic hits that were answered afresh as well, and compared."""

    agent: str
    compared: int
    wrong: int
    unsure: int
    """Compared, and nobody could tell; not in ``compared``."""
    rate: float | None
    low: float
    high: float
    stance: Stance
    """As somebody who has just started would take it."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReport:
    """The whole report."""

    total: Line
    agents: tuple[Line, ...]
    """By falling number of answers."""
    checks: Checks
    """Not among the answers."""
    delta: float
    confidence: float
    window_days: int
    false_hits: tuple[FalseHits, ...]
    """All first; then agents with enough of their own to be judged. Empty when nobody could be asked."""
    refusals: Mapping[str, int]
    """By rule, most first, over the window."""
    lookups: Mapping[str, int]
    """By tier and result, over the window."""
    notes: tuple[str, ...]


def lines_of(rows: Sequence[HistoryRow]) -> tuple[Line, tuple[Line, ...]]:
    """Of all answers that users were given, and by agent. ``rows`` may be in any order.

    The latest price of a question counts. What a check has cost is what a hit would have cost, so it prices hits
    although it is no answer.
    """
    fresh = sorted((row for row in rows if row.ok and row.source == "model"), key=lambda row: row.at_s)
    prices = {row.fingerprint: row.cost_micros for row in fresh if row.fingerprint}
    costs: dict[str, list[int]] = defaultdict(list)
    for row in fresh:
        costs[row.answered_by].append(row.cost_micros)
    means = {agent: round(sum(all_) / len(all_)) for agent, all_ in costs.items()}
    answered: dict[str, list[HistoryRow]] = defaultdict(list)
    for row in rows:
        if row.ok and row.cache != "check":
            answered[row.answered_by].append(row)
    lines = [_line(agent, own, prices, means) for agent, own in answered.items()]
    total = _line("all", [row for own in answered.values() for row in own], prices, means)
    return total, tuple(sorted(lines, key=lambda line: (-line.answers, line.agent)))


def checks_of(rows: Iterable[HistoryRow]) -> Checks:
    """How many, and what they have cost."""
    costs = [row.cost_micros for row in rows if row.cache == "check"]
    return Checks(count=len(costs), cost_micros=sum(costs))


def false_hits_of(counts: Counts, rules: BoundSettings) -> tuple[FalseHits, ...]:
    """Of all agents, and of each that has enough to speak for itself."""
    names = sorted({agent for agent, _ in counts if agent})
    each = [_false_hits(name, of_agent(counts, name), rules) for name in names if _enough(counts, name, rules)]
    return (_false_hits("all", of_agent(counts, None), rules), *each)


def refusals_of(counts: Counts) -> dict[str, int]:
    """By rule, most first."""
    found = Counter(
        {c.removeprefix(REFUSED): n for c, n in of_agent(counts, None).items() if c.startswith(REFUSED)}
    )
    return dict(found.most_common())


def lookups_of(counts: Counts) -> dict[str, int]:
    """By tier and result."""
    found = of_agent(counts, None).items()
    return {name.removeprefix("lookup."): count for name, count in sorted(found) if name.startswith("lookup.")}


def notes_of(total: Line, false_hits: Iterable[FalseHits], unreachable: str) -> tuple[str, ...]:
    """What a reader must know before believing the figures."""
    notes: list[str] = []
    if not total.answers:
        notes.append("No answer has been recorded since then: ask something, or check `history.enabled`.")
    if total.guessed:
        notes.append(f"{total.guessed:,} hits are priced as their agent's mean fresh answer.")
    if total.unpriced:
        notes.append(f"{total.unpriced:,} hits are not priced: their agent gave no fresh answer in this time.")
    if unreachable:
        notes.append(f"False hits and refusals are not known: {unreachable}.")
    elif not any(found.compared for found in false_hits):
        notes.append("No semantic hit has been compared with a fresh answer yet: the false-hit rate is not known.")
    return tuple(notes)


def cut_of(rows: Sequence[HistoryRow], limit: int) -> tuple[Sequence[HistoryRow], tuple[str, ...]]:
    """The latest ``limit`` of ``rows``, which come newest first, and a note where that leaves any out."""
    if len(rows) <= limit:
        return rows, ()
    kept = rows[:limit]
    began = datetime.fromtimestamp(kept[-1].at_s, UTC)
    note = f"Only the latest {limit:,} requests are counted, since {began:%Y-%m-%d %H:%M} UTC: more need --limit."
    return kept, (note,)


def _line(agent: str, rows: Sequence[HistoryRow], prices: Mapping[str, int], means: Mapping[str, int]) -> Line:
    by_tier = Counter(row.source for row in rows)
    hits = [row for row in rows if row.source in TIERS]
    known = [prices[row.fingerprint] for row in hits if row.fingerprint in prices]
    rest = [row for row in hits if row.fingerprint not in prices]
    guessed = [means[row.answered_by] for row in rest if row.answered_by in means]
    return Line(
        agent=agent,
        answers=len(rows),
        exact=by_tier["exact_cache"],
        semantic=by_tier["semantic_cache"],
        flight=by_tier["flight"],
        hit_rate=len(hits) / len(rows) if rows else 0.0,
        saved_micros=sum(known) + sum(guessed),
        guessed=len(guessed),
        unpriced=len(rest) - len(guessed),
    )


def _enough(counts: Counts, agent: str, rules: BoundSettings) -> bool:
    return can_judge(tally_of(of_agent(counts, agent)), rules)


def _false_hits(agent: str, counters: Mapping[str, int], rules: BoundSettings) -> FalseHits:
    tally = tally_of(counters)
    found = standing_of(tally, rules, "normal")
    low, high = found.interval
    return FalseHits(
        agent=agent,
        compared=found.compared,
        wrong=found.wrong,
        unsure=tally.unsure,
        rate=found.rate,
        low=low,
        high=high,
        stance=found.stance,
        why=found.why,
    )
