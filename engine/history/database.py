"""A connection to the history database, SQLite or PostgreSQL, and what its driver's errors mean.

Everything foreign ends here: SQLAlchemy's exceptions become ``BackendUnavailable``.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from configs.errors import ConfigError
from configs.history import HistorySettings
from memory.errors import BackendUnavailable

BACKEND = "history"
FILE = "history.db"
POSTGRESQL = "postgresql+psycopg"
READING = {"switchgear_reading": True}
"""Execution options of a transaction that writes nothing, and so takes no lock of SQLite's."""


def open_database(settings: HistorySettings, folder: Path) -> Engine:
    """The database of the settings; ``folder`` holds the SQLite file. Raises ``ConfigError``, ``OSError``."""
    if settings.url is None:
        return _sqlite(folder / FILE, settings.timeout_s)
    return _postgresql(settings.url.get_secret_value(), settings.timeout_s)


@contextlib.contextmanager
def translated() -> Generator[None]:
    """Turn the driver's errors into ``BackendUnavailable``; their text may hold values, so it is left out."""
    try:
        yield
    except DBAPIError as exc:
        raise BackendUnavailable(BACKEND, f"{type(exc.orig).__name__} while talking to the database") from exc
    except SQLAlchemyError as exc:
        raise BackendUnavailable(BACKEND, f"{type(exc).__name__} while talking to the database") from exc
    except OSError as exc:
        raise BackendUnavailable(BACKEND, f"{type(exc).__name__}: {exc.strerror or 'no reason given'}") from exc


def _postgresql(url: str, timeout_s: float) -> Engine:
    if not url.startswith(f"{POSTGRESQL}://"):
        raise ConfigError(
            f"history.url must begin with {POSTGRESQL}://", hint="leave it out for SQLite in the data folder"
        )
    limits = f"-c statement_timeout={round(timeout_s * 1000)} -c lock_timeout={round(timeout_s * 1000)}"
    connect = {"connect_timeout": max(1, round(timeout_s)), "options": limits}
    try:
        # Texts of errors may be logged, and what a statement was given is in them if it is not hidden.
        return create_engine(
            url,
            connect_args=connect,
            pool_size=2,
            pool_timeout=timeout_s,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    except (ArgumentError, ValueError) as exc:
        raise ConfigError("history.url is no SQLAlchemy URL") from exc


def _sqlite(path: Path, timeout_s: float) -> Engine:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made here for its permissions, which SQLite then gives to its -wal and -shm files as well.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": timeout_s}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def prepare(raw: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
        raw.isolation_level = None  # transactions are begun below, DDL included
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
            raw.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("switchgear_reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    _ = prepare, begin
    return engine
