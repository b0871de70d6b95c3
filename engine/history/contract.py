"""What history keeps of a request, and who keeps it. Protocol and its values, nothing else.

``engine/history/writer.py`` (SQLite or PostgreSQL) and its twin ``engine/history/inmemory.py`` implement it, under
``tests/contract``. It names people by digest only: rows hold no id that a caller gave.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from configs.kernel import Message
from engine.types import Complexity, DataClass, Source, Strategy

Verdict = Literal["hit", "miss", "off", "check"]
"""What the answer cache said; ``off`` when the caller asked it not to look. ``check``: no user's request, but a
semantic hit that was answered afresh as well to compare the two (cache.bound)."""
OK = "ok"
"""``HistoryRow.outcome`` of a request that was answered."""


def tenant_of(tenant_id: str) -> str:
    """The tenant as rows name it: 32 hex digits of a SHA-256."""
    return hashlib.sha256(b"tenant\0" + tenant_id.encode()).hexdigest()[:32]


def user_of(tenant_id: str, user_id: str) -> str:
    """The user as rows name it: 32 hex digits of a SHA-256 over tenant and user, length first."""
    tenant = tenant_id.encode()
    head = b"user\0" + len(tenant).to_bytes(8, "big")
    return hashlib.sha256(head + tenant + user_id.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One request that ended. Made by ``engine.history.record.row_of``."""

    id: str
    """Of the row. A request that was queued and asked again has a row per run."""
    request_id: str
    at_s: float
    """Unix time of its end."""
    tenant: str
    """``tenant_of``."""
    user: str
    """``user_of``."""
    outcome: str
    """``ok``, or the code of the error it ended with."""
    agent: str = ""
    """Who was chosen; empty when it ended before that."""
    answered_by: str = ""
    """Who answered; another one than ``agent`` after a fallback; empty without an answer."""
    source: Source | None = None
    strategy: Strategy = "single"
    wanted: Strategy = "single"
    complexity: Complexity | None = None
    confidence: float = 0.0
    propensity: float = 0.0
    """Probability with which ``agent`` was chosen; 0: not recorded."""
    explored: bool = False
    out_of_scope: bool = False
    head: str = ""
    arm: str = ""
    """``experiment/arm``; empty: none."""
    data_class: DataClass = "internal"
    cache: Verdict = "miss"
    fingerprint: str = ""
    """Of what was asked, as the cache makes it."""
    model: str = ""
    latency_ms: float = 0.0
    cost_micros: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    degraded: tuple[str, ...] = ()
    decision: str = "{}"
    """JSON of ``engine.types.Decision``. Empty for a hit in the exact cache; without the words that it quotes of
    the question (``engine.history.words``) where no text is kept, and once the user is forgotten."""
    attempts: str = "[]"
    """JSON list of ``engine.types.Attempt``."""
    embedding: bytes | None = None
    """Of the question: little-endian float16, 768 bytes with the shipped encoder."""
    prompt: tuple[Message, ...] | None = None
    """``None``: not kept, forgotten, damaged, under a key that is not here, or a hit in the exact cache."""
    answer: str | None = None

    @property
    def ok(self) -> bool:
        """Whether it was answered."""
        return self.outcome == OK

    @property
    def question(self) -> str | None:
        """The text that was routed, the last user message; ``None`` when the prompt is missing."""
        if self.prompt is None:
            return None
        return next((m.content for m in reversed(self.prompt) if m.role == "user"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Which rows. Empty or ``None``: any."""

    since_s: float | None = None
    """From this Unix time on."""
    until_s: float | None = None
    """Before this Unix time."""
    limit: int | None = None
    agent: str = ""
    arm: str = ""
    user: str = ""
    """``user_of``."""
    newest_first: bool = False


ALL_ROWS = HistoryQuery()


class History(Protocol):
    """Where rows go and come from."""

    def put(self, row: HistoryRow) -> None:
        """Have it written, soon. Returns at once and never raises; what there is no room for is counted."""
        ...

    def rows(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """Written rows by rising time, or falling. Blocks: in an event loop, iterate in a thread.

        Raises ``BackendUnavailable``, and ``HistoryRefused`` for a database of a later release.
        """
        ...

    async def forget(self, tenant_id: str, user_id: str) -> int:
        """Destroy the user's key and empty their rows of text, quoted words, embedding and fingerprint; how many.

        Rows put before it are among them. Raises as ``rows`` does.
        """
        ...

    async def flush(self) -> None:
        """Return when everything put so far is written. Raises as ``rows`` does."""
        ...

    async def aclose(self) -> None:
        """Write what is left, for at most ``history.stop_s``, and stop."""
        ...
