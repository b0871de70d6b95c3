"""Rows as training needs them: the question, who answered it, and whether that went well (route.train).

Only where the router chose whom it held to be right. Whom it asked to learn something, in an arm of an experiment
or instead of an agent that is on probation, excluded, slow or dear says nothing about whose question it was. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter, ValidationError

from configs.history import HistorySettings
from engine.errors import HistoryRefused
from engine.history.contract import ALL_ROWS, History, HistoryQuery, HistoryRow
from engine.types import Decision

CONTROL: Final = "/control"
"""How the arm ends in which an experiment changes nothing."""
_DECISION = TypeAdapter(Decision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One question that an agent was given."""

    text: str
    agent: str
    ok: bool
    """Whether that agent answered it; ``False``: it failed, and perhaps another one answered."""
    at_s: float
    propensity: float


def labelled(history: History, settings: HistorySettings, query: HistoryQuery = ALL_ROWS) -> Iterator[Labelled]:
    """Questions with their agents, by rising time.

    Left out are answers out of the cache, checks of such answers (whose questions are there) and rows whose
    agent was chosen for anything but its fit: explored, of an arm other than control, or while another candidate
    fitted better. Where somebody else than the chosen agent answered, ``ok`` is false: that teaches nothing about
    either.

    Raises ``HistoryRefused`` (history_content) when no text is kept: at once under ``content: none``, at the end
    when there were rows but none with a text. And what ``History.rows`` raises.
    """
    if settings.content == "none":
        raise _refusal("history keeps no texts (history.content is none)")
    return _read(history, query)


def _read(history: History, query: HistoryQuery) -> Iterator[Labelled]:
    seen = given = 0
    for row in history.rows(query):
        if not row.agent or row.source == "exact_cache" or row.cache == "check" or not _by_fit(row):
            continue
        seen += 1
        if (text := row.question) is not None:
            given += 1
            yield _label(row, text)
    if seen and not given:
        raise _refusal(f"none of {seen} rows of history has a text that can be read")


def _by_fit(row: HistoryRow) -> bool:
    """Whether the agent was chosen since the question is its own, as far as the row says."""
    if row.explored or not (row.arm == "" or row.arm.endswith(CONTROL)):
        return False
    if row.out_of_scope:
        return True
    try:
        candidates = _DECISION.validate_json(row.decision).candidates
    except ValidationError:
        return True
    own = next((c.intent for c in candidates if c.agent == row.agent), None)
    return own is None or all(c.intent <= own for c in candidates)


def _label(row: HistoryRow, text: str) -> Labelled:
    ok = row.ok and row.answered_by == row.agent
    return Labelled(text=text, agent=row.agent, ok=ok, at_s=row.at_s, propensity=row.propensity)


def _refusal(reason: str) -> HistoryRefused:
    return HistoryRefused(
        reason,
        hint="training needs texts: set history.content to encrypted, or give a file of rows",
        code="history_content",
    )
