"""The tables of history, as the newest migration leaves them. One schema for SQLite and PostgreSQL.

Changing it needs a migration beside those of ``engine/history/migrations``; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

requests = Table(
    "switchgear_requests",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("request_id", String(128), nullable=False),
    Column("at_s", Double, nullable=False),
    Column("tenant", String(32), nullable=False),
    Column("user", String(32), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("agent", String(64), nullable=False),
    Column("answered_by", String(64), nullable=False),
    Column("source", String(16)),
    Column("strategy", String(16), nullable=False),
    Column("wanted", String(16), nullable=False),
    Column("complexity", String(16)),
    Column("confidence", Double, nullable=False),
    Column("propensity", Double, nullable=False),
    Column("explored", Boolean, nullable=False),
    Column("out_of_scope", Boolean, nullable=False),
    Column("head", String(128), nullable=False),
    Column("arm", String(160), nullable=False),
    Column("data_class", String(16), nullable=False),
    Column("cache", String(8), nullable=False),
    Column("fingerprint", String(160)),
    Column("model", String(128), nullable=False),
    Column("latency_ms", Double, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("degraded", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("attempts", Text, nullable=False),
    Column("embedding", LargeBinary),
    Column("prompt", LargeBinary),
    Column("answer", LargeBinary),
    Column("words", LargeBinary),
    Index("switchgear_requests_at", "at_s", "id"),
    Index("switchgear_requests_agent", "agent", "at_s"),
    Index("switchgear_requests_arm", "arm", "at_s"),
    Index("switchgear_requests_user", "user", "at_s"),
    Index("switchgear_requests_request", "request_id"),
)

user_keys = Table(
    "switchgear_user_keys",
    metadata,
    Column("user", String(32), primary_key=True),
    Column("master", String(16), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("used_s", Double, nullable=False),
    Index("switchgear_user_keys_used", "used_s"),
)
