"""How long the other side asks to be left alone, read from the headers of its answer. Pure; the breaker clamps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")

EPOCH_SECONDS_MIN = 1e9
EPOCH_MILLIS_MIN = 1e11


def retry_after_s(headers: Mapping[str, str], now_s: float | None = None) -> float | None:
    """The wait in seconds, as the other side says so; clamping it is the breaker's part (fault 13).

    ``retry-after-ms``, ``retry-after`` in seconds or as an HTTP date (RFC 9110 §10.2.3; against the answer's own
    ``date``, so that a wrong clock here does not matter, else against ``now_s``, Unix time), else the reset time
    of an exhausted ``x-ratelimit-remaining-*``. ``None`` when there is nothing, or nothing that can be read.
    """
    millis = _seconds(headers.get("retry-after-ms"))
    if millis is not None:
        return millis / 1_000
    sent_s = date_s(headers.get("date", ""))
    since_s = now_s if sent_s is None else sent_s
    asked = headers.get("retry-after")
    if asked is None:
        return _limit_reset_s(headers, since_s)
    seconds = _seconds(asked)
    if seconds is not None:
        return seconds
    at_s = date_s(asked)
    return None if at_s is None or since_s is None else max(0.0, at_s - since_s)


def delay_s(text: str) -> float | None:
    """Seconds of ``6m0s``, ``1.5s``, ``120ms`` or plain seconds; ``None`` for anything else."""
    plain = _seconds(text)
    if plain is not None:
        return plain
    match = DURATION.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, seconds, millis = (float(group or 0) for group in match.groups())
    return hours * 3_600 + minutes * 60 + seconds + millis / 1_000


def _limit_reset_s(headers: Mapping[str, str], since_s: float | None) -> float | None:
    """The longest wait among the limits that are used up; the nameless one is Together's and OpenRouter's."""
    waits = [
        until_s(headers.get(f"x-ratelimit-reset{what}", ""), since_s)
        for what in ("-requests", "-tokens", "")
        if headers.get(f"x-ratelimit-remaining{what}") == "0"
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def until_s(text: str, since_s: float | None) -> float | None:
    """A wait, or the wait until a moment in Unix seconds or milliseconds (no wait is thirty years long)."""
    value = delay_s(text)
    if value is None or value < EPOCH_SECONDS_MIN:
        return value
    at_s = value / 1_000 if value >= EPOCH_MILLIS_MIN else value
    return None if since_s is None else max(0.0, at_s - since_s)


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def date_s(text: str) -> float | None:
    """Unix seconds of an HTTP date; ``None`` for anything else."""
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
