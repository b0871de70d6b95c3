"""Words that a decision quotes go into a column of their own, which forgetting empties. Never changed again."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

PAGE_ROWS = 500
requests = sa.table(
    "switchgear_requests",
    sa.column("id", sa.String),
    sa.column("data_class", sa.String),
    sa.column("decision", sa.Text),
    sa.column("embedding", sa.LargeBinary),
)


def upgrade() -> None:
    """Add the column; take the words out of older rows, and the vectors out of personal ones."""
    op.add_column("switchgear_requests", sa.Column("words", sa.LargeBinary()))
    connection = op.get_bind()
    personal = requests.c.data_class.in_(("pii", "phi"))
    connection.execute(sa.update(requests).where(personal).values(embedding=None))
    last = ""
    while page := _page(connection, last):
        for name, decision in page:
            changed = sa.update(requests).where(requests.c.id == name).values(decision=_wordless(decision))
            connection.execute(changed)
        last = page[-1][0]


def _page(connection: sa.Connection, after: str) -> list[Any]:
    found = sa.select(requests.c.id, requests.c.decision).where(requests.c.id > after)
    return list(connection.execute(found.order_by(requests.c.id).limit(PAGE_ROWS)))


def _wordless(decision: str) -> str:
    try:
        found = json.loads(decision)
        for name in {"reason", "strategy_why"} & found.keys():
            found[name] = ""
        for candidate in found.get("candidates", ()):
            candidate["keyword_hits"] = []
    except (ValueError, AttributeError, TypeError):
        return "{}"
    return json.dumps(found)
