"""What ``make run`` shows: three questions, three agents, one local model, and a repeat from the cache."""

from __future__ import annotations

import asyncio
import sys
import time

from rich.console import Console
from rich.markdown import Markdown
from rich.rule import Rule

from engine.app import Engine
from engine.cli.render import summary

QUESTIONS = (
    "Write a Python function that reverses a string",
    "What does SELECT COUNT(*) FROM orders GROUP BY country tell me?",
    "What makes a good cup of tea?",
)


async def main() -> int:
    """Ask, print, repeat the first question; 1 if anything was not as promised."""
    console = Console(highlight=False)
    started = time.monotonic()
    async with Engine.open("local") as engine:
        with console.status("loading MiniLM, LangGraph and the local model"):
            await engine.preload()
        console.print(f"[dim]ready in {time.monotonic() - started:.1f} s[/]")
        sources: list[str] = []
        for question in (*QUESTIONS, QUESTIONS[0]):
            console.print(Rule(f"[bold]{question}[/]", align="left"))
            with console.status("thinking"):
                answer = await engine.execute(question, user_id="ada", max_tokens=160)
            console.print(Markdown(answer.text))
            console.print(summary(answer))
            sources.append(answer.source)
    console.print(Rule())
    console.print(f"[dim]{len(sources)} answers in {time.monotonic() - started:.1f} s, no key, no server[/]")
    return 0 if sources[-1] == "exact_cache" else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
