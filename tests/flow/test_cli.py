"""The command as a person and a script use it: real processes, a scripted model, one data folder."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.engines import ROLES
from tests.support.provider import Play, ScriptedProvider

QUESTION = "Write a Python function that sorts people by age"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


async def switchgear(
    folder: Path, *args: str, config: Path | None = None, stdin: bytes = b"", **variables: str
) -> Ran:
    """Run the command in ``folder`` with a clean environment."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "SWITCHGEAR_HOME": str(folder / "data")}
    if config is not None:
        env["SWITCHGEAR_CONFIG"] = str(config)
    env |= variables
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine.cli.main", *args),
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return Ran(code=process.returncode, out=out.decode(), err=err.decode())


def config_for(folder: Path, url: str) -> Path:
    """A user's YAML file whose every chain is one model at ``url``."""
    path = folder / "mine.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "providers": {"scripted": {"base_url": url, "local": True}},
                "models": {"m": {"provider": "scripted", "model": "m"}},
                "roles": {role: ["m"] for role in ROLES},
            }
        )
    )
    return path


@pytest.mark.req("serve.cli", "cache.exact")
async def test_ask_prints_one_json_document_and_asks_the_model_once(tmp_path: Path):
    """Shown by: routed to python, first attempt ok; the same again from the cache, in another process."""
    async with ScriptedProvider() as provider:
        provider.script(reply="text[::-1]")
        config = config_for(tmp_path, provider.url)
        first = await switchgear(tmp_path, "ask", QUESTION, "--json", config=config)
        second = await switchgear(tmp_path, "ask", QUESTION, "--json", config=config)
        assert len(provider.requests) == 1
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.json["decision"]["agent"] == "python"
    assert first.json["attempts"][0]["outcome"] == "ok"
    assert first.json["text"] == second.json["text"] == "text[::-1]"
    assert (first.json["source"], second.json["source"]) == ("model", "exact_cache")


@pytest.mark.req("serve.cli")
async def test_ask_streams_the_answer_to_stdout_and_the_rest_to_stderr(tmp_path: Path):
    """A pipe gets the text alone; the summary and the record are for the person."""
    async with ScriptedProvider() as provider:
        provider.script(reply="one two")
        config = config_for(tmp_path, provider.url)
        ran = await switchgear(tmp_path, "ask", "-", config=config, stdin=b"Count to two")
        explained = await switchgear(tmp_path, "ask", "Count to two", "--explain", "--no-cache", config=config)
    assert (ran.code, ran.out) == (0, "one two\n")
    assert "general" in ran.err
    assert "$0.000000" in ran.err
    assert "chain:" in explained.out
    assert "outcome" in explained.out


@pytest.mark.req("serve.cli", "route.score")
async def test_route_shows_who_would_answer_without_asking_anyone(tmp_path: Path):
    """Shown by: a bar chart goes to viz; every factor is in the record; no model is called."""
    async with ScriptedProvider() as provider:
        config = config_for(tmp_path, provider.url)
        ran = await switchgear(tmp_path, "route", "plot monthly revenue as a bar chart", "--json", config=config)
        assert provider.connections == 0
    assert ran.code == 0, ran.err
    assert ran.json["agent"] == "viz"
    best = ran.json["candidates"][0]
    assert best["agent"] == "viz"
    assert {"score", "similarity", "keyword_hits", "intent", "success", "cost", "latency"} <= set(best)


@pytest.mark.req("serve.cli", "serve.embedded")
async def test_three_asks_at_once_share_one_folder(tmp_path: Path):
    """Side by side on one data folder: each is answered, none disturbs another."""
    async with ScriptedProvider() as provider:
        provider.script(Play(reply="here"))
        config = config_for(tmp_path, provider.url)
        runs = await asyncio.gather(
            *(switchgear(tmp_path, "ask", f"question {i}", "--json", config=config) for i in range(3))
        )
    assert [run.code for run in runs] == [0, 0, 0], [run.err for run in runs]
    assert {run.json["text"] for run in runs} == {"here"}


@pytest.mark.req("serve.cli", "admit.limits")
@pytest.mark.parametrize(
    ("args", "stdin", "code", "exit_code"),
    [
        (("ask", "  "), b"", "empty_prompt", 2),
        (("ask", "-"), b"x" * 10_000_000, "prompt_too_large", 2),
        (("ask", "-"), b"\xff\xfe", "invalid_utf8", 2),
        (("ask", "-"), b"a\0b", "nul_byte", 2),
        (("ask", "hi", "--user", "x" * 300), b"", "invalid_option", 2),
        (("ask", "hi", "--agent", "\udcff"), b"", "invalid_option", 2),
        (("ask", "hi", "--config", "\udcff.yaml"), b"", "config_invalid", 2),
        (("ask", "hi", "--profile", "locl"), b"", "config_invalid", 2),
        (("ask", "hi", "--config", "missing.yaml"), b"", "config_invalid", 2),
        (("bench", "cach"), b"", "unknown_bench", 2),
        (("eval", "roter"), b"", "unknown_eval", 2),
    ],
)
async def test_bad_input_is_one_clear_error_and_no_stack(
    tmp_path: Path, args: tuple[str, ...], stdin: bytes, code: str, exit_code: int
):
    """A stable code for programs, a sentence for people, a non-zero exit, nothing on the other stream."""
    ran = await switchgear(tmp_path, *args, "--json", stdin=stdin)
    assert ran.code == exit_code, ran.err
    assert ran.json["error"]["code"] == code
    assert ran.json["error"]["message"]
    assert "Traceback" not in ran.err


@pytest.mark.req("serve.cli", "serve.embedded")
async def test_files_and_folders_that_cannot_work_are_named(tmp_path: Path):
    """A missing model, a damaged one, a folder that is a file: which one, and what to do, without a stack."""
    damaged = tmp_path / "model.onnx"
    damaged.write_bytes(b"not a model")
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    for variables, code, named in (
        ({"SWITCHGEAR_ENCODER__MODEL_PATH": "/nowhere.onnx"}, "model_file", "/nowhere.onnx"),
        ({"SWITCHGEAR_ENCODER__MODEL_PATH": str(damaged)}, "model_file", str(damaged)),
        ({"SWITCHGEAR_HOME": str(in_the_way)}, "folder_not_usable", str(in_the_way)),
    ):
        ran = await switchgear(tmp_path, "route", "hello", "--json", **variables)
        assert ran.code == 1, ran.out
        assert ran.json["error"]["code"] == code
        assert named in ran.json["error"]["message"]
        assert ran.json["error"]["hint"]
        assert "Traceback" not in ran.err


@pytest.mark.req("serve.cli")
async def test_an_unreachable_model_says_what_to_do_and_debug_adds_the_stack(tmp_path: Path):
    """Exit 1, the reason and a next step; the stack trace only when asked for."""
    config = config_for(tmp_path, "http://127.0.0.1:9/v1")
    plain = await switchgear(tmp_path, "ask", "hello", config=config)
    debug = await switchgear(tmp_path, "ask", "hello", "--debug", config=config)
    assert (plain.code, debug.code) == (1, 1)
    assert "all_routes_unavailable" in plain.err
    assert "doctor" in plain.err
    assert "Traceback" not in plain.err
    assert "Traceback" in debug.err


@pytest.mark.req("serve.cli")
async def test_help_lists_the_commands_and_agents_lists_the_ten(tmp_path: Path):
    """The two commands a newcomer types first."""
    helped = await switchgear(tmp_path, "--help")
    versioned = await switchgear(tmp_path, "--version")
    listed = await switchgear(tmp_path, "agents", "--json")
    for name in ("ask", "chat", "route", "agents", "doctor", "eval", "bench"):
        assert name in helped.out
    assert {row["name"] for row in listed.json} == {
        *("python", "javascript", "rust", "web_search", "pdf_reader", "summarizer"),
        *("sql", "analytics", "viz", "general"),
    }
    assert versioned.out.startswith("switchgear ")
    assert not (tmp_path / "data").exists()


@pytest.mark.req("serve.cli")
async def test_chat_sends_the_conversation_along(tmp_path: Path):
    """The second turn carries the first one and its answer."""
    async with ScriptedProvider() as provider:
        provider.script(Play(reply="Hello Ada."), Play(reply="Ada."))
        config = config_for(tmp_path, provider.url)
        ran = await switchgear(tmp_path, "chat", config=config, stdin=b"I am Ada.\nWho am I?\n/quit\nnever sent\n")
        sent = [m["content"] for m in provider.requests[-1].json["messages"][1:]]
        assert len(provider.requests) == 2
    assert (ran.code, ran.out) == (0, "Hello Ada.\nAda.\n"), ran.err
    assert sent == ["I am Ada.", "Hello Ada.", "Who am I?"]


@pytest.mark.req("serve.cli")
async def test_a_line_that_is_no_text_costs_that_line_and_not_the_conversation(tmp_path: Path):
    """Bytes that are no UTF-8 and a line beyond the limit are refused by name; the next line is answered."""
    async with ScriptedProvider() as provider:
        provider.script(Play(reply="Here."))
        config = config_for(tmp_path, provider.url)
        lines = b"caf\xe9\n" + b"x" * 300_000 + b"\nAre you there?\n"
        ran = await switchgear(tmp_path, "chat", config=config, stdin=lines)
        assert len(provider.requests) == 1
    assert (ran.code, ran.out) == (0, "Here.\n"), ran.err
    assert "invalid_utf8" in ran.err
    assert "prompt_too_large" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.req("serve.cli", "serve.embedded")
async def test_ask_and_chat_say_what_the_engine_works_without(tmp_path: Path):
    """A folder in which no cache can start: answered all the same, and the reason in one line on stderr."""
    async with ScriptedProvider() as provider:
        provider.script(Play(reply="Here."))
        config = config_for(tmp_path, provider.url)
        config.write_text(config.read_text() + "embedded: {start_s: 0.001}\n")
        asked = await switchgear(tmp_path, "ask", "hello", config=config)
        chatted = await switchgear(tmp_path, "chat", config=config, stdin=b"hello\n")
    for ran in (asked, chatted):
        assert (ran.code, ran.out) == (0, "Here.\n"), ran.err
        assert len([line for line in ran.err.splitlines() if line.startswith("degraded: cache: ")]) == 1
