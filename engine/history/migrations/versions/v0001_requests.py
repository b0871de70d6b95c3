"""The tables of the first release that keeps history. Never changed again: later releases add files beside it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, size: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(size), nullable=nullable)


def _number(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double(), nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def upgrade() -> None:
    """Make both tables and their indexes."""
    op.create_table(
        "switchgear_requests",
        sa.Column("id", sa.String(64), primary_key=True),
        _text("request_id", 128),
        _number("at_s"),
        *(_text(name, 32) for name in ("tenant", "user")),
        *(_text(name, 64) for name in ("outcome", "agent", "answered_by")),
        _text("source", 16, nullable=True),
        *(_text(name, 16) for name in ("strategy", "wanted")),
        _text("complexity", 16, nullable=True),
        *(_number(name) for name in ("confidence", "propensity")),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("explored", "out_of_scope")),
        _text("head", 128),
        _text("arm", 160),
        _text("data_class", 16),
        _text("cache", 8),
        _text("fingerprint", 160, nullable=True),
        _text("model", 128),
        _number("latency_ms"),
        *(_count(name) for name in ("cost_micros", "input_tokens", "output_tokens")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("degraded", "decision", "attempts")),
        *(sa.Column(name, sa.LargeBinary()) for name in ("embedding", "prompt", "answer")),
    )
    for name, columns in (
        ("at", ["at_s", "id"]),
        ("agent", ["agent", "at_s"]),
        ("arm", ["arm", "at_s"]),
        ("user", ["user", "at_s"]),
        ("request", ["request_id"]),
    ):
        op.create_index(f"switchgear_requests_{name}", "switchgear_requests", columns)
    op.create_table(
        "switchgear_user_keys",
        sa.Column("user", sa.String(32), primary_key=True),
        sa.Column("master", sa.String(16), primary_key=True),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        _number("used_s"),
    )
    op.create_index("switchgear_user_keys_used", "switchgear_user_keys", ["used_s"])
