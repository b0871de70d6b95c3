"""``switchgear queue`` as a person and a script use it: real processes on one data folder."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.load import load_settings
from configs.settings import Settings
from engine.app import Engine
from tests.support.engines import ROLES
from tests.support.provider import Play, ScriptedProvider


class Folder:
    """A user's folder: one scripted model, one data folder."""

    def __init__(self, path: Path, url: str) -> None:
        self.config = path / "mine.yaml"
        self.home = path / "data"
        self.config.write_text(
            yaml.safe_dump(
                {
                    "providers": {"scripted": {"base_url": url, "local": True}},
                    "models": {"m": {"provider": "scripted", "model": "m"}},
                    "roles": {role: ["m"] for role in ROLES},
                    "queue": {"poll_s": 0.02, "retry_s": 0.05},
                    "shield": {"retries": 0},
                    "breaker": {"open_s": 0.05, "open_s_max": 0.05},
                }
            )
        )

    def settings(self) -> Settings:
        """What the commands of this folder run on."""
        return load_settings("local", self.config, {"SWITCHGEAR_HOME": str(self.home)})

    async def start(self, *args: str) -> Process:
        """Start one command."""
        env = {
            "PATH": os.environ["PATH"],
            "SWITCHGEAR_HOME": str(self.home),
            "SWITCHGEAR_CONFIG": str(self.config),
        }
        command = (sys.executable, "-m", "engine.cli.main", "queue", *args)
        return await asyncio.create_subprocess_exec(*command, env=env, stdout=PIPE, stderr=PIPE)

    async def run(self, *args: str) -> tuple[int | None, str, str]:
        """Exit code, stdout and stderr of one command."""
        process = await self.start(*args)
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    async def json(self, *args: str, code: int = 0) -> Any:
        """The one JSON document that a command prints."""
        ended, out, err = await self.run(*args, "--json")
        assert ended == code, out + err
        return json.loads(out)


@pytest.mark.req("serve.cli", "run.queue")
async def test_tickets_are_listed_shown_cancelled_worked_on_and_waited_for(tmp_path: Path):
    """Shown by: two tickets, one cancelled, the other answered by ``work``, and read by whoever waits."""
    async with ScriptedProvider() as provider:
        provider.script(Play(status=503, body="{}"))
        folder = await asyncio.to_thread(Folder, tmp_path, provider.url)
        async with Engine.open(settings=await asyncio.to_thread(folder.settings)) as engine:
            one = await engine.enqueue("hello you", agent="general", user_id="ada")
            two = await engine.enqueue("hello there", agent="general", priority="low")
            rows = await folder.json("list")
            assert {(row["id"], row["priority"]) for row in rows} == {(one.id, "normal"), (two.id, "low")}
            assert (await folder.json("cancel", two.id))["error"]["code"] == "cancelled"
        provider.script(reply="well, [bold]hello[/]")
        assert (await folder.json("work", "--drain"))["done"] == 1
        code, text, _ = await folder.run("wait", one.id)
    assert code == 0
    assert re.search(rf"{one.id} +done +normal +\d+ s +\d", text)
    assert "well, [bold]hello[/]" in text


@pytest.mark.req("serve.cli", "run.queue")
async def test_an_interrupted_worker_gives_its_request_back(tmp_path: Path):
    """Ctrl-C is the ordinary end of ``work``: exit code 0, and the ticket waits in its place."""
    async with ScriptedProvider() as provider:
        provider.script(Play(gate=asyncio.Event()))
        folder = await asyncio.to_thread(Folder, tmp_path, provider.url)
        settings = await asyncio.to_thread(folder.settings)
        async with Engine.open(settings=settings) as engine:
            ticket = await engine.enqueue("hello you", agent="general")
        seen = len(provider.requests)
        process = await folder.start("work")
        ended = asyncio.create_task(process.communicate())
        for _ in range(8):  # a command takes its time to start on a machine that is busy with other tests
            with suppress(TimeoutError):
                await provider.wait_requests(seen + 1)
                break
        process.send_signal(signal.SIGINT)
        _, err = await ended
        async with Engine.open(settings=settings) as engine:
            status = (await engine.ticket(ticket.id)).status.value
    assert (process.returncode, status) == (0, "waiting"), err.decode()


@pytest.mark.req("serve.cli", "run.queue")
async def test_an_unknown_ticket_is_an_error_with_a_code(tmp_path: Path):
    """Exit code 1 and one JSON document."""
    folder = await asyncio.to_thread(Folder, tmp_path, "http://127.0.0.1:9/v1")
    assert (await folder.json("show", "nobody", code=1))["error"]["code"] == "unknown_ticket"
