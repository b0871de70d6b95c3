"""The product's scripted provider as tests use it: one name to import from, and the fixture."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest

from engine.chaos.http1 import Received
from engine.chaos.play import (
    CLOSE,
    DERIVED_USAGE,
    DONE,
    END,
    HANG,
    PIECES,
    RESET,
    Item,
    Pause,
    Play,
    Signal,
    error_event,
    finish,
    token,
    tokens,
)
from engine.chaos.provider import ANY, ScriptedProvider

__all__ = [
    "ANY",
    "CLOSE",
    "DERIVED_USAGE",
    "DONE",
    "END",
    "HANG",
    "PIECES",
    "RESET",
    "Item",
    "Pause",
    "Play",
    "Received",
    "ScriptedProvider",
    "Signal",
    "closed_port",
    "error_event",
    "finish",
    "provider",
    "token",
    "tokens",
]


def closed_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    """A running provider, for every test (``tests/conftest.py`` imports it)."""
    async with ScriptedProvider() as running:
        yield running
