"""Adapters know libraries by name: neither opening an engine nor reading an exception loads one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = ("neo4j", "qdrant_client", "grpc", "mcp", "mcp_types")
OPEN = """
import asyncio, pathlib, sys
from engine import Engine
from tests.support.engines import closed_port, engine_settings

async def main():
    nobody = closed_port().replace("http", "redis").removesuffix("/v1")
    redis = {{"cache_url": nobody, "state_url": nobody}}
    settings = await engine_settings(pathlib.Path({folder!r}), {{"m": closed_port()}}, redis=redis)
    async with Engine.open(settings=settings) as engine:
        await engine.breakers(("store:redis.cache",))

asyncio.run(main())
"""
READ = """
import sys
import mcp_tools.translate, memory.translate
assert memory.translate.failure_of(ValueError()) is None
assert mcp_tools.translate.failure_of(ConnectionResetError()) is not None
"""


def loaded_after(code: str) -> str:
    """Which of the heavy libraries a fresh interpreter holds after ``code``."""
    shown = f"\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", code + shown], cwd=ROOT, capture_output=True, text=True, timeout=50, check=True
    )
    return ran.stdout.splitlines()[-1]


def test_an_open_engine_has_loaded_no_client_of_stores_it_does_not_use(tmp_path: Path) -> None:
    """They cost hundreds of milliseconds and tens of megabytes."""
    assert loaded_after(OPEN.format(folder=str(tmp_path))) == "[]"


def test_reading_an_exception_loads_no_library() -> None:
    """Libraries are recognised by the classes of what was raised."""
    assert loaded_after(READ) == "[]"
