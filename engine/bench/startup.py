"""``bench startup``: whole processes, as a person at a terminal waits for them.

Every figure is the median over fresh processes on a fresh data folder. ``ask_cold_s`` includes loading MiniLM,
LangGraph and the local model; ``ask_cached_s`` is the same question again.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from configs.settings import Settings
from engine.bench.report import Report, report
from engine.errors import BenchFailed

ROUNDS = 3
RSS_NOTE = "rss_mb is the largest single child process; Redis and the model host run beside it and are not in it"
QUESTION = "What makes a good cup of tea?"
OPEN = (
    "import asyncio, time, sys\n"
    "from engine.app import Engine\n"
    "async def main():\n"
    "    began = time.perf_counter()\n"
    "    async with Engine.open('local', preload=sys.argv[1] == 'local'):\n"
    "        print(time.perf_counter() - began)\n"
    "asyncio.run(main())\n"
)


def run(settings: Settings) -> Report:
    """Seconds by name; ``import_s`` is ``from engine import Engine`` in a fresh interpreter.

    Raises ``BenchFailed``.
    """
    del settings  # a fresh process reads its own
    samples: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="sg-") as folder:
            for name, seconds in one_round(Path(folder)).items():
                samples.setdefault(name, []).append(seconds)
    figures = {name: statistics.median(values) for name, values in samples.items()}
    figures["rss_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return report("startup", figures, notes=(RSS_NOTE,))


def one_round(folder: Path) -> dict[str, float]:
    """Seconds of each process on one data folder. Raises ``BenchFailed`` when one of them fails."""
    ask = (sys.executable, "-m", "engine.cli.main", "ask", QUESTION, "--json")
    figures = {
        "help_s": _wall_s((sys.executable, "-m", "engine.cli.main", "--help"), folder),
        "import_s": _wall_s((sys.executable, "-c", "from engine import Engine"), folder),
        "open_no_model_s": float(_run((sys.executable, "-c", OPEN, "bare"), folder)),
        "open_local_s": float(_run((sys.executable, "-c", OPEN, "local"), folder)),
    }
    for name, source in (("ask_cold_s", "model"), ("ask_cached_s", "exact_cache")):
        began = time.perf_counter()
        answer = json.loads(_run(ask, folder))
        figures[name] = time.perf_counter() - began
        if answer["source"] != source:
            raise BenchFailed(f"{name}: the answer came from {answer['source']}, not from {source}")
    return figures


def _wall_s(command: Sequence[str], folder: Path) -> float:
    began = time.perf_counter()
    _run(command, folder)
    return time.perf_counter() - began


def _run(command: Sequence[str], folder: Path) -> str:
    env = {**os.environ, "SWITCHGEAR_HOME": str(folder)}
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)  # noqa: S603 - our own
    if done.returncode != 0:
        raise BenchFailed(
            f"a process it started ended with exit code {done.returncode}: {_said(done.stdout, done.stderr)}",
            hint="`switchgear doctor` shows what is reachable",
        )
    return done.stdout


def _said(out: str, err: str) -> str:
    """The reason a process gave: in its JSON document if it printed one, else in the last line of stderr."""
    try:
        return str(json.loads(out)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return (err.strip() or "it said nothing").splitlines()[-1]
