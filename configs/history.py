"""Settings of what is kept about requests, and of data that must not leave (route.history, admit.data).

Part of ``configs.settings``, split off for size; their defaults live here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat, PositiveInt, SecretStr

from configs.section import Section


class HistorySettings(Section):
    """Decisions and outcomes in SQL, written off the request path (route.history)."""

    enabled: bool = True
    url: SecretStr | None = None
    """SQLAlchemy URL of a PostgreSQL (``postgresql+psycopg://…``). ``None``: SQLite in the data folder."""
    content: Literal["none", "encrypted", "plain"] = "encrypted"
    """What is kept of questions and answers; ``encrypted``: under a key of each user's own (obs.privacy)."""
    keep_days: PositiveInt = 30
    """Older rows are deleted."""
    queue_max: PositiveInt = 10_000
    """Rows that wait to be written; beyond it new ones are dropped and counted."""
    stop_s: PositiveFloat = 5.0
    """How long a clean stop waits for the rows that are left."""


class DataSettings(Section):
    """Personal and health data (admit.data)."""

    detect: bool = True
    """Look for personal and health data in every request; ``False`` believes the caller."""
    default: Literal["public", "internal"] = "internal"
    """Class of what nobody classified and nothing was found in."""
