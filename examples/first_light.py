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
from engine.types import Answer, CacheMode, Source

QUESTIONS = (
    "Write a Python function that reverses a string",
    "What does SELECT COUNT(*) FROM orders GROUP BY country tell me?",
    "What makes a good cup of tea?",
)
MAX_TOKENS = 240
"""Enough for a small model to come to an end: an answer that is cut is not stored."""


async def main() -> int:
    """Ask, print, repeat a question; 1 if anything was not as promised."""
    console = Console(highlight=False)
    started = time.monotonic()
    async with Engine.open("local") as engine:
        with console.status("loading MiniLM, LangGraph and the local model"):
            await engine.preload()
        console.print(f"[dim]ready in {time.monotonic() - started:.1f} s[/]")
        answers = [await _ask(engine, console, question, "refresh") for question in QUESTIONS]  # anew each time
        whole = next(
            (q for q, answer in zip(QUESTIONS, answers, strict=True) if not answer.truncated), QUESTIONS[0]
        )
        answers.append(await _ask(engine, console, whole, "default"))
    console.print(Rule())
    console.print(f"[dim]{len(answers)} answers in {time.monotonic() - started:.1f} s, no key, no server[/]")
    return 0 if as_promised([(answer.source, answer.text) for answer in answers]) else 1


async def _ask(engine: Engine, console: Console, question: str, cache: CacheMode) -> Answer:
    console.print(Rule(f"[bold]{question}[/]", align="left"))
    with console.status("thinking"):
        answer = await engine.execute(question, user_id="ada", max_tokens=MAX_TOKENS, temperature=0.0, cache=cache)
    console.print(Markdown(plain(answer.text)))
    console.print(summary(answer))
    return answer


def as_promised(answers: list[tuple[Source, str]]) -> bool:
    """Three answers by the model, with words in them, then one of them again from the cache."""
    sources = [source for source, _ in answers]
    return sources == ["model"] * 3 + ["exact_cache"] and all(text.strip() for _, text in answers)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
