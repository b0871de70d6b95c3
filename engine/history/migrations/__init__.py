"""Migrations of the history database, run by ``engine.history.migrate``; Alembic loads ``versions`` by path."""

from __future__ import annotations
