"""Keys, prompts and upstream texts stay out of errors, reprs, logs and traces."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from typing import Any

import langsmith.utils
import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI

from agents.endpoint import Endpoint
from configs.catalogue import ProviderSettings
from configs.errors import ConfigError
from tests.support.provider import RESET, Play, ScriptedProvider, error_event, tokens
from tests.support.routes import KEY, KEY_NAME, Heard, listen, route_to

PROMPT = "canary-prompt-93c1"
BODY = "canary-body-5ab2"


def said_by(heard: Heard) -> str:
    """Everything that an error could show to a person or a log."""
    error = heard.error
    assert error is not None
    whole = "".join(traceback.format_exception(error))
    return "\n".join([whole, repr(error), str(error), repr(heard.failure), repr(error.__dict__)])


PLAYS = {
    "401-echo": Play(status=401, body={"error": {"message": f"bad key {KEY} {BODY}", "code": KEY, "type": KEY}}),
    "429-code": Play(status=429, body={"error": {"message": BODY, "code": f"x_{KEY}".replace("-", "_")}}),
    "500-html": Play(status=500, body=f"<html>{KEY} {BODY}</html>"),
    "reset": Play(reset=True),
    "mid-stream": Play(stream=[*tokens(BODY), RESET]),
    "event": Play(stream=[error_event(f"{KEY} {BODY}", code=KEY, type=BODY)]),
    "html-200": Play(body=f"{KEY} {BODY}", headers={"content-type": "text/html"}),
    "bad-json": Play(stream=[f"data: {{{KEY} {BODY}\n\n"]),
}


@pytest.mark.req("obs.privacy")
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("name", PLAYS)
async def test_a_failure_shows_neither_key_nor_prompt_nor_body(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Not in the message, the repr, the traceback with its whole chain, nor in any log at debug level (F7)."""
    provider.script(PLAYS[name])
    model = route_to(provider.url)
    with caplog.at_level(logging.DEBUG):
        heard = await listen(model, PROMPT)
    shown = said_by(heard)
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"
    for canary in (KEY, PROMPT, BODY, provider.url):
        assert canary not in shown
    for canary in (KEY, PROMPT, BODY):
        assert canary not in caplog.text
    await model.aclose()


async def test_a_failure_keeps_no_reference_to_the_request(provider: ScriptedProvider) -> None:
    """No cause and no context: both would carry the SDK's request and response objects along."""
    provider.script(status=500)
    model = route_to(provider.url)
    error = (await listen(model)).error
    assert error is not None
    assert (error.__cause__, error.__context__) == (None, None)
    await model.aclose()


@pytest.mark.req("obs.privacy")
async def test_a_success_logs_neither_key_nor_prompt(
    provider: ScriptedProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """At debug level, for every logger; and the route's own repr has no key."""
    provider.script(reply=BODY)
    model = route_to(provider.url)
    with caplog.at_level(logging.DEBUG):
        assert (await listen(model, PROMPT)).text == BODY
    for canary in (KEY, PROMPT, BODY):
        assert canary not in caplog.text
    assert KEY not in repr(model) + repr(model._endpoint) + repr(model._client.__dict__)
    await model.aclose()


class Listener(AsyncCallbackHandler):
    """Notes which kinds of run it is told of."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def on_chain_start(self, *_: Any, **__: Any) -> None:
        self.heard.append("chain")

    async def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        self.heard.append("model")


@pytest.mark.req("obs.privacy")
async def test_no_tracer_sees_a_prompt_even_when_the_environment_asks(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The adapter is silent where a plain ``ChatOpenAI`` in the same environment is traced."""
    made: list[Listener] = []

    class Tracer(Listener):
        def __init__(self, **_: Any) -> None:
            super().__init__()
            made.append(self)

        def copy_with_metadata_defaults(self, **_: Any) -> Tracer:
            return self

    monkeypatch.setattr("langchain_core.tracers.langchain.LangChainTracer", Tracer)
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    langsmith.utils.get_env_var.cache_clear()
    model = route_to(provider.url)
    assert (await listen(model, PROMPT)).text == "ok"
    assert made == []
    bare = ChatOpenAI(model="a", base_url=provider.url, api_key="k", max_retries=0)
    assert [chunk async for chunk in bare.astream(PROMPT)]
    assert [tracer.heard for tracer in made] == [["model"]]
    monkeypatch.undo()
    langsmith.utils.get_env_var.cache_clear()
    await bare.root_async_client.close()
    await model.aclose()


async def test_callbacks_of_an_enclosing_run_do_not_see_the_call(provider: ScriptedProvider) -> None:
    """A tracer that somebody hung on the graph hears of its own node, not of the model's prompt."""
    model = route_to(provider.url)
    listener = Listener()

    async def node(question: str) -> str:
        return (await listen(model, question)).text

    assert await RunnableLambda(node).ainvoke(PROMPT, {"callbacks": [listener]}) == "ok"
    assert listener.heard == ["chain"]
    await model.aclose()


async def test_a_variable_that_breaks_langchain_is_named(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LangChain raises on every call while it is set; the operator hears of it before the first one."""
    monkeypatch.setenv("LANGCHAIN_TRACING", "true")
    with pytest.raises(ConfigError, match="LANGCHAIN_TRACING"):
        await route_to(provider.url).warm()


@pytest.mark.parametrize(
    "url",
    [
        "http://host.example/v1",
        "http://localhost.example/v1",
        "http://10.0.0.5:8000/v1",
        "https://host:0/v1",
        "https://host:99999/v1",
    ],
)
def test_a_url_that_would_leak_or_cannot_work_is_refused(url: str) -> None:
    """A key over plain HTTP to another machine, a port that does not exist; the message has no key."""
    with pytest.raises(ConfigError) as caught:
        Endpoint.of(ProviderSettings(base_url=url, api_key_env=KEY_NAME), {KEY_NAME: KEY})
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("https://host/v1", False),
        ("http://127.0.0.1:1234/v1", False),
        ("http://localhost:1234/v1", False),
        ("http://[::1]:1234/v1", False),
        ("http://10.0.0.5:8000/v1", True),
    ],
)
def test_a_url_that_is_safe_is_taken(url: str, local: bool) -> None:
    """TLS, this machine, or a network that the operator calls local."""
    endpoint = Endpoint.of(
        ProviderSettings(base_url=url, api_key_env=KEY_NAME, local=local), {KEY_NAME: f" {KEY}\n"}
    )
    assert endpoint.base_url == url
    assert endpoint.api_key is not None
    assert endpoint.api_key.get_secret_value() == KEY


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel", "tab\there"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    """The message names the variable."""
    with pytest.raises(ConfigError, match=KEY_NAME) as caught:
        Endpoint.of(ProviderSettings(base_url="https://host/v1", api_key_env=KEY_NAME), {KEY_NAME: key})
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://team.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://api.openai.com.example.org/v1", "max_tokens"),
        ("https://openrouter.ai/api/v1", "max_tokens"),
        ("http://localhost:11434/v1", "max_tokens"),
    ],
)
def test_the_name_of_the_limit_follows_the_host(url: str, field: str) -> None:
    """OpenAI's current models refuse the old name; everybody else may ignore the new one."""
    assert Endpoint.of(ProviderSettings(base_url=url), {}).max_tokens_field == field


async def test_a_route_without_its_key_refuses_without_a_call(provider: ScriptedProvider) -> None:
    """Neutral for every breaker; the variable is named, so the operator knows what to set."""
    model = route_to(provider.url)
    model = type(model)(model.ref, Endpoint.of(_needs_key(provider.url), {}), model._settings)
    failure = (await listen(model)).failure
    assert failure is not None
    assert (failure.kind, failure.code) == ("refused", "key_missing")
    assert KEY_NAME in failure.detail
    assert provider.connections == 0


def _needs_key(url: str) -> ProviderSettings:
    return ProviderSettings(base_url=url, api_key_env=KEY_NAME)


def test_nothing_heavy_is_imported_before_the_first_call() -> None:
    """A cached answer and ``--help`` must not wait seconds for a client library."""
    code = (
        "import sys, agents.model, agents.scripted, agents.endpoint;"
        "heavy = ('langchain_openai', 'openai', 'langchain_core', 'httpx', 'langgraph');"
        "print([name for name in heavy if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert ran.stdout.strip() == "[]"
