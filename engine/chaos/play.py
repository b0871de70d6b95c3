"""What a scripted provider can be told to answer, as data: whole answers, streams item by item, and ways to break.

Nothing here opens a socket; ``provider.py`` plays it, ``faults.py`` names the usual ones.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

OK = 200
PIECES = re.compile(r"\s*\S+\s*")
"""A word with the white space around it: what a scripted model calls a token."""


class Signal(Enum):
    """What a stream can do instead of sending something."""

    RESET = "reset"  # TCP RST
    CLOSE = "close"  # end of file, without the last chunk that HTTP/1.1 promises
    END = "end"  # a well-formed end of the body, with whatever is missing before it
    HANG = "hang"  # nothing more, with the connection open, until the client leaves


RESET, CLOSE, END, HANG = Signal.RESET, Signal.CLOSE, Signal.END, Signal.HANG
DONE = "data: [DONE]\n\n"
DERIVED_USAGE: Mapping[str, object] = {"derived": True}
"""Stands for counts that fit the request and the reply: one token a word."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence for this long, then on with the stream."""

    seconds: float


Item = Mapping[str, object] | str | bytes | asyncio.Event | Signal | Pause
"""One step of a stream: a JSON event, raw text or bytes, an event to wait for, silence, or an end."""


def token(text: str | None, **delta: object) -> dict[str, object]:
    """One piece of a streamed answer."""
    return chunk([{"index": 0, "delta": {"content": text, **delta}, "finish_reason": None}])


def tokens(*pieces: str) -> Iterator[dict[str, object]]:
    """Several of them."""
    return (token(piece) for piece in pieces)


def finish(reason: str | None = "stop", usage: Mapping[str, object] | None = None) -> list[Item]:
    """The end of a well-formed stream: finish marker, usage chunk if there is usage, ``[DONE]``."""
    last: list[Item] = [chunk([{"index": 0, "delta": {}, "finish_reason": reason}])] if reason else []
    if usage is not None:
        last.append({**chunk([]), "usage": usage})
    return [*last, DONE]


def error_event(message: str = "upstream fell over", **error: object) -> dict[str, object]:
    """An error sent inside a stream, after HTTP 200."""
    return {"error": {"message": message, **error}}


def chunk(choices: list[object]) -> dict[str, object]:
    """The envelope of every streamed event. Its id never changes: clients must not rely on it (fault 43)."""
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One answer. ``body`` replaces the completion, ``stream`` the events of a streamed one. Times in seconds."""

    reply: str = "ok"
    finish_reason: str | None = "stop"
    usage: Mapping[str, object] | None = field(default_factory=lambda: DERIVED_USAGE)
    status: int = OK
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, object] | str | bytes | None = None
    stream: Iterable[Item] | None = None
    """Given as an iterator, it is used up by the first answer; a list can be played again."""
    gate: asyncio.Event | None = None
    """Nothing is sent before this is set."""
    reset: bool = False
    """Break the connection instead of sending a status line."""
    hang: bool = False
    """Send nothing at all until the client leaves."""
    delay_s: float = 0.0
    """Before the status line."""
    first_token_s: float = 0.0
    """Between the headers and the first event of ``reply``."""
    pace_s: float = 0.0
    """Between two tokens of ``reply``."""


Chooser = Callable[[], Play]
"""Gives the answer to the next request."""


def in_order(plays: Iterable[Play]) -> Chooser:
    """One after the other, the last one for ever."""
    left = list(plays)

    def choose() -> Play:
        return left.pop(0) if len(left) > 1 else left[0]

    return choose


def now_and_then(share: float, bad: Play, well: Play, sample: Callable[[], float]) -> Chooser:
    """``bad`` for this share of requests, as ``sample`` (from [0, 1)) decides: give it a seeded one."""
    return lambda: bad if sample() < share else well
