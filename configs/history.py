"""Settings of what is kept about requests, and of data that must not leave (route.history, admit.data).

Part of ``configs.settings``, split off for size; their defaults live here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat, PositiveInt, SecretStr, model_validator

from configs.section import Section, at_most

HISTORY_KEY = "SWITCHGEAR_HISTORY_KEY"
"""Variable with the master key of history; without it the data folder has one."""


class HistorySettings(Section):
    """Decisions and outcomes in SQL, written off the request path (route.history)."""

    enabled: bool = True
    url: SecretStr | None = None
    """SQLAlchemy URL of a PostgreSQL (``postgresql+psycopg://…``). ``None``: SQLite in the data folder."""
    content: Literal["none", "encrypted", "plain"] = "encrypted"
    """What is kept of questions and answers; ``encrypted``: under a key of each user's own (obs.privacy).
    ``none`` keeps vectors of questions, under those keys too."""
    keep_days: PositiveInt = 30
    """Older rows are deleted."""
    queue_max: PositiveInt = 10_000
    """Rows that wait to be written; beyond it new ones are dropped and counted."""
    stop_s: PositiveFloat = 5.0
    """How long a clean stop waits for the rows that are left."""
    batch_rows: PositiveInt = 500
    """Rows of one transaction at most."""
    batch_s: PositiveFloat = 0.2
    """How long a transaction waits for more rows; so much is lost when the process is killed."""
    timeout_s: PositiveFloat = 5.0
    """How long a connection, a lock of the database or a statement is waited for."""
    retry_s: PositiveFloat = 0.1
    """First wait while the database is gone; it doubles up to ``retry_s_max``."""
    retry_s_max: PositiveFloat = 5.0
    sweep_s: PositiveFloat = 3_600.0
    """How often old rows are looked for."""
    sweep_rows: PositiveInt = 1_000
    """Old rows that one transaction deletes."""
    page_rows: PositiveInt = 500
    """Rows that a reader fetches at a time, so that it never holds a writer up for long."""

    @model_validator(mode="after")
    def _ordered(self) -> HistorySettings:
        at_most(self, "retry_s", "retry_s_max")
        return self


class DataSettings(Section):
    """Personal and health data (admit.data)."""

    detect: bool = True
    """Look for personal and health data in every request; ``False`` believes the caller."""
    default: Literal["public", "internal"] = "internal"
    """Class of what nobody classified and nothing was found in."""
