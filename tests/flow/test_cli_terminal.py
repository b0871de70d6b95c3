"""The command on a terminal and in a pipe: Ctrl-C, a reader that left, and text that a terminal would obey."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from configs.kernel import Money, Usage
from engine.cli.main import main
from engine.events import Event, FellBack, Final, Token
from engine.types import Answer, Decision
from tests.flow.test_cli import config_for, switchgear
from tests.support.provider import Play, ScriptedProvider, finish, tokens

GUARD_S = 30.0
EVIL = "\x1b]0;owned\x07\x1b[31mred\x1b[0m\x07 \x9b2J[/bold]\ttab"


def environment(folder: Path, config: Path) -> Mapping[str, str]:
    """A clean one for one command."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "SWITCHGEAR_HOME": str(folder / "data"),
        "SWITCHGEAR_CONFIG": str(config),
        "TERM": "xterm",
        "COLUMNS": "100",
    }


async def seen_until(stream: asyncio.StreamReader, words: bytes) -> bytes:
    """What the process has written when ``words`` appear."""
    found = b""
    async with asyncio.timeout(GUARD_S):
        while words not in found:
            piece = await stream.read(4096)
            assert piece, found
            found += piece
    return found


async def interrupted(process: asyncio.subprocess.Process) -> bytes:
    """What the process still says after one Ctrl-C, which has to end it."""
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(GUARD_S):
        return await process.stderr.read()


@pytest.mark.req("serve.cli")
async def test_ctrl_c_at_the_prompt_leaves_at_once_while_stdin_stays_open(tmp_path: Path):
    """Exit 130 without a last Enter, without a stack, and without Python dying over a thread that reads."""
    async with ScriptedProvider() as provider:
        config = config_for(tmp_path, provider.url)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine.cli.main", "chat"),
            env=environment(tmp_path, config),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        said = await seen_until(process.stderr, b"ends the conversation")
        said += await interrupted(process)
        code = await process.wait()
    assert process.stdin is not None
    process.stdin.close()
    assert code == 130, said
    assert b"Traceback" not in said
    assert b"Fatal" not in said


@pytest.mark.req("serve.cli")
@pytest.mark.parametrize("args", [("agents", "--json"), ("agents",), ("ask", "hello"), ("chat",)])
async def test_a_reader_that_has_left_is_no_error(tmp_path: Path, args: tuple[str, ...]):
    """`switchgear … | true`: exit 0 and silence, whoever of us, Rich, Click and Python notices first."""
    reading, writing = os.pipe()
    os.close(reading)
    async with ScriptedProvider() as provider:
        provider.script(Play(reply="Here."))
        config = config_for(tmp_path, provider.url)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine.cli.main", *args),
            env=environment(tmp_path, config),
            stdin=asyncio.subprocess.PIPE,
            stdout=writing,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(writing)
        _, said = await process.communicate(b"hello\n")
    assert process.returncode == 0, said
    assert not any(word in said for word in (b"Traceback", b"BrokenPipe", b"Exception ignored", b"error"))


@pytest.mark.req("serve.cli")
async def test_what_a_model_writes_cannot_command_the_terminal_but_reaches_a_pipe_unchanged(tmp_path: Path):
    """Escape sequences and control characters go, tab and newline stay; a program gets every byte."""
    async with ScriptedProvider() as provider:
        provider.script(Play(stream=[*tokens(EVIL), *finish()]))
        config = config_for(tmp_path, provider.url)
        piped = await switchgear(tmp_path, "ask", "hello", "--no-cache", config=config)
        mine, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine.cli.main", "ask", "hello", "--no-cache"),
            env=environment(tmp_path, config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=theirs,
            stderr=asyncio.subprocess.PIPE,
        )
        os.close(theirs)
        _, said = await process.communicate()
    shown = os.read(mine, 4096)
    os.close(mine)
    assert piped.out == EVIL + "\n"
    assert process.returncode == 0, said
    assert shown == b"red 2J[/bold]\ttab\r\n"


@pytest.mark.req("serve.cli")
def test_somebody_elses_words_in_a_fall_back_are_shown_and_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Square brackets in a reason are no markup, and its escapes never reach the terminal."""
    decision = Decision(agent="sql", strategy="single", confidence=1.0, reason="asked for")
    answer = Answer(
        text="Here.",
        source="model",
        agent="general",
        decision=decision,
        attempts=(),
        usage=Usage(),
        cost=Money(),
        latency_ms=1.0,
        request_id="r",
        trace_id="t",
    )

    class Fake:
        """An engine whose first route failed with words of its own."""

        degraded: Mapping[str, str] = {}

        @classmethod
        @asynccontextmanager
        async def open(cls, *_: object, **__: object) -> AsyncGenerator[Fake]:
            """Nothing to start."""
            yield cls()

        async def stream(self, *_: object, **__: object) -> AsyncGenerator[Event]:
            """One fall back, one answer."""
            yield FellBack(
                from_agent="sql",
                from_model="m",
                to_agent="general",
                to_model="m",
                reason="[/nope] \x1b[31m[bold]down",
            )
            yield Token(text=answer.text)
            yield Final(answer=answer)

    monkeypatch.setattr("engine.app.Engine", Fake)
    with pytest.raises(SystemExit) as left:
        main(["ask", "hello"])
    shown = capsys.readouterr()
    assert left.value.code == 0, shown.err
    assert shown.out == "Here.\n"
    assert "sql/m → general/m  [/nope] [bold]down" in shown.err
    assert "\x1b" not in shown.err
