"""Lengths of time as options take them: ``90s``, ``30m``, ``12h``, ``7d``, ``4w``. Not points in time."""

from __future__ import annotations

import re
from typing import Final

SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
EXAMPLES: Final = "90s, 30m, 12h, 7d or 4w"
LONGEST_S: Final = 100 * 365 * 86_400
_LENGTH: Final = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,9})?)\s*([smhdw])")  # small letters: 1M is a month to some


def seconds_of(text: str, option: str, code: str) -> float:
    """``7d`` as seconds. Raises ``InvalidInput`` with ``code`` for what is none, or longer than a century."""
    from engine.errors import InvalidInput  # noqa: PLC0415 - keeps --help light

    found = _LENGTH.fullmatch(text.strip())
    seconds = float(found[1]) * SECONDS[found[2]] if found else None
    if seconds is None or seconds > LONGEST_S:
        raise InvalidInput(f"{option} {text[:32]!r} is no length of time", hint=f"as in {EXAMPLES}", code=code)
    return seconds
