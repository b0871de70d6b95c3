"""Every way a model call can break, played by a real HTTP server: what the adapter makes of it (faults 1-36)."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from itertools import repeat

import pytest

from configs.kernel import FailureKind as Kind
from configs.settings import HttpSettings, RequestSettings
from tests.support.provider import (
    CLOSE,
    DONE,
    END,
    RESET,
    Play,
    ScriptedProvider,
    error_event,
    finish,
    token,
    tokens,
)
from tests.support.routes import listen, route_to

HTML = "<html><body>502 from the edge: sk-canary-4f1d0b7e</body></html>"
SMALL = {
    "http": HttpSettings(response_bytes_max=20_000, error_bytes_max=2_000),
    "request": RequestSettings(answer_bytes_max=2_000),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault by its row in the catalogue, and the failure it has to become."""

    row: str
    play: Play
    kind: Kind
    status: int | None = None
    code: str | None = None
    wait: float | None = None
    produced: bool = False


def refusal(status: int, error: object = None, **headers: str) -> Play:
    """An error answer in OpenAI's shape."""
    body = "" if error is None else {"error": error}
    return Play(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def by_status(row: str, status: int, error: object = None, code: str | None = None, **headers: str) -> Case:
    """A case whose kind is STATUS."""
    return Case(row=row, play=refusal(status, error, **headers), kind=Kind.STATUS, status=status, code=code)


def throttled(row: str, wait: float | None, **headers: str) -> Case:
    """A 429 with headers."""
    error = {"code": "rate_limit_exceeded"}
    return Case(
        row=row,
        play=refusal(429, error, **headers),
        kind=Kind.STATUS,
        status=429,
        code="rate_limit_exceeded",
        wait=wait,
    )


STATUSES = [
    by_status("1-invalid", 400, {"code": None, "type": "invalid_request_error"}, "invalid_request_error"),
    by_status("1-unsupported-parameter", 400, {"code": "unsupported_parameter"}, "unsupported_parameter"),
    by_status("2-context-openai", 400, {"code": "context_length_exceeded"}, "context_length_exceeded"),
    by_status("2-context-llamacpp", 400, {"type": "exceed_context_size_error"}, "context_length_exceeded"),
    by_status("2-context-by-message", 400, {"message": "prompt is too long: 9 > 8"}, "context_length_exceeded"),
    by_status("4-wrong-key", 401, {"code": "invalid_api_key"}, "invalid_api_key"),
    by_status("4-no-body", 401),
    by_status("5-region", 403, {"code": "unsupported_country"}, "unsupported_country"),
    by_status("6-payment", 402, {"code": 402, "message": "credits"}),
    by_status("6-quota", 429, {"code": "insufficient_quota", "type": "insufficient_quota"}, "insufficient_quota"),
    by_status("7-model", 404, {"code": "model_not_found"}, "model_not_found"),
    by_status("8-timeout", 408),
    by_status("9-conflict", 409),
    by_status("9-early", 425),
    by_status("10-large", 413),
    by_status("11-unprocessable", 422, {"type": "BadRequestError", "code": 422}, "BadRequestError"),
    by_status("15-internal", 500, {"type": "server_error"}, "server_error"),
    by_status("18-overloaded", 529, {"type": "overloaded_error"}, "overloaded_error"),
    by_status("39-redirect", 307, location="http://127.0.0.1:9/v1/chat/completions"),
    Case(row="google-list", play=Play(status=400, body='[{"error":{"code":400,"status":"INVALID_ARGUMENT"}}]'),
         kind=Kind.STATUS, status=400, code="INVALID_ARGUMENT"),
    Case(row="ollama-string", play=Play(status=404, body='{"error":"not found"}'), kind=Kind.STATUS, status=404),
    Case(row="17-html-502", play=Play(status=502, body=HTML), kind=Kind.STATUS, status=502),
    Case(row="17-html-503", play=Play(status=503, body=HTML, headers={"retry-after": "3"}), kind=Kind.STATUS,
         status=503, wait=3.0),
    Case(row="17-html-504", play=Play(status=504, body=HTML), kind=Kind.STATUS, status=504),
    Case(row="17-huge-error", play=Play(status=500, body="x" * 1_000_000), kind=Kind.STATUS, status=500),
    Case(row="17-odd-encoding", play=Play(status=500, body=b"\x00", headers={"content-encoding": "br"}),
         kind=Kind.STATUS, status=500),
    Case(row="17-cut-json", play=Play(status=500, body='{"error": {"co'), kind=Kind.STATUS, status=500),
    Case(row="17-deep-json", play=Play(status=500, body="[" * 1_500), kind=Kind.STATUS, status=500),
    Case(row="3-filter-400", play=refusal(400, {"code": "content_filter"}), kind=Kind.POLICY, status=400,
         code="content_filter"),
    Case(row="3-policy-400", play=refusal(400, {"code": "content_policy_violation"}), kind=Kind.POLICY, status=400,
         code="content_policy_violation"),
]  # fmt: skip

THROTTLES = [
    throttled("12-seconds", 7.0, retry_after="7"),
    throttled("12-fraction", 0.5, retry_after="0.5"),
    throttled("12-millis", 0.25, retry_after_ms="250", retry_after="9"),
    throttled(
        "13-date",
        90.0,
        retry_after="Wed, 21 Oct 2026 07:29:30 GMT",
        date="Wed, 21 Oct 2026 07:28:00 GMT",
    ),
    throttled(
        "13-past",
        0.0,
        retry_after="Wed, 21 Oct 2015 07:28:00 GMT",
        date="Wed, 21 Oct 2026 07:28:00 GMT",
    ),
    throttled("13-huge", 1e9, retry_after="1000000000"),
    throttled("13-garbage", None, retry_after="soon"),
    throttled("13-negative", None, retry_after="-5"),
    throttled("13-not-finite", None, retry_after="inf"),
    throttled("12-limit-headers", 360.0, x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="6m0s"),
    throttled("12-limit-not-reached", None, x_ratelimit_remaining_tokens="5", x_ratelimit_reset_tokens="6m0s"),
]

STREAMS = [
    Case(row="3-filter", play=Play(stream=[*tokens("a"), *finish("content_filter")]), kind=Kind.POLICY,
         code="content_filter", produced=True),
    Case(row="3-refusal", play=Play(stream=[token(None, refusal="I cannot"), *finish()]), kind=Kind.POLICY,
         code="refusal"),
    Case(row="3-filter-event", play=Play(stream=[*tokens("a"), error_event(code="content_filter")]),
         kind=Kind.POLICY, code="content_filter", produced=True),
    Case(row="22-reset", play=Play(reset=True), kind=Kind.RESET),
    Case(row="23-reset", play=Play(stream=[*tokens(*"abcdef"), RESET]), kind=Kind.RESET, produced=True),
    Case(row="23-early-eof", play=Play(stream=[*tokens("a", "b"), CLOSE]), kind=Kind.RESET, produced=True),
    Case(row="24-no-finish", play=Play(stream=[*tokens("a"), END]), kind=Kind.TRUNCATED, produced=True),
    Case(row="24-done-only", play=Play(stream=[*tokens("a"), DONE]), kind=Kind.TRUNCATED, produced=True),
    Case(row="25-error", play=Play(stream=[*tokens("a"), error_event(code="overloaded_error"), *tokens("b")]),
         kind=Kind.STREAM_ERROR, code="overloaded_error", produced=True),
    Case(row="25-error-first", play=Play(stream=[error_event(code=502)]), kind=Kind.STREAM_ERROR),
    Case(row="25-error-named", play=Play(stream=['event: error\ndata: {"error": {"type": "api_error"}}\n\n']),
         kind=Kind.STREAM_ERROR, code="api_error"),
    Case(row="25-error-string", play=Play(stream=['data: {"error": "no slot"}\n\n']), kind=Kind.STREAM_ERROR),
    Case(row="29-bad-line", play=Play(stream=[*tokens("a"), "data: {oops\n\n", *tokens("b"), *finish()]),
         kind=Kind.MALFORMED, produced=True),
    Case(row="29-not-utf8", play=Play(stream=[b"data: \xff\xfe\n\n"]), kind=Kind.MALFORMED),
    Case(row="29-number", play=Play(stream=["data: 42\n\n"]), kind=Kind.MALFORMED),
    Case(row="29-list", play=Play(stream=["data: []\n\n"]), kind=Kind.MALFORMED),
    Case(row="29-null-choice", play=Play(stream=['data: {"choices": [null]}\n\n']), kind=Kind.MALFORMED),
    Case(row="29-deep", play=Play(stream=["data: " + "[" * 1_900 + "\n\n"]), kind=Kind.MALFORMED),
    Case(row="30-html", play=Play(body=HTML, headers={"content-type": "text/html"}), kind=Kind.MALFORMED),
    Case(row="30-json", play=Play(body={"choices": []}), kind=Kind.MALFORMED),
    Case(row="30-cut-json", play=Play(body='{"choices": [{"mess'), kind=Kind.MALFORMED),
    Case(row="30-text", play=Play(body="hello", headers={"content-type": "text/plain"}), kind=Kind.MALFORMED),
    Case(row="30-no-events", play=Play(stream=[DONE]), kind=Kind.MALFORMED),
    Case(row="30-brotli", play=Play(body=b"\x0b\x02", headers={
        "content-type": "text/event-stream", "content-encoding": "br"}), kind=Kind.MALFORMED),
    Case(row="31-no-choices", play=Play(stream=['data: {"choices": []}\n\n', *finish()]), kind=Kind.EMPTY,
         code="stop"),
    Case(row="31-null-choices", play=Play(stream=['data: {"choices": null}\n\n', *finish()]), kind=Kind.EMPTY,
         code="stop"),
    Case(row="31-null-content", play=Play(stream=[token(None), *finish()]), kind=Kind.EMPTY, code="stop"),
    Case(row="31-blank", play=Play(stream=[token("  \n"), *finish()]), kind=Kind.EMPTY, code="stop"),
    Case(row="31-cut-early", play=Play(stream=[token(""), *finish("length")]), kind=Kind.EMPTY, code="length"),
    Case(row="33-endless", play=Play(stream=repeat(token("word "))), kind=Kind.OVERSIZE, produced=True),
    Case(row="33-one-event", play=Play(stream=[token("x" * 3_000)]), kind=Kind.OVERSIZE),
    Case(row="33-no-line-end", play=Play(stream=["data: " + "x" * 3_000]), kind=Kind.OVERSIZE),
    Case(row="33-no-line-end-ever", play=Play(stream=["data: ", *["x" * 500] * 10]), kind=Kind.OVERSIZE),
    Case(row="33-comments", play=Play(stream=([": ping\n\n"] * 3_000)), kind=Kind.OVERSIZE),
    Case(row="34-bomb", play=Play(body=gzip.compress(b"\n" * 5_000_000), headers={
        "content-type": "text/event-stream", "content-encoding": "gzip"}), kind=Kind.OVERSIZE),
    Case(row="34-nested", play=Play(body=b"", headers={
        "content-type": "text/event-stream", "content-encoding": "gzip, gzip"}), kind=Kind.MALFORMED),
    Case(row="34-broken-gzip", play=Play(body=b"not gzip", headers={
        "content-type": "text/event-stream", "content-encoding": "gzip"}), kind=Kind.MALFORMED),
]  # fmt: skip

CASES = [*STATUSES, *THROTTLES, *STREAMS]


@pytest.mark.req("brk.classify")
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("case", CASES, ids=[case.row for case in CASES])
async def test_a_fault_becomes_its_failure(provider: ScriptedProvider, case: Case) -> None:
    """Kind, status, code, wait and produced text as the catalogue wants them; the next call is answered."""
    provider.script(case.play, Play(reply="well"), model="a")
    model = route_to(provider.url, **SMALL)
    failure = (await listen(model)).failure
    assert failure is not None
    assert (failure.kind, failure.status, failure.code, failure.retry_after_s, failure.produced_text) == (
        case.kind,
        case.status,
        case.code,
        case.wait,
        case.produced,
    )
    assert (await listen(model)).text == "well"
    assert len(provider.requests) == 2  # one each: nobody below the shield retries
    await model.aclose()


def test_the_table_is_wide_enough() -> None:
    """At least forty cases, no two under one name."""
    assert len(CASES) == len({case.row for case in CASES}) >= 40
