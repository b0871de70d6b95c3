"""The twin of ``engine.app`` for scripts and notebooks: the same calls without ``await``.

An engine lives on one event loop; this one runs on a thread of its own, so it works inside a notebook whose own
loop is already running.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, Unpack

from configs.errors import SwitchgearError
from configs.settings import Settings
from engine.app import Engine
from engine.ask import AskOptions, Prompt
from engine.errors import EngineClosed
from engine.ticket import Ticket
from engine.types import Answer, Decision

T = TypeVar("T")


class _Loop:
    """An event loop on a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="switchgear", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise EngineClosed("this engine has been closed", hint="ask inside `with SyncEngine.open(…)`")
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except KeyboardInterrupt:
            waiting.cancel()
            raise

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class SyncEngine:
    """A running engine whose calls block. Get one from ``SyncEngine.open``; usable from any thread."""

    def __init__(self, engine: Engine, loop: _Loop) -> None:
        self.engine = engine
        self._loop = loop

    @classmethod
    @contextmanager
    def open(
        cls, profile: str | None = None, *, config_file: Path | None = None, settings: Settings | None = None
    ) -> Generator[SyncEngine]:
        """Start an engine on a thread of its own and stop it at the end of the block."""
        loop = _Loop()
        try:
            opening = Engine.open(profile, config_file=config_file, settings=settings)
            engine = loop.run(opening.__aenter__())
            try:
                yield cls(engine, loop)
            finally:
                loop.run(opening.__aexit__(None, None, None))
        finally:
            loop.close()

    def execute(self, prompt: Prompt, **options: Unpack[AskOptions]) -> Answer:
        """``Engine.execute``, waited for."""
        return self._loop.run(self.engine.execute(prompt, **options))

    def route(self, prompt: Prompt, **options: Unpack[AskOptions]) -> Decision:
        """``Engine.route``, waited for."""
        return self._loop.run(self.engine.route(prompt, **options))

    def enqueue(self, prompt: Prompt, **options: Unpack[AskOptions]) -> Ticket:
        """``Engine.enqueue``, waited for."""
        return self._loop.run(self.engine.enqueue(prompt, **options))

    def wait(self, ticket_id: str, timeout_s: float | None = None) -> Ticket:
        """The ticket once it has ended, or as it stands after ``timeout_s``. Raises ``UnknownTicket``."""
        return self._loop.run(self.engine.desk.wait(ticket_id, timeout_s))

    def execute_batch(
        self, prompts: Sequence[Prompt], *, concurrency: int | None = None, **options: Unpack[AskOptions]
    ) -> list[Answer | SwitchgearError]:
        """``Engine.execute_batch``, waited for."""
        return self._loop.run(self.engine.execute_batch(prompts, concurrency=concurrency, **options))


def execute_sync(prompt: Prompt, *, profile: str | None = None, **options: Unpack[AskOptions]) -> Answer:
    """Open an engine, ask once, close it. For one question; for more, keep a ``SyncEngine`` open."""
    with SyncEngine.open(profile) as engine:
        return engine.execute(prompt, **options)
