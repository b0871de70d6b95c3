"""``switchgear chat``: a conversation in the terminal. The history is sent along each time; nothing is stored."""

from __future__ import annotations

import sys
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from configs.errors import SwitchgearError
from engine.cli import options
from engine.cli.console import err, print_degraded, print_error, progress, write
from engine.cli.loop import run
from engine.cli.stdin import Stdin

if TYPE_CHECKING:
    from configs.kernel import Message
    from engine.app import Engine


def chat(
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    user: Annotated[str, typer.Option("--user", help="Who talks.")] = "local",
    debug: options.Debug = False,
) -> None:
    """Talk until an empty line, /quit or end of input."""
    _ = debug
    run(_chat(profile, config, user))


async def _chat(profile: str | None, config: options.ConfigFile, user: str) -> None:
    from configs.kernel import Message  # noqa: PLC0415 - keeps --help light
    from engine.app import Engine  # noqa: PLC0415 - same

    async with Engine.open(profile, config_file=config) as engine:
        with progress() as bar:
            task = bar.add_task("loading", total=None)
            await engine.preload(lambda step: bar.update(task, description=step))
        print_degraded(engine.degraded)
        err().print("[dim]an empty line or /quit ends the conversation[/]")
        history: list[Message] = []
        stdin = Stdin()
        while True:
            try:
                line = await _next_line(stdin, engine.settings.request.prompt_bytes_max)
                if not line:
                    return
                text = await _turn(engine, [*history, Message("user", line)], user)
            except SwitchgearError as exc:  # one failed turn does not end the conversation
                print_error(exc.code, exc.message, exc.hint, as_json=False)
                continue
            history += (Message("user", line), Message("assistant", text))


async def _next_line(stdin: Stdin, limit: int) -> str:
    """The next line, or "" when the person is done."""
    if sys.stdin.isatty():
        err().print("[bold cyan]you[/] ", end="")
    line = (await stdin.line(limit)).strip()
    return "" if line in ("/quit", "/exit") else line


async def _turn(engine: Engine, history: list[Message], user: str) -> str:
    from engine.cli.render import summary  # noqa: PLC0415 - keeps --help light
    from engine.events import Final, Token  # noqa: PLC0415 - same

    text = ""
    async with aclosing(engine.stream(history, user_id=user)) as events:
        async for event in events:
            if isinstance(event, Token):
                write(event.text)
            elif isinstance(event, Final):
                write("\n")
                err().print(summary(event.answer))
                text = event.answer.text
    return text
