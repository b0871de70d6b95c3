"""What leaves this machine when a model is called, where it goes, and what never leaves."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agents.contract import Chunk
from agents.errors import CallFailed
from agents.model import open_model
from agents.refs import model_ref
from agents.wire import verified_tls
from configs.catalogue import ModelSettings, ProviderSettings
from configs.errors import ConfigError
from configs.kernel import Failure, FailureKind, Message, Sampling, Usage
from configs.settings import HttpSettings, Settings, ShieldSettings
from tests.support.provider import RESET, Play, ScriptedProvider, closed_port, finish, token, tokens
from tests.support.routes import KEY, KEY_NAME, LATER, listen, route_to, settings_for
from tests.support.throwaway_tls import self_signed

QUICK = ShieldSettings(connect_s=0.05, first_token_s=0.05, idle_s=0.05)


async def test_only_known_headers_leave(provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Account headers that the SDK reads from the environment, and its description of this machine, stay here."""
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "from-the-environment")
    model = route_to(provider.url)
    await listen(model)
    sent = provider.requests[0].headers
    assert sent["authorization"] == f"Bearer {KEY}"
    assert sent["accept-encoding"] == "identity"
    assert set(sent) == {
        *("host", "accept", "content-type", "content-length", "user-agent", "accept-encoding", "authorization")
    }
    await model.aclose()


async def test_the_environment_does_not_redirect_a_route(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxies, base URLs and gateways of the environment are not asked; the configured endpoint is."""
    async with ScriptedProvider() as elsewhere:
        for name in (
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "OPENAI_PROXY",
            "OPENAI_BASE_URL",
            "OPENAI_API_BASE",
        ):
            monkeypatch.setenv(name, elsewhere.url)
        monkeypatch.setenv("LANGSMITH_GATEWAY", elsewhere.url)
        monkeypatch.setenv("LC_OUTPUT_VERSION", "v1")
        model = route_to(provider.url)
        assert (await listen(model)).text == "ok"
        assert (provider.connections, elsewhere.connections) == (1, 0)
        await model.aclose()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(provider: ScriptedProvider, status: int) -> None:
    """The key never reaches the host that a redirect names (fault 39)."""
    async with ScriptedProvider() as elsewhere:
        provider.script(status=status, headers={"location": f"{elsewhere.url}/chat/completions"}, body="")
        model = route_to(provider.url)
        failure = (await listen(model)).failure
        assert failure is not None
        assert (failure.kind, failure.status) == (FailureKind.STATUS, status)
        assert elsewhere.connections == 0
        await model.aclose()


@pytest.mark.req("serve.providers")
@pytest.mark.parametrize(
    ("field", "sent"),
    [(None, "max_tokens"), ("max_tokens", "max_tokens"), ("max_completion_tokens", "max_completion_tokens")],
)
async def test_the_limit_is_sent_under_the_name_that_the_provider_reads(
    provider: ScriptedProvider, field: Any, sent: str
) -> None:
    """Exactly one of the two names, always (L1): unknown names are ignored by servers, and both are refused."""
    settings = Settings(
        providers={"p": ProviderSettings(base_url=provider.url, local=True, max_tokens_field=field)},
        models={"m": ModelSettings(provider="p", model="a")},
    )
    model = open_model("m", settings, {})
    await listen(model, max_tokens=17)
    names = {"max_tokens", "max_completion_tokens"} & provider.requests[0].json.keys()
    assert {name: provider.requests[0].json[name] for name in names} == {sent: 17}
    await model.aclose()


@pytest.mark.parametrize(("name", "sent"), [("a", 0.2), ("gpt-5-mini", None)])
async def test_temperature_is_left_out_for_models_that_refuse_it(
    provider: ScriptedProvider, name: str, sent: float | None
) -> None:
    """An agent's temperature must not make every call of a reasoning model a 400."""
    model = route_to(provider.url, model=name)
    await listen(model, temperature=0.2)
    assert provider.requests[0].json.get("temperature") == sent
    await model.aclose()


async def test_the_chat_completions_api_is_used_whatever_the_model_is_called(provider: ScriptedProvider) -> None:
    """LangChain would switch to another API for some names; compatible servers have only this one."""
    model = route_to(provider.url, model="some-codex-model")
    assert (await listen(model)).text == "ok"
    assert provider.requests[0].path == "/v1/chat/completions"
    await model.aclose()


async def test_a_plain_connection_is_used_once(provider: ScriptedProvider) -> None:
    """Local servers close it after a stream without saying so, and a call that reuses it would break."""
    model = route_to(provider.url)
    for _ in range(3):
        await listen(model)
    assert (provider.connections, len(provider.requests)) == (3, 3)
    await model.aclose()


@pytest.mark.req("serve.providers")
async def test_a_server_that_ignores_stream_options_is_answered_with_an_estimate(
    provider: ScriptedProvider,
) -> None:
    """No usage chunk, as on older local servers: the answer stands, the count is derived."""
    provider.script(usage=None, reply="one two")
    model = route_to(provider.url)
    heard = await listen(model)
    assert (heard.text, heard.failure) == ("one two", None)
    assert heard.chunks[-1].usage == Usage(input_tokens=9 + 16, output_tokens=7, estimated=True)
    await model.aclose()


async def test_hidden_reasoning_shows_as_signs_of_life(provider: ScriptedProvider) -> None:
    """A model that thinks before it writes yields chunks without text, so an idle timer need not fire."""
    thinking = [token(None, reasoning_content="hm") for _ in range(3)]
    provider.script(stream=[token("", role="assistant"), *thinking, *tokens("done"), *finish()])
    model = route_to(provider.url)
    assert [chunk.text for chunk in (await listen(model)).chunks] == ["", "", "", "done", ""]
    await model.aclose()


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": "many", "completion_tokens": 2},
        {"prompt_tokens": -3, "completion_tokens": 2},
        {"prompt_tokens": 9, "completion_tokens": 10**9},
        {"prompt_tokens": 9, "completion_tokens": 10**30},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": None},
        "free of charge",
    ],
)
async def test_a_usage_that_cannot_be_true_does_not_spoil_the_answer(
    provider: ScriptedProvider, usage: object
) -> None:
    """Strings, negatives, absurd counts, zeros for a text: the answer stands, the count is derived (fault 35)."""
    last = {"choices": [], "usage": usage}
    provider.script(stream=[*tokens("one"), *finish()[:1], last])
    model = route_to(provider.url)
    heard = await listen(model)
    assert (heard.text, heard.failure) == ("one", None)
    assert heard.chunks[-1].usage == Usage(input_tokens=9 + 16, output_tokens=3, estimated=True)
    await model.aclose()


async def test_half_a_surrogate_pair_does_not_poison_the_text(provider: ScriptedProvider) -> None:
    """JSON may escape what no socket can encode; it becomes the replacement character."""
    provider.script(stream=['data: {"choices": [{"index": 0, "delta": {"content": "a\\ud800b"}}]}\n\n', *finish()])
    model = route_to(provider.url)
    assert (await listen(model)).text == "a\ufffdb"
    await model.aclose()


async def test_a_break_after_the_finish_marker_is_forgiven(provider: ScriptedProvider) -> None:
    """The text was complete; only its count got lost."""
    provider.script(stream=[*tokens("all of it"), finish()[0], RESET])
    model = route_to(provider.url)
    heard = await listen(model)
    assert (heard.text, heard.failure) == ("all of it", None)
    assert heard.chunks[-1].usage is not None
    assert heard.chunks[-1].usage.estimated
    await model.aclose()


def test_the_identity_of_a_route_names_the_key_and_never_is_it() -> None:
    """Provider, model and the variable of the credential make the breaker's subject (brk.everywhere)."""
    settings = settings_for("https://host/v1")
    assert model_ref("m", settings).subject == f"model:p/a#{KEY_NAME}"
    assert route_to("https://host/v1").ref == model_ref("m", settings)
    without = Settings(
        providers={"p": ProviderSettings(base_url="https://host/v1")}, models={"m": settings.models["m"]}
    )
    assert model_ref("m", without).subject == "model:p/a#none"


def test_a_model_that_is_not_configured_is_named() -> None:
    """A wiring error of the operator, found before any call."""
    with pytest.raises(ConfigError, match="nobody"):
        model_ref("nobody", settings_for("https://host/v1"))


async def test_a_refused_connection_says_so() -> None:
    """Nothing listens on the port (fault 19)."""
    failure = await _failure(f"http://127.0.0.1:{closed_port()}/v1")
    assert (failure.kind, failure.detail) == (FailureKind.CONNECT, "no connection: refused")


async def test_an_unknown_host_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name does not resolve (fault 20)."""

    def nxdomain(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nxdomain)
    failure = await _failure("https://no-such-host.invalid/v1")
    assert (failure.kind, failure.detail) == (
        FailureKind.CONNECT,
        "no connection: the host name cannot be resolved",
    )


async def test_a_server_without_tls_is_not_talked_to_in_plain() -> None:
    """HTTPS to a plain port fails in the handshake, once (fault 21)."""
    greetings: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greetings.append(await reader.read(1))
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        failure = await _failure(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    assert (failure.kind, failure.detail) == (FailureKind.CONNECT, "no connection: the TLS handshake failed")
    assert greetings == [b"\x16"]  # a TLS handshake record, never an HTTP verb


async def test_an_untrusted_certificate_is_refused(tmp_path: Path) -> None:
    """Self-signed: no request is made, and none without verification after it (fault 21)."""
    async with ScriptedProvider(tls=self_signed(tmp_path)) as p:
        failure = await _failure(p.url)
        assert failure.kind is FailureKind.CONNECT
        assert "the certificate is not trusted" in failure.detail
        assert p.requests == []


async def test_a_certificate_of_a_configured_authority_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin of the refusal: with SSL_CERT_FILE the same server is answered, three times on one connection."""
    async with ScriptedProvider(tls=self_signed(tmp_path)) as p:
        p.script(Play(reply="ok"), Play(status=500), Play(reply="ok"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        verified_tls.cache_clear()
        model = route_to(p.url)
        assert [(await listen(model)).text for _ in range(3)] == ["ok", "", "ok"]
        assert (p.connections, len(p.requests)) == (1, 3)
        await model.aclose()
        verified_tls.cache_clear()


async def test_a_connection_that_nobody_accepts_times_out() -> None:
    """A full backlog drops the handshake: the connect timeout ends it."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        failure = await _failure(f"http://127.0.0.1:{port}/v1")
    assert failure.kind is FailureKind.CONNECT_TIMEOUT


@pytest.mark.parametrize(
    ("before", "kind"), [([], FailureKind.FIRST_TOKEN_TIMEOUT), (["one"], FailureKind.IDLE_TIMEOUT)]
)
async def test_silence_is_bounded_even_without_a_shield(
    provider: ScriptedProvider, before: list[str], kind: FailureKind
) -> None:
    """The read timeout is the net under the shield's own limits (faults 26 and 28)."""
    provider.script(stream=[*tokens(*before), asyncio.Event()])
    assert (await _failure(provider.url)).kind is kind


async def test_a_full_connection_pool_refuses_neutrally(provider: ScriptedProvider) -> None:
    """Our own limit is not the provider's failure: refused without a call."""
    hold = asyncio.Event()
    provider.script(gate=hold)
    model = route_to(provider.url, http=HttpSettings(connections_max=1), shield=ShieldSettings(connect_s=0.05))
    first = asyncio.create_task(listen(model))
    await provider.wait_requests(1)
    failure = (await listen(model)).failure
    assert failure is not None
    assert failure.kind is FailureKind.REFUSED
    hold.set()
    assert (await first).text == "ok"
    assert len(provider.requests) == 1
    await model.aclose()


async def test_a_plainly_compressed_answer_is_read(provider: ScriptedProvider) -> None:
    """A server that compresses although asked not to is understood, within the cap."""
    stream = "".join(f"data: {json.dumps(item)}\n\n" for item in (token("hi"), finish()[0]))
    provider.script(
        body=gzip.compress(stream.encode()),
        headers={"content-type": "text/event-stream", "content-encoding": "gzip"},
    )
    model = route_to(provider.url)
    assert (await listen(model)).text == "hi"
    await model.aclose()


async def test_several_first_calls_build_one_client(provider: ScriptedProvider) -> None:
    """Warm-up from several callers at once ends in one connection pool."""
    model = route_to(provider.url)
    await asyncio.gather(model.warm(), model.warm(), model.warm())
    client = model._client
    assert (await listen(model)).text == "ok"
    assert model._client is client
    await model.aclose()


async def test_the_socket_goes_without_waiting_for_the_garbage_collector(provider: ScriptedProvider) -> None:
    """With every collected generator kept from cleaning up, closing the answer still ends the connection."""
    provider.script(stream=[*tokens("one"), asyncio.Event()])
    model = route_to(provider.url)
    stream = model.stream((Message("user", "q"),), Sampling(max_tokens=9), LATER)
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=lambda _: None)
    try:
        assert (await anext(stream)).text == "one"
        await stream.aclose()
        await provider.requests[0].wait_disconnected(within_s=1)
    finally:
        sys.set_asyncgen_hooks(*hooks)
    assert not provider.requests[0].answered.is_set()
    await model.aclose()


@pytest.mark.parametrize("begun", [False, True])
async def test_closing_a_route_under_a_call_is_no_failure_of_the_provider(
    provider: ScriptedProvider, begun: bool
) -> None:
    """Our own shutdown: cancelled, neutral for the breaker, and what was produced is told."""
    hold = asyncio.Event()
    provider.script(Play(stream=[*tokens("one"), hold]) if begun else Play(gate=hold))
    model = route_to(provider.url)
    stream = model.stream((Message("user", "q"),), Sampling(max_tokens=9), LATER)
    if begun:
        assert (await anext(stream)).text == "one"
    else:
        await model.warm()
    rest = asyncio.create_task(_drained(stream))
    await provider.wait_requests(1)
    await model.aclose()
    failure = await rest
    assert (failure.kind, failure.code, failure.produced_text) == (FailureKind.CANCELLED, "route_closed", begun)


async def test_a_route_closed_before_its_call_is_sent_does_not_raise_raw(provider: ScriptedProvider) -> None:
    """The HTTP client's own error for it is translated like any other."""
    model = route_to(provider.url)
    await model.warm()
    await model._client.aclose()
    failure = (await listen(model)).failure
    assert failure is not None
    assert provider.connections == 0


async def _drained(stream: AsyncGenerator[Chunk]) -> Failure:
    with pytest.raises(CallFailed) as caught:
        await _read_all(stream)
    return caught.value.failure


async def _read_all(stream: AsyncGenerator[Chunk]) -> None:
    async for _ in stream:
        pass


async def _failure(url: str) -> Failure:
    model = route_to(url, shield=QUICK)
    heard = await listen(model)
    await model.aclose()
    assert heard.failure is not None
    return heard.failure
