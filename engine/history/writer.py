"""History off the request path: a bounded queue and one thread that writes it to SQL in batches.

Nothing of SQLAlchemy is imported and no thread runs before the first row. While the database is gone rows wait and
the thread asks again, ever more rarely; over ``history.queue_max`` the newest are dropped and counted. A process
that is killed loses what came in the last ``history.batch_s``; one that stops cleanly loses nothing it could write
within ``history.stop_s``.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from configs.errors import SwitchgearError
from configs.history import HistorySettings
from engine.history.contract import HistoryQuery, HistoryRow, user_of
from memory.errors import BackendUnavailable

if TYPE_CHECKING:
    from engine.history.store import RowStore

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Forget:
    user: str
    done: Future[int] = field(default_factory=Future[int])


@dataclass(frozen=True, slots=True)
class _Flush:
    done: Future[int] = field(default_factory=Future[int])


_Order = _Forget | _Flush


class SqlHistory:
    """``History`` in SQLite or PostgreSQL. Needs ``aclose``."""

    def __init__(
        self,
        settings: HistorySettings,
        folder: Path,
        environ: Mapping[str, str],
        *,
        now_s: Callable[[], float] = time.time,
        store: Callable[[], RowStore] | None = None,
    ) -> None:
        """``folder`` holds the SQLite file and the master key; ``now_s`` is Unix time; ``store`` makes the rows'
        store, in the thread."""
        self._settings = settings
        self._now_s = now_s
        self._make = store if store is not None else lambda: _sql_store(settings, folder, environ)
        self._queue: queue.SimpleQueue[HistoryRow | _Order | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        """Somebody waits, or a batch is full: the thread does not wait for more rows."""
        self._stop_by_s = float("inf")
        self._in_hand = 0
        self._sweep_at_s = 0.0
        self.dropped = 0
        """Rows that there was no room for, that the database refused, or that a stop had no time for."""
        self.degraded = ""
        """Why nothing is being written; empty while it is."""

    def put(self, row: HistoryRow) -> None:
        """Queue it; see ``History``."""
        if self._stopping.is_set() or self.waiting >= self._settings.queue_max:
            self.dropped += 1
            return
        self._start()
        self._queue.put(row)
        if self._queue.qsize() >= self._settings.batch_rows:
            self._hurry.set()

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return self._queue.qsize() + self._in_hand

    def rows(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """Read; see ``History``. On connections of its own, so that a slow reader holds no writer up."""
        store = self._make()
        try:
            yield from store.rows(query)
        finally:
            store.close()

    async def forget(self, tenant_id: str, user_id: str) -> int:
        """Forget a user; see ``History``."""
        return await self._ordered(_Forget(user_of(tenant_id, user_id)))

    async def flush(self) -> None:
        """Wait for what is queued; see ``History``."""
        if self._thread is not None:
            await self._ordered(_Flush())

    async def aclose(self) -> None:
        """Write what is left and stop."""
        self._stop_by_s = time.monotonic() + self._settings.stop_s
        self._stopping.set()
        if self._thread is None:
            return
        self._queue.put(None)
        self._hurry.set()
        # A driver may hang longer than we wait; the thread is a daemon and ends with the process.
        await asyncio.to_thread(self._thread.join, self._settings.stop_s + self._settings.timeout_s)

    async def _ordered(self, order: _Order) -> int:
        if self._stopping.is_set():
            raise _closed()
        self._start()
        self._queue.put(order)
        self._hurry.set()
        try:
            # It stands behind rows, and those may wait for a database that is gone.
            async with asyncio.timeout(self._settings.timeout_s + self._settings.stop_s):
                return await asyncio.wrap_future(order.done)
        except TimeoutError as exc:
            raise BackendUnavailable("history", self.degraded or "it is too busy") from exc

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="switchgear-history", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        store: RowStore | None = None
        ended = False
        try:
            store = self._make()
            while self._turn(store):
                pass
            ended = True
        finally:
            self._stopping.set()
            if not ended:
                self.dropped += self._in_hand
                self._in_hand = 0
                self._say("its writer ended by surprise; what comes now is lost")
            if store is not None:
                store.close()
            self._give_up()

    def _turn(self, store: RowStore) -> bool:
        """Wait for something, write it; whether to go on."""
        batch, order, more = self._next_batch()
        try:
            if batch:
                self._write(store, batch)
            self._in_hand = 0
            if order is not None and order.done.set_running_or_notify_cancel():
                self._obey(store, order)
        finally:
            if order is not None and not order.done.done():
                order.done.set_exception(_closed())
        if more and not self._stopping.is_set():
            self._sweep(store)
        return more

    def _next_batch(self) -> tuple[list[HistoryRow], _Order | None, bool]:
        """Rows up to the next order, a full batch or the end of ``batch_s``; the order; whether to go on."""
        batch: list[HistoryRow] = []
        wait_s = max(0.0, self._sweep_at_s - time.monotonic())
        while len(batch) < self._settings.batch_rows:
            try:
                item = self._queue.get(timeout=wait_s) if wait_s else self._queue.get_nowait()
            except queue.Empty:
                return batch, None, True
            if not isinstance(item, HistoryRow):
                return batch, item, item is not None
            batch.append(item)
            self._in_hand = len(batch)
            if len(batch) == 1:
                # Not woken by each of them: that would cost whoever answers more than writing does.
                self._hurry.wait(self._settings.batch_s)
                self._hurry.clear()
                wait_s = 0.0
        return batch, None, True

    def _write(self, store: RowStore, batch: list[HistoryRow]) -> None:
        try:
            refused = self._persist(lambda: store.write(batch, self._now_s()))
        except SwitchgearError as exc:
            self._lost(batch, str(exc))
            return
        except (OverflowError, TypeError, ValueError) as exc:
            # About what a row holds; its text may quote it.
            self._lost(batch, type(exc).__name__)
            return
        if refused:
            self.dropped += refused
            log.warning("history: the database refused %d rows of %d", refused, len(batch))

    def _lost(self, batch: list[HistoryRow], reason: str) -> None:
        self.dropped += len(batch)
        self._say(f"{len(batch)} rows are lost: {reason}")

    def _obey(self, store: RowStore, order: _Order) -> None:
        try:
            match order:
                case _Forget():
                    order.done.set_result(self._once(lambda: store.forget(order.user)))
                case _Flush():
                    self._once(store.open)
                    order.done.set_result(0)
        except SwitchgearError as exc:
            order.done.set_exception(exc)

    def _sweep(self, store: RowStore) -> None:
        """Delete some old rows, if it is time; while there are more, the next turn goes on with it."""
        if time.monotonic() < self._sweep_at_s:
            return
        try:
            more = self._once(lambda: store.sweep(self._now_s()))
        except SwitchgearError as exc:
            self._say(str(exc))
            more = False
        if not more:
            self._sweep_at_s = time.monotonic() + self._settings.sweep_s

    def _persist(self, write: Callable[[], int]) -> int:
        """Try until it succeeds or a stop has no more time. Raises ``SwitchgearError`` when it never will."""
        wait_s = self._settings.retry_s
        while True:
            try:
                return self._once(write)
            except BackendUnavailable as exc:
                if time.monotonic() >= self._stop_by_s:
                    raise
                self._say(str(exc))
            if self._stopping.wait(wait_s):
                time.sleep(self._settings.retry_s)
            wait_s = min(wait_s * 2, self._settings.retry_s_max)

    def _once(self, call: Callable[[], T]) -> T:
        result = call()
        self.degraded = ""
        return result

    def _say(self, reason: str) -> None:
        if not self.degraded:
            log.warning("history: %s", reason)
        self.degraded = reason

    def _give_up(self) -> None:
        """Nobody will take what is still queued."""
        while True:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, HistoryRow):
                self.dropped += 1
            elif item is not None and item.done.set_running_or_notify_cancel():
                item.done.set_exception(_closed())


def _closed() -> BackendUnavailable:
    return BackendUnavailable("history", "it is closed")


def _sql_store(settings: HistorySettings, folder: Path, environ: Mapping[str, str]) -> RowStore:
    # SQLAlchemy and cryptography take most of a second to import; the thread pays that, at the first row.
    from engine.history.store import RowStore  # noqa: PLC0415 - as above

    return RowStore(settings, folder, environ)
