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

ROUNDS = 3
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
    """Seconds by name. ``import_s`` is ``from engine import Engine`` in a fresh interpreter."""
    del settings  # a fresh process reads its own
    samples: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="sg-") as folder:
            for name, seconds in _one_round(Path(folder)).items():
                samples.setdefault(name, []).append(seconds)
    figures = {name: statistics.median(values) for name, values in samples.items()}
    figures["rss_mb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return report("startup", figures)


def _one_round(folder: Path) -> dict[str, float]:
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
            raise RuntimeError(f"{name}: the answer came from {answer['source']}, not from {source}")
    return figures


def _wall_s(command: Sequence[str], folder: Path) -> float:
    began = time.perf_counter()
    _run(command, folder)
    return time.perf_counter() - began


def _run(command: Sequence[str], folder: Path) -> str:
    env = {**os.environ, "SWITCHGEAR_HOME": str(folder)}
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)  # noqa: S603 - our own
    return done.stdout
