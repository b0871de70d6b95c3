"""The writer's thread: what it does when the database is slow, gone, wrong or broken, and how it stops."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from configs.errors import SwitchgearError
from engine.errors import HistoryRefused
from engine.history.contract import HistoryRow
from engine.history.store import RowStore
from engine.history.writer import SqlHistory
from memory.errors import BackendUnavailable
from tests.support.history import EMPTY, NOW_S, SETTINGS, row

GONE = BackendUnavailable("history", "gone")


class FakeStore:
    """Keeps rows in a list; fails as told."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.failures: list[BaseException] = []
        self.fail_always: BaseException | None = None
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.old = 0
        self.sweeps = 0
        self.swept = threading.Event()
        self.forgotten: list[str] = []
        self.closed = False
        self.refused = 0

    def write(self, rows: list[HistoryRow], now_s: float) -> int:
        assert now_s == NOW_S
        self.entered.set()
        assert self.go_on.wait(10)
        self.open()
        self.batches.append([one.id for one in rows])
        return self.refused

    def open(self) -> None:
        if self.fail_always is not None:
            raise self.fail_always
        if self.failures:
            raise self.failures.pop(0)

    def forget(self, user: str) -> int:
        self.entered.set()
        assert self.go_on.wait(10)
        self.forgotten.append(user)
        return len(self.written)

    def sweep(self, now_s: float) -> bool:
        self.sweeps += 1
        self.old = max(0, self.old - 1)
        if self.old == 0:
            self.swept.set()
        return self.old > 0

    def close(self) -> None:
        self.closed = True

    @property
    def written(self) -> list[str]:
        """Ids in the order in which they were written."""
        return [name for batch in self.batches for name in batch]


@asynccontextmanager
async def writing(store: FakeStore, **settings: Any) -> AsyncIterator[SqlHistory]:
    """A history over ``store``."""
    chosen = SETTINGS.model_copy(update={"retry_s": 0.001, "retry_s_max": 0.002, **settings})
    make = cast("Callable[[], RowStore]", lambda: store)
    history = SqlHistory(chosen, Path("unused"), EMPTY, now_s=lambda: NOW_S, store=make)
    try:
        yield history
    finally:
        store.go_on.set()
        await history.aclose()


async def held(history: SqlHistory, store: FakeStore, rows: int) -> None:
    """Have the store hold a batch of the first row, and ``rows`` more waiting behind it."""
    store.go_on.clear()
    history.put(row(0))
    assert await asyncio.to_thread(store.entered.wait, 10)
    for number in range(1, rows + 1):
        history.put(row(number))


@pytest.mark.req("route.history")
async def test_over_the_limit_the_newest_rows_are_dropped_and_counted():
    """Rows in the hands of the writer count as waiting too; what was queued is written all the same."""
    store = FakeStore()
    async with writing(store, queue_max=3) as history:
        await held(history, store, 5)
        assert (history.waiting, history.dropped) == (3, 3)
        store.go_on.set()
        await history.flush()
        history.put(row(9))
        await history.flush()
    assert store.written == ["row-0", "row-1", "row-2", "row-9"]
    assert (history.waiting, history.dropped) == (0, 3)


@pytest.mark.req("route.history")
async def test_rows_that_wait_are_written_together():
    """No transaction of their own, and none over ``batch_rows``."""
    store = FakeStore()
    async with writing(store, batch_rows=4, batch_s=0.2) as history:
        await held(history, store, 6)
        store.go_on.set()
        await history.flush()
    assert [len(batch) for batch in store.batches] == [1, 4, 2]


@pytest.mark.req("route.history")
async def test_rows_wait_while_the_database_is_gone():
    """Nothing is lost or written twice, and once it is back nothing is said to be missing."""
    store = FakeStore()
    store.failures = [GONE] * 5
    async with writing(store) as history:
        for number in range(3):
            history.put(row(number))
        await history.flush()
        assert sorted(store.written) == ["row-0", "row-1", "row-2"]
        assert (history.dropped, history.degraded) == (0, "")


@pytest.mark.req("route.history")
async def test_a_clean_stop_writes_everything_that_is_left():
    """Rows behind a busy batch included; afterwards nothing is taken any more."""
    store = FakeStore()
    async with writing(store) as history:
        await held(history, store, 7)
    assert store.written == [f"row-{n}" for n in range(8)]
    assert store.closed
    history.put(row(8))
    assert history.dropped == 1
    with pytest.raises(BackendUnavailable):
        await history.forget("acme", "ada")


@pytest.mark.req("route.history")
async def test_a_stop_waits_for_a_gone_database_no_longer_than_the_settings_say():
    """What could not be written is counted."""
    store = FakeStore()
    store.fail_always = GONE
    async with writing(store, stop_s=0.01) as history:
        history.put(row(0))
        assert await asyncio.to_thread(store.entered.wait, 10)
        history.put(row(1))
    assert (store.written, history.dropped) == ([], 2)
    assert "gone" in history.degraded


@pytest.mark.req("route.history")
async def test_nobody_waits_for_a_database_that_stays_away():
    """Forgetting somebody fails and is not done later; the rows before it still wait."""
    store = FakeStore()
    store.fail_always = GONE
    async with writing(store, timeout_s=0.01, stop_s=0.01) as history:
        history.put(row(0))
        with pytest.raises(BackendUnavailable, match="gone"):
            await history.forget("acme", "ada")
        assert history.dropped == 0
        store.fail_always = None
        await history.flush()
    assert (store.written, store.forgotten) == (["row-0"], [])


@pytest.mark.req("route.history")
async def test_a_stop_while_the_database_is_away_still_writes_when_it_returns():
    """Within ``stop_s`` it goes on asking."""
    store = FakeStore()
    async with writing(store) as history:
        await held(history, store, 1)
        store.failures = [GONE] * 4
    assert (store.written, history.dropped) == (["row-0", "row-1"], 0)


@pytest.mark.req("route.history")
async def test_a_refusal_is_not_tried_again():
    """A database of a later release loses rows, counted and said, and never holds anybody up."""
    store = FakeStore()
    store.fail_always = HistoryRefused("later release", code="history_newer")
    async with writing(store) as history:
        history.put(row(0))
        with pytest.raises(HistoryRefused):
            await history.flush()
        assert history.dropped == 1
        assert "later release" in history.degraded
        store.fail_always = None
        history.put(row(1))
        await history.flush()
    assert (store.written, history.degraded) == (["row-1"], "")


@pytest.mark.req("route.history")
async def test_rows_that_the_database_refuses_are_counted():
    """They are not written, and not silently."""
    store = FakeStore()
    store.refused = 1
    async with writing(store) as history:
        history.put(row(0))
        await history.flush()
    assert history.dropped == 1


@pytest.mark.req("route.history")
async def test_old_rows_are_deleted_piece_by_piece_without_being_asked():
    """The sweep goes on until nothing old is left, then rests; rows are written in between."""
    store = FakeStore()
    store.old = 4
    async with writing(store) as history:
        history.put(row(0))
        assert await asyncio.to_thread(store.swept.wait, 10)
        history.put(row(1))
        await history.flush()
    assert store.sweeps == 4
    assert store.written == ["row-0", "row-1"]


@pytest.mark.req("route.history")
async def test_giving_up_on_forgetting_leaves_the_writer_alive():
    """Cancelled while it waits or runs, the next row is written."""
    store = FakeStore()
    async with writing(store) as history:
        await held(history, store, 0)
        waiting = asyncio.create_task(history.forget("acme", "bob"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        store.go_on.set()
        history.put(row(1))
        await history.flush()
    assert store.written == ["row-0", "row-1"]
    assert store.forgotten == []


@pytest.mark.req("route.history")
@pytest.mark.parametrize("raised", [OverflowError, TypeError, UnicodeError])
async def test_values_that_nobody_can_write_cost_their_batch_and_not_the_writer(raised: type[Exception]):
    """Counted and said without what the error quotes; the next row is written."""
    store = FakeStore()
    store.failures = [raised("canary")]
    async with writing(store, batch_rows=1) as history:
        history.put(row(0))
        history.put(row(1))
        await history.flush()
    assert (store.written, history.dropped) == (["row-1"], 1)
    assert "canary" not in history.degraded


@pytest.mark.req("route.history")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_writer_that_breaks_leaves_nobody_waiting():
    """Whoever waits is told, the state says so, every row that is lost is counted, and stopping works."""
    store = FakeStore()
    async with writing(store) as history:
        await held(history, store, 2)
        flushing = asyncio.create_task(history.flush())
        await asyncio.sleep(0)
        store.fail_always = RuntimeError("a bug")
        store.go_on.set()
        with pytest.raises(SwitchgearError):
            await flushing
        history.put(row(3))
        assert history.dropped == 4
        assert "ended by surprise" in history.degraded
    assert store.closed


@pytest.mark.req("route.history")
async def test_without_rows_there_is_no_thread_and_no_store():
    """Opening and closing a history costs nothing."""
    made: list[int] = []
    make = cast("Callable[[], RowStore]", lambda: made.append(1))
    history = SqlHistory(SETTINGS, Path("unused"), EMPTY, store=make)
    await history.flush()
    await history.aclose()
    assert made == []
    assert [one.name for one in threading.enumerate() if one.name == "switchgear-history"] == []


@pytest.mark.req("route.history")
def test_nothing_heavy_is_imported_before_the_first_row():
    """Neither SQLAlchemy, nor Alembic, nor cryptography, nor a driver."""
    code = (
        "import sys, engine.history.writer, engine.history.record, engine.history.labelled\n"
        "print([m for m in ('sqlalchemy', 'alembic', 'cryptography', 'psycopg', 'sqlite3') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert ran.stdout == "[]\n"
