"""Test reports that can be sent from one process to another."""

from __future__ import annotations

from typing import cast


def sendable(value: object) -> object:
    """``value`` with every lone surrogate written as an escape.

    Reports travel as UTF-8. Without this, the failure of one test about invalid text ends the worker process,
    and with it every result that it had yet to send.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {sendable(key): sendable(item) for key, item in cast("dict[object, object]", value).items()}
    if isinstance(value, tuple):  # a skipped test is told by one, and pytest asks for just that
        return tuple(sendable(item) for item in cast("tuple[object, ...]", value))
    if isinstance(value, list):
        return [sendable(item) for item in cast("list[object]", value)]
    return value
