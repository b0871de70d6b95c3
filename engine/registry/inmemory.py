"""The registry in a dict, for tests: the twin of ``redis_registry.py``, shared by all replicas that hold it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from configs.routing import RegistrySettings
from engine.registry.contract import REMOVED, Changes, Full, Here, Seen, Stored, Taken


class InMemoryRegistry:
    """``Registry`` for replicas on one event loop."""

    def __init__(self, settings: RegistrySettings, *, now_s: Callable[[], float]) -> None:
        self._settings = settings
        self._now_s = now_s
        self._listening: set[asyncio.Event] = set()
        self.lose()

    def lose(self) -> None:
        """Forget everything, as a Redis without persistence does when it is restarted."""
        self._epoch = uuid.uuid4().hex
        self._version = 0
        self._entries: dict[str, bytes] = {}
        self._log: dict[str, int] = {}
        self._homes: dict[tuple[str, str], float] = {}

    async def put(self, name: str, body: bytes, *, replica: str, replace: bool) -> Stored | Taken | Full:
        """Store an entry; see ``Registry``."""
        stands = self._entries.get(name)
        if stands == body:
            return Stored()
        if not replace and stands:
            return Taken(body=stands)
        if not replace and any(n == name and r != replica for n, r in self._living()):
            return Taken(body=None)
        if stands is None and len(self._entries) >= self._settings.entries_max:
            return Full(entries=len(self._entries))
        self._entries[name] = body
        self._changed(name)
        return Stored()

    async def remove(self, name: str, *, mark: bool) -> None:
        """Take it away."""
        stands = self._entries.get(name)
        if mark and stands != REMOVED:
            self._entries[name] = REMOVED
            self._changed(name)
        elif not mark and stands is not None:
            del self._entries[name]
            self._changed(name)

    async def changes(self, seen: Seen, here: Here) -> Changes:
        """What is new, and where handlers run."""
        before = self._living()
        others = {(n, r): end for (n, r), end in before.items() if r != here.replica}
        lease_end_s = self._now_s() + self._settings.handler_s
        self._homes = others | {(name, here.replica): lease_end_s for name in here.handlers}
        if self._homes.keys() != before.keys():
            self._tell()
        whole = seen.epoch != self._epoch or seen.version > self._version
        names = list(self._entries) if whole else [n for n, v in self._log.items() if v > seen.version]
        return Changes(
            seen=Seen(epoch=self._epoch, version=self._version),
            whole=whole,
            entries={name: self._entries.get(name) for name in names},
            elsewhere=dict(sorted(others)),
        )

    async def announced(self, timeout_s: float) -> bool:
        """Wait for the next change."""
        told = asyncio.Event()
        self._listening.add(told)
        try:
            async with asyncio.timeout(timeout_s):
                await told.wait()
        except TimeoutError:
            return False
        finally:
            self._listening.discard(told)
        return True

    async def leave(self, replica: str) -> None:
        """Forget its handlers."""
        before = self._living()
        self._homes = {(n, r): end for (n, r), end in before.items() if r != replica}
        if self._homes.keys() != before.keys():
            self._tell()

    def _living(self) -> dict[tuple[str, str], float]:
        return {home: end for home, end in self._homes.items() if end > self._now_s()}

    def _changed(self, name: str) -> None:
        self._version += 1
        self._log[name] = self._version
        self._tell()

    def _tell(self) -> None:
        for told in self._listening:
            told.set()
