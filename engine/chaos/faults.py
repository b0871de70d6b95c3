"""The faults of a model provider by name: what each looks like on the wire, and which row of the catalogue it is.

Data only: a fault makes the ``Play`` that a scripted provider answers with while the fault lasts. Its one number,
``seconds``, is the caller's and never a default. Refused connections, resets below HTTP and slow networks are the
proxy's (``proxy.py``), outages of a share of the requests ``play.now_and_then``'s.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from types import MappingProxyType
from typing import cast

from engine.chaos.play import CLOSE, DONE, END, HANG, RESET, Item, Pause, Play, error_event, finish, token, tokens
from engine.errors import UnknownName

WELL = "well"
"""The end of every fault."""
HALF = ("half ", "an ")
SSE = "text/event-stream"
HTML = "<html><body>an error page of the edge</body></html>"
ELSEWHERE = "http://127.0.0.1:9/v1/chat/completions"
BOMB_BYTES = 128 << 20
TOOL_CALLS = 500
CUT_AFTER = 40
"""Tokens of a long answer that come before the break (fault 23)."""
ABSURD = 10**9
OVER_LIMIT = 600
"""More output tokens than ``request.max_tokens`` allows, and not absurdly more (fault 36)."""

Make = Callable[[float], Play]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way for a provider to be wrong."""

    name: str
    rows: tuple[int, ...]
    """Rows of the fault catalogue (docs/rules.md); empty for ``well``."""
    text: str
    make: Make
    timed: bool
    """Whether it needs ``seconds``."""

    def play(self, seconds: float = 0.0) -> Play:
        """What a request is answered with while it lasts."""
        return self.make(seconds)


class _Drip:
    """Tokens for ever, a pause between each two."""

    def __init__(self, seconds: float) -> None:
        self._pause = Pause(seconds)

    def __iter__(self) -> Iterator[Item]:
        while True:
            yield token("drip ")
            yield self._pause


class _EndlessLine:
    """One event that never ends."""

    def __iter__(self) -> Iterator[Item]:
        yield "data: "
        yield from repeat("x" * 1_000)


def _always(play: Play) -> Make:
    return lambda _: play


def _status(status: int, body: Mapping[str, object] | str = "", **headers: str) -> Make:
    return _always(Play(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()}))


def _error(status: int, code: str, **headers: str) -> Make:
    return _status(status, {"error": {"message": "scripted", "code": code, "type": code}}, **headers)


def _limited(**headers: str) -> Make:
    return _error(429, "rate_limit_exceeded", **headers)


def _page(status: int) -> Make:
    return _status(status, HTML, content_type="text/html")


def _body(body: str, content_type: str) -> Make:
    return _always(Play(body=body, headers={"content-type": content_type}))


def _stream(*parts: Item | Iterable[Item]) -> Make:
    items: list[Item] = []
    for part in parts:
        many = isinstance(part, Iterable) and not isinstance(part, str | bytes | Mapping)
        items += cast("Iterable[Item]", part) if many else [cast("Item", part)]
    return _always(Play(stream=items))


def _usage(prompt: object, completion: object) -> Make:
    return _always(Play(usage={"prompt_tokens": prompt, "completion_tokens": completion}))


@cache
def _bomb() -> bytes:
    return gzip.compress(b"\n" * BOMB_BYTES)


def _tool_calls(count: int, arguments: str) -> Make:
    calls = [
        {"index": n, "id": f"t-{n}", "type": "function", "function": {"name": "unknown", "arguments": arguments}}
        for n in range(count)
    ]
    return _stream(token(None, tool_calls=calls), finish("tool_calls"))


def _fault(name: str, rows: tuple[int, ...], text: str, make: Make, timed: bool = False) -> Fault:
    return Fault(name=name, rows=rows, text=text, make=make, timed=timed)


_SENT = "Wed, 21 Oct 2026 07:28:00 GMT"
_STATUSES = (
    _fault("400", (1,), "invalid request", _error(400, "invalid_request_error")),
    _fault("context-length", (2,), "400: longer than the model's context", _error(400, "context_length_exceeded")),
    _fault("filter-400", (3,), "400: the provider's filter refuses the prompt", _error(400, "content_filter")),
    _fault("401", (4,), "wrong key", _error(401, "invalid_api_key")),
    _fault("403", (5,), "no permission, or not here", _error(403, "unsupported_country_region_territory")),
    _fault("402", (6,), "out of credit", _error(402, "insufficient_credits")),
    _fault("quota", (6,), "429 without a time to come back: a spend limit", _error(429, "insufficient_quota")),
    _fault("404", (7,), "the model does not exist", _error(404, "model_not_found")),
    _fault("408", (8,), "request timeout", _status(408)),
    _fault("409", (9,), "conflict", _status(409)),
    _fault("425", (9,), "too early", _status(425)),
    _fault("413", (10,), "too large, said by an HTML page of the edge", _page(413)),
    _fault("422", (11,), "unprocessable", _error(422, "unprocessable_entity")),
    _fault("429", (12, 14), "rate limited for `seconds`", lambda s: _limited(retry_after=f"{s:g}")(s), timed=True),
    _fault("429-date", (13,), "rate limited until a date",
           _limited(retry_after="Wed, 21 Oct 2026 07:29:30 GMT", date=_SENT)),
    _fault("429-past", (13,), "rate limited until a date that has passed",
           _limited(retry_after="Wed, 21 Oct 2015 07:28:00 GMT", date=_SENT)),
    _fault("429-for-ever", (13,), "rate limited for a billion seconds", _limited(retry_after=str(ABSURD))),
    _fault("429-garbage", (13,), "rate limited until «soon»", _limited(retry_after="soon")),
    _fault("500", (15, 16), "internal error", _error(500, "server_error")),
    _fault("502", (17,), "bad gateway, an HTML page", _page(502)),
    _fault("503", (17,), "unavailable, an HTML page", _page(503)),
    _fault("504", (17,), "gateway timeout, an HTML page", _page(504)),
    _fault("529", (18,), "overloaded", _error(529, "overloaded_error")),
    _fault("redirect", (39,), "307 to another host", _status(307, location=ELSEWHERE)),
)  # fmt: skip
_BREAKS = (
    _fault("reset", (22,), "the connection breaks before the status line", _always(Play(reset=True))),
    _fault("reset-mid-stream", (23,), "the connection breaks (RST) after 40 tokens",
           _stream(tokens(*(f"word{n} " for n in range(CUT_AFTER))), RESET)),
    _fault("close-mid-stream", (23,), "the connection closes (FIN) in mid-stream", _stream(tokens(*HALF), CLOSE)),
    _fault("no-finish", (24,), "a stream that ends well, without a finish marker", _stream(tokens(*HALF), DONE)),
    _fault("no-done", (24,), "a stream with neither finish marker nor [DONE]", _stream(tokens(*HALF), END)),
    _fault("error-event", (25,), "an error inside the stream, after HTTP 200",
           _stream(tokens("a "), error_event(code="overloaded_error"))),
    _fault("hang", (26,), "nothing comes, not even a status line", _always(Play(hang=True))),
    _fault("hang-after-headers", (26,), "a status line, then nothing", _stream(HANG)),
    _fault("slow-headers", (26,), "`seconds` before the status line, then well",
           lambda s: Play(delay_s=s), timed=True),
    _fault("slow-first-token", (26,), "`seconds` before the first token, then well",
           lambda s: Play(first_token_s=s), timed=True),
    _fault("trickle", (27,), "`seconds` between tokens, for ever", lambda s: Play(stream=_Drip(s)), timed=True),
    _fault("silence", (28,), "two tokens, then silence with the socket open", _stream(tokens(*HALF), HANG)),
)  # fmt: skip
_ANSWERS = (
    _fault("filter", (3,), "the filter cuts the answer", _stream(tokens("a "), finish("content_filter"))),
    _fault("refusal", (3,), "the model declines, in OpenAI's field for it",
           _stream(token(None, refusal="no"), finish())),
    _fault("bad-line", (29,), "one line of the stream is no JSON, the rest is fine",
           _stream(tokens("a "), "data: {oops\n\n", tokens("b"), finish())),
    _fault("not-json", (30,), "the body is plain text", _body("hello", "text/plain")),
    _fault("cut-json", (30,), "the body is JSON, cut short", _body('{"choices": [{"mess', "application/json")),
    _fault("html", (30,), "200 with an HTML page", _body(HTML, "text/html")),
    _fault("no-choices", (31,), "events without choices", _stream({"choices": []}, finish())),
    _fault("null-content", (31,), "a well-formed answer without text", _stream(token(None), finish())),
    _fault("empty", (31,), "a well-formed answer of nothing", _stream(token(""), finish())),
    _fault("unknown-fields", (32,), "an unknown finish reason, and fields nobody knows",
           _stream({**token("fine", mood="good"), "weather": {"rain": True}}, finish("weary"))),
    _fault("huge", (33,), "an answer that never ends", _always(Play(stream=repeat(token("word " * 400))))),
    _fault("huge-line", (33,), "a line that never ends", _always(Play(stream=_EndlessLine()))),
    _fault("gzip-bomb", (34,), "128 MiB of line ends as 128 KiB of gzip", lambda _: Play(
           body=_bomb(), headers={"content-type": SSE, "content-encoding": "gzip"})),
    _fault("usage-missing", (35,), "no token counts", _always(Play(usage=None))),
    _fault("usage-negative", (35,), "negative token counts", _usage(-5, -1)),
    _fault("usage-text", (35,), "token counts as text", _usage("many", "few")),
    _fault("usage-absurd", (35,), "a billion tokens", _usage(ABSURD, ABSURD)),
    _fault("usage-over-limit", (36,), "more output than was allowed", _usage(9, OVER_LIMIT)),
    _fault("tool-bad-arguments", (37,), "an unknown tool, called with broken JSON", _tool_calls(1, '{"a": ')),
    _fault("tool-500-calls", (37,), "500 tool calls at once", _tool_calls(TOOL_CALLS, "{}")),
    _fault("tool-loop", (38,), "the same tool call, every time", _tool_calls(1, '{"again": true}')),
    _fault("replay", (43,), "every answer has the same completion id", _always(Play())),
)  # fmt: skip

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        f.name: f
        for f in (_fault(WELL, (), "no fault: the end of one", _always(Play())), *_STATUSES, *_BREAKS, *_ANSWERS)
    }
)
"""Every named fault, ``well`` first."""


def fault_named(name: str) -> Fault:
    """The fault of that name. Raises ``UnknownName`` with the nearest one."""
    if name not in FAULTS:
        raise UnknownName("fault", name, FAULTS)
    return FAULTS[name]
