"""Rows in SQL: writing a batch, reading a page, forgetting a user, deleting what is old. Blocks; has no thread.

``engine/history/writer.py`` drives it off the request path. Every method is one transaction and safe to repeat: a
commit whose reply was lost is taken again and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    and_,
    delete,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError

from configs.history import HISTORY_KEY, HistorySettings
from engine.errors import HistoryRefused
from engine.history.contract import HistoryQuery, HistoryRow
from engine.history.database import READING, open_database, translated
from engine.history.migrate import migrate
from engine.history.record import kept
from engine.history.schema import requests, user_keys
from engine.history.seal import Master, has_master, load_master
from engine.history.stored import EMPTIED, columns_of, row_from

T = TypeVar("T")
log = logging.getLogger(__name__)
DAY_S = 86_400.0
UNFIT = (StatementError, OverflowError, TypeError, ValueError)
"""What a row may end in that cannot be written: drivers raise some of these as they are (a number that is too
large, half a surrogate pair)."""


class RowStore:
    """One database; the first call connects and migrates.

    Every method raises ``BackendUnavailable`` when it is not there and ``HistoryRefused`` when it may not be used.
    """

    def __init__(self, settings: HistorySettings, folder: Path, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._folder = folder
        self._environ = environ
        self._engine: Engine | None = None
        self._master: Master | None = None

    def write(self, rows: Sequence[HistoryRow], now_s: float) -> int:
        """Insert them, each once whatever happens; how many the database refused for what they hold."""
        with translated():
            try:
                with self._database().begin() as connection:
                    connection.execute(_insert(connection, requests), self._values(connection, rows, now_s))
            except UNFIT as exc:
                _for_a_value(exc)
                return self._write_singly(rows, now_s)
        return 0

    def _write_singly(self, rows: Sequence[HistoryRow], now_s: float) -> int:
        """One bad row must not keep the others out."""
        refused = 0
        with self._database().begin() as connection:
            for row in rows:
                try:
                    with connection.begin_nested():
                        connection.execute(_insert(connection, requests), self._values(connection, [row], now_s))
                except UNFIT as exc:
                    _for_a_value(exc)
                    refused += 1
        return refused

    def _values(self, connection: Connection, rows: Sequence[HistoryRow], now_s: float) -> list[dict[str, object]]:
        allowed = [kept(row, self._settings.content) for row in rows]
        if self._settings.content == "plain":
            return [columns_of(row, None) for row in allowed]
        keys = self._keys_for(connection, sorted({row.user for row in allowed}), now_s)
        return [columns_of(row, keys[row.user]) for row in allowed]

    def page(self, query: HistoryQuery, after: HistoryRow | None) -> list[HistoryRow]:
        """The next rows behind ``after``; an empty list is the end."""
        with translated(), self._database().connect().execution_options(**READING) as connection:
            found = connection.execute(_selection(query, after, self._settings.page_rows)).mappings().all()
            keys = self._known_keys(connection, sorted({row["user"] for row in found}))
        return [row_from(dict(row), keys.get(row["user"])) for row in found]

    def rows(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """All rows of the query, fetched page by page: a long read holds nobody up."""
        left = query.limit
        after: HistoryRow | None = None
        while left is None or left > 0:
            page = self.page(query, after)[:left]
            yield from page
            if not page:
                return
            after = page[-1]
            left = None if left is None else left - len(page)

    def forget(self, user: str) -> int:
        """Destroy a user's keys and empty their rows; how many rows those were."""
        with translated(), self._database().begin() as connection:
            connection.execute(delete(user_keys).where(user_keys.c.user == user))
            emptied = update(requests).where(requests.c.user == user, _has_content()).values(EMPTIED)
            count = connection.execute(emptied).rowcount
        if self._database().dialect.name == "sqlite":
            with translated(), self._database().connect() as connection:
                # Old pages stay in the write-ahead log until it is emptied.
                connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def sweep(self, now_s: float) -> bool:
        """Delete some of what is older than ``keep_days``; whether there may be more."""
        before = now_s - self._settings.keep_days * DAY_S
        size = self._settings.sweep_rows
        old = select(requests.c.id).where(requests.c.at_s < before).order_by(requests.c.at_s).limit(size)
        with translated(), self._database().begin() as connection:
            gone = connection.execute(delete(requests).where(requests.c.id.in_(old))).rowcount
            if gone == size:
                return True
            connection.execute(delete(user_keys).where(user_keys.c.used_s < before - DAY_S))
        return False

    def open(self) -> None:
        """Connect and migrate, if that has not been done."""
        self._database()

    def close(self) -> None:
        """Close every connection."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _database(self) -> Engine:
        if self._engine is None:
            with translated(), ExitStack() as stack:
                engine = open_database(self._settings, self._folder)
                stack.callback(engine.dispose)
                self._master = self._master_key()
                with engine.begin() as connection:
                    migrate(connection)
                stack.pop_all()
            self._engine = engine
        return self._engine

    def _master_key(self) -> Master | None:
        """``None`` under ``plain``, which encrypts nothing, unless there is one to read older rows with."""
        if self._settings.content != "plain" or has_master(self._folder, self._environ):
            if self._settings.url is not None and HISTORY_KEY not in self._environ:
                log.warning("history: only this data folder can read what it keeps; set %s for all", HISTORY_KEY)
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return load_master(self._folder, self._environ)
        return None

    def _keys_for(self, connection: Connection, users: list[str], now_s: float) -> dict[str, bytes]:
        """A key per user, made where there is none. Two processes that make one at once agree on the first."""
        master = _given(self._master)
        known = self._known_keys(connection, users)
        missing = [user for user in users if known.get(user) is None]
        if missing:
            ours = and_(user_keys.c.user.in_(known.keys() & set(missing)), user_keys.c.master == master.id)
            connection.execute(delete(user_keys).where(ours))  # damaged ones
            made = [
                {"user": user, "master": master.id, "wrapped": master.new_key(user), "used_s": now_s}
                for user in missing
            ]
            connection.execute(_insert(connection, user_keys), made)
            known = self._known_keys(connection, users)
        # Once a day is enough for the sweep, which deletes what nobody has used for longer than rows are kept.
        stale = and_(user_keys.c.user.in_(users), user_keys.c.used_s < now_s - DAY_S)
        connection.execute(update(user_keys).where(stale).values(used_s=now_s))
        return {user: _given(key) for user, key in known.items()}

    def _known_keys(self, connection: Connection, users: list[str]) -> dict[str, bytes | None]:
        """Keys that there are; ``None`` for one that is damaged."""
        if self._master is None or not users:
            return {}
        wanted = select(user_keys).where(user_keys.c.user.in_(users), user_keys.c.master == self._master.id)
        return {row.user: self._master.unwrap(row.user, row.wrapped) for row in connection.execute(wanted)}


def _for_a_value(exc: Exception) -> None:
    """Raise it again when it is about the database, and not about what a row holds."""
    if isinstance(exc, DBAPIError) and not isinstance(exc, (DataError, IntegrityError)):
        raise exc


def _given(value: T | None) -> T:
    """A key that was just made; without one nothing may be written."""
    if value is None:
        raise HistoryRefused("the keys of the history database cannot be read", code="history_key")
    return value


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """One that passes over what is there already."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()


def _has_content() -> ColumnElement[bool]:
    return or_(*(requests.c[name].is_not(None) for name in EMPTIED))


def _selection(query: HistoryQuery, after: HistoryRow | None, size: int) -> Select[tuple[object, ...]]:
    table = requests.c
    wanted = select(requests).limit(size)
    if query.since_s is not None:
        wanted = wanted.where(table.at_s >= query.since_s)
    if query.until_s is not None:
        wanted = wanted.where(table.at_s < query.until_s)
    for column, value in ((table.agent, query.agent), (table.arm, query.arm), (table.user, query.user)):
        if value:
            wanted = wanted.where(column == value)
    place = tuple_(table.at_s, table.id)
    if after is not None:
        border = tuple_(after.at_s, after.id)
        wanted = wanted.where(place < border if query.newest_first else place > border)
    if query.newest_first:
        return wanted.order_by(table.at_s.desc(), table.id.desc())
    return wanted.order_by(table.at_s, table.id)
