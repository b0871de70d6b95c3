"""The registry in Redis: ``Registry`` over ``redis.state``.

Every method but ``announced`` is one call of ``registry.lua``; nothing is decided here.
``engine/registry/inmemory.py`` is the twin. Redis' own exceptions end here, as ``BackendUnavailable``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Final, cast

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import OutOfMemoryError, RedisError

from configs.routing import RegistrySettings
from engine.registry.contract import Changes, Full, Here, Seen, Stored, Taken
from memory.errors import BackendUnavailable

SCRIPT = Path(__file__).with_name("registry.lua").read_text()
# A Redis that is full refuses a put before its first write; reading and what only takes away may still go on.
BOUNDED, READING = "#!lua\n", "#!lua flags=allow-oom\n"
PREFIX: Final = "sg:{agents}:"
CHANNEL: Final = f"{PREFIX}changed"


class RedisRegistry:
    """The registry as one replica reaches it. The client's own retries must be off (X3): all is safe to repeat."""

    def __init__(
        self, client: Redis, settings: RegistrySettings, *, missed: Callable[[], None] | None = None
    ) -> None:
        """``missed`` is called when Redis was not there, for whoever looks after it."""
        self._client = client
        self._missed = missed
        self._put = client.register_script(BOUNDED + SCRIPT)
        self._script = client.register_script(READING + SCRIPT)
        self._head = (settings.entries_max, round(settings.handler_s * 1000), round(settings.keep_s * 1000))
        self._heard: PubSub | None = None

    async def put(self, name: str, body: bytes, *, replica: str, replace: bool) -> Stored | Taken | Full:
        """Store an entry; see ``Registry``."""
        kind, *found = cast("Sequence[bytes | int]", await self._call("put", name, body, replica, int(replace)))
        match kind:
            case b"taken":
                return Taken(body=cast("bytes", found[0]) if found else None)
            case b"full":
                return Full(entries=int(found[0]))
            case _:
                return Stored()

    async def remove(self, name: str, *, mark: bool) -> None:
        """Take it away."""
        await self._call("remove", name, int(mark))

    async def changes(self, seen: Seen, here: Here) -> Changes:
        """What is new, and where handlers run."""
        found = await self._call(
            "changes", seen.epoch, seen.version, uuid.uuid4().hex, here.replica, *here.handlers
        )
        epoch, version, whole, sizes, text, homes = cast(
            "tuple[bytes, int, int, bytes, bytes, Sequence[bytes]]", found
        )
        parts = _parts(sizes, text)
        return Changes(
            seen=Seen(epoch=epoch.decode(), version=version),
            whole=whole == 1,
            entries={_name(name): _body(part) for name, part in zip(parts[::2], parts[1::2], strict=True)},
            elsewhere={_name(n): r.decode() for n, r in zip(homes[::2], homes[1::2], strict=True)},
        )

    async def announced(self, timeout_s: float) -> bool:
        """Wait for the channel."""
        try:
            if self._heard is None:
                heard = self._heard = self._client.pubsub(ignore_subscribe_messages=True)
                await heard.subscribe(CHANNEL)
            return await self._heard.get_message(timeout=timeout_s) is not None
        except (RedisError, OSError) as exc:
            await self._deaf()
            raise self._gone(exc) from exc

    async def leave(self, replica: str) -> None:
        """Forget its handlers, stop listening."""
        await self._deaf()
        await self._call("leave", replica)

    async def _deaf(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            with suppress(RedisError, OSError):  # it is thrown away in any case
                await heard.aclose()

    async def _call(self, operation: str, *args: str | int | bytes) -> object:
        try:
            script = self._put if operation == "put" else self._script
            return await script(keys=[PREFIX], args=[operation, *self._head, *args])
        except (RedisError, OSError) as exc:
            raise self._gone(exc) from exc

    def _gone(self, exc: Exception) -> BackendUnavailable:
        if self._missed is not None and not isinstance(exc, OutOfMemoryError):
            self._missed()
        return BackendUnavailable("redis.state", f"{type(exc).__name__} while talking to the registry")


def _parts(sizes: bytes, text: bytes) -> list[bytes]:
    """``text`` in pieces of these lengths."""
    ends = list(accumulate(map(int, sizes.split()), initial=0))
    return [text[start:end] for start, end in pairwise(ends)]


def _name(stored: bytes) -> str:
    """One that somebody else wrote need not be text; no agent has such a name, so it is left out by it."""
    return stored.decode(errors="replace")


def _body(part: bytes) -> bytes | None:
    return part[1:] if part.startswith(b"1") else None
