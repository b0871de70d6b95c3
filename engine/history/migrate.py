"""Bring a history database to this release's schema, by Alembic and without a configuration file.

Any number of processes may do it at once: the first one holds a lock until it has committed, and the others find
nothing left to do. A database of a later release is refused, since this one would write rows that lack something.
"""

from __future__ import annotations

from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from engine.errors import HistoryRefused

MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "switchgear_history_version"
LOCK = 0x5347_4853
"""Of PostgreSQL's advisory locks, taken until the transaction ends."""


def migrate(connection: Connection) -> None:
    """Upgrade within the transaction that ``connection`` is in. Raises ``HistoryRefused`` (history_newer)."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    script = ScriptDirectory(str(MIGRATIONS))
    heads = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads()
    ours = {one.revision: one for one in script.walk_revisions()}
    if newer := sorted(set(heads) - set(ours)):
        raise HistoryRefused(
            f"the history database is of a later release (revision {newer[0]})",
            hint="run that release, or name another database with history.url or data_dir",
            code="history_newer",
        )
    _run(connection, script)


def _run(connection: Connection, script: ScriptDirectory) -> None:
    def steps(current: tuple[str, ...] | str, _context: MigrationContext) -> list[MigrationStep]:
        ahead = list(script.iterate_revisions("heads", current or "base"))
        return [MigrationStep.upgrade_from_script(script.revision_map, one) for one in reversed(ahead)]

    context = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "fn": steps, "transactional_ddl": True}
    )
    with Operations.context(context):
        context.run_migrations()
