"""``switchgear ask``: one question, streamed; how it came about on request."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options
from engine.cli.console import err, out, print_degraded, print_json, progress, write
from engine.cli.loop import run
from engine.cli.stdin import Stdin

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.types import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    profile: str | None
    config: Path | None
    user: str
    agent: str | None
    as_json: bool
    explain: bool
    no_cache: bool


def ask(
    question: Annotated[str, typer.Argument(help="What to ask; '-' reads standard input.")],
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    user: Annotated[str, typer.Option("--user", help="Who asks; answers are cached per user.")] = "local",
    agent: Annotated[str | None, typer.Option("--agent", help="Ask this agent instead of routing.")] = None,
    as_json: options.Json = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show how the answer came about.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor write the cache.")] = False,
    debug: options.Debug = False,
) -> None:
    """Ask one question and stream the answer."""
    _ = debug  # read by main() before Typer runs
    asked = _Asked(
        profile=profile,
        config=config,
        user=user,
        agent=agent,
        as_json=as_json,
        explain=explain,
        no_cache=no_cache,
    )
    run(_ask(question, asked))


async def _ask(question: str, asked: _Asked) -> None:
    from engine.app import Engine  # noqa: PLC0415 - keeps --help light
    from engine.cli.render import answer_json, explanation, summary  # noqa: PLC0415 - same

    async with Engine.open(asked.profile, config_file=asked.config) as engine:
        if question == "-":
            question = await Stdin().everything(engine.settings.request.prompt_bytes_max)
        answer = await _stream(engine, question, asked)
        degraded = engine.degraded
    if asked.as_json:
        print_json(answer_json(answer))
        return
    err().print(summary(answer))
    print_degraded(degraded)
    if asked.explain:
        out().print(explanation(answer))


async def _stream(engine: Engine, question: str, asked: _Asked) -> Answer:
    """Show tokens as they come (unless JSON was asked for) and return the final answer."""
    from engine.cli.render import fallback  # noqa: PLC0415 - keeps --help light
    from engine.errors import EngineClosed  # noqa: PLC0415 - same
    from engine.events import FellBack, Final, Routed, Token  # noqa: PLC0415 - same

    events = engine.stream(
        question, user_id=asked.user, agent=asked.agent, cache="off" if asked.no_cache else "default"
    )
    answer: Answer | None = None
    with progress() as bar:
        bar.add_task("thinking (the first question loads the models)", total=None)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Token) and not asked.as_json:
                    bar.stop()
                    write(event.text)
                elif isinstance(event, Routed):
                    bar.update(bar.task_ids[0], description=f"{event.decision.agent} is answering")
                elif isinstance(event, FellBack):
                    bar.console.print(fallback(event))
                elif isinstance(event, Final):
                    answer = event.answer
    if answer is None:
        raise EngineClosed("the stream ended without an answer")
    if not asked.as_json:
        write("\n")
    return answer
