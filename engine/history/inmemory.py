"""``History`` in a list: the twin for tests, and for whoever wants nothing on disk. Gone with the process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from configs.history import HistorySettings
from engine.history.contract import HistoryQuery, HistoryRow, user_of
from engine.history.record import kept
from engine.history.words import without_words


class InMemoryHistory:
    """Under the same policies as the real one."""

    def __init__(self, settings: HistorySettings) -> None:
        self._settings = settings
        self._rows: dict[str, HistoryRow] = {}
        self.dropped = 0
        """Rows beyond ``history.queue_max``, which is all that this one keeps."""

    def put(self, row: HistoryRow) -> None:
        """Keep it; see ``History``."""
        if len(self._rows) >= self._settings.queue_max:
            self.dropped += 1
        else:
            self._rows.setdefault(row.id, kept(row, self._settings.content))

    def rows(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """Read; see ``History``."""
        found = [row for row in self._rows.values() if _matches(row, query)]
        found.sort(key=lambda row: (row.at_s, row.id), reverse=query.newest_first)
        yield from found[: query.limit]

    async def forget(self, tenant_id: str, user_id: str) -> int:
        """Forget a user; see ``History``."""
        user = user_of(tenant_id, user_id)
        count = 0
        for name, row in self._rows.items():
            bare = without_words(row.decision)
            empty = replace(row, prompt=None, answer=None, embedding=None, fingerprint="", decision=bare)
            if row.user == user and row != empty:
                self._rows[name] = empty
                count += 1
        return count

    async def flush(self) -> None:
        """Everything is there at once."""

    async def aclose(self) -> None:
        """Nothing is left to write."""


def _matches(row: HistoryRow, query: HistoryQuery) -> bool:
    return (
        (query.since_s is None or row.at_s >= query.since_s)
        and (query.until_s is None or row.at_s < query.until_s)
        and query.agent in ("", row.agent)
        and query.arm in ("", row.arm)
        and query.user in ("", row.user)
    )
