"""Rows of history, and each implementation of it, empty."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import create_engine, text

from configs.history import HistorySettings
from configs.kernel import Message
from engine.history.contract import ALL_ROWS, History, HistoryQuery, HistoryRow, tenant_of, user_of
from engine.history.inmemory import InMemoryHistory
from engine.history.writer import SqlHistory

NOW_S = 1_800_000_000.0
EMPTY: dict[str, str] = {}
SETTINGS = HistorySettings(batch_s=0.001, page_rows=2, sweep_rows=2)
ROW = HistoryRow(
    id="row-0",
    request_id="request-0",
    at_s=NOW_S,
    tenant=tenant_of("acme"),
    user=user_of("acme", "ada"),
    outcome="ok",
    agent="sql",
    answered_by="general",
    source="model",
    strategy="parallel",
    wanted="cascade",
    complexity="medium",
    confidence=0.1 + 0.2,
    propensity=0.25,
    explored=True,
    out_of_scope=True,
    head="head-1",
    arm="trial/new",
    data_class="public",
    cache="off",
    fingerprint="sg:x2:0:1",
    model="m",
    latency_ms=12.5,
    cost_micros=2**40,
    input_tokens=3,
    output_tokens=5,
    degraded=("fallback", "cache"),
    decision='{"agent": "sql", "why": "\\u0000 ☕"}',
    attempts="[1]",
    embedding=bytes(range(256)) * 3,
    prompt=(Message("system", "be brief"), Message("user", "count the rows ☕ \x00 \ud800")),
    answer="forty-two ☕ \x00",
)


def row(number: int = 0, **fields: Any) -> HistoryRow:
    """The ``number``-th row, a second after the one before it."""
    base: dict[str, Any] = {
        "id": f"row-{number}",
        "request_id": f"request-{number}",
        "at_s": NOW_S + number,
        "prompt": (Message("user", f"question {number}"),),
    }
    return replace(ROW, **(base | fields))


@dataclass
class HistoryLab:
    """One history under test."""

    history: History
    settings: HistorySettings

    async def put(self, *rows: HistoryRow) -> None:
        """Have them written."""
        for one in rows:
            self.history.put(one)
        await self.history.flush()

    async def read(self, query: HistoryQuery = ALL_ROWS) -> list[HistoryRow]:
        """The rows of a query."""
        return await asyncio.to_thread(lambda: list(self.history.rows(query)))


@asynccontextmanager
async def history_lab(kind: str, folder: Path, url: str, **settings: Any) -> AsyncIterator[HistoryLab]:
    """``memory``, ``sqlite`` or ``postgresql``, empty."""
    chosen = SETTINGS.model_copy(update=settings)
    if kind == "postgresql":
        await asyncio.to_thread(empty, url)
        chosen = chosen.model_copy(update={"url": SecretStr(url)})
    history: InMemoryHistory | SqlHistory = (
        InMemoryHistory(chosen) if kind == "memory" else SqlHistory(chosen, folder, EMPTY, now_s=lambda: NOW_S)
    )
    try:
        yield HistoryLab(history, chosen)
    finally:
        await history.aclose()


def empty(url: str) -> None:
    """Drop every table of history."""
    engine = create_engine(url, hide_parameters=True)
    with engine.begin() as connection:
        for table in ("switchgear_requests", "switchgear_user_keys", "switchgear_history_version"):
            connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
    engine.dispose()
