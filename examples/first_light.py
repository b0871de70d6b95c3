"""What ``make run`` shows: three questions, three agents, one local model, and a repeat from the cache."""

from __future__ import annotations

import asyncio
import sys
import time

from rich.console import Console
from rich.markdown import Markdown
from rich.rule import Rule

from engine.app import Engine
from engine.cli.console import plain
from engine.cli.render import summary
from engine.types import CacheMode, Source

QUESTIONS = (
    "Write a Python function that sorts people by age",
    "What does SELECT COUNT(*) FROM orders GROUP BY country tell me?",
    "What makes a good cup of tea?",
)

ASKED: tuple[tuple[str, CacheMode], ...] = (*((q, "refresh") for q in QUESTIONS), (QUESTIONS[0], "default"))
"""Asked anew each time this runs; the repeat is what comes from the cache."""


async def main() -> int:
    """Ask, print, repeat the first question; 1 if anything was not as promised."""
    console = Console(highlight=False)
    started = time.monotonic()
    async with Engine.open("local") as engine:
        with console.status("loading MiniLM, LangGraph and the local model"):
            await engine.preload()
        console.print(f"[dim]ready in {time.monotonic() - started:.1f} s[/]")
        answers: list[tuple[Source, str]] = []
        for question, cache in ASKED:
            console.print(Rule(f"[bold]{question}[/]", align="left"))
            with console.status("thinking"):
                answer = await engine.execute(question, user_id="ada", max_tokens=160, cache=cache)
            console.print(Markdown(plain(answer.text)))
            console.print(summary(answer))
            answers.append((answer.source, answer.text))
    console.print(Rule())
    console.print(f"[dim]{len(answers)} answers in {time.monotonic() - started:.1f} s, no key, no server[/]")
    return 0 if as_promised(answers) else 1


def as_promised(answers: list[tuple[Source, str]]) -> bool:
    """Three answers by the model, with words in them, then the first again from the cache."""
    sources = [source for source, _ in answers]
    return sources == ["model"] * 3 + ["exact_cache"] and all(text.strip() for _, text in answers)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
