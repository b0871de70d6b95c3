"""Errors of tools. Few, because a tool that fails is a result (``ToolRefusal``), not an exception.

::

    SwitchgearError
    └── UnknownCapability      a name that is not configured; carries the nearest one that is
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from configs.errors import SwitchgearError


class UnknownCapability(SwitchgearError):
    """A tool was asked for by a name that no configuration has."""

    code = "unknown_tool"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(f"unknown tool {name[:64]!r}", hint=hint)
