"""Switchgear's engine. Callers: ``from engine import Engine``; inside, modules import each other directly."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.sync import SyncEngine, execute_sync

_HOMES = {"Engine": "engine.app", "SyncEngine": "engine.sync", "execute_sync": "engine.sync"}

__all__ = ["Engine", "SyncEngine", "execute_sync"]


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562), so that ``engine.types`` alone costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
