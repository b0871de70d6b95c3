"""Decisions and outcomes of every request, in SQL, for training, reports and replay (route.history)."""

from __future__ import annotations
