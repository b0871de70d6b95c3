"""What all replicas know of the agents that were registered at run time (route.discover). Values and one Protocol.

``engine/registry/redis_registry.py`` implements it over ``redis.state``, ``engine/registry/inmemory.py`` is its
twin; both pass ``tests/contract/test_registry_contract.py``. Which agents a replica ends up with is decided in
``engine/registry/sync.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

REMOVED: Final = b""
"""Body of an entry that takes an agent of the configuration away, on every replica and for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The entry stands; it may have stood there already, with the same body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Not stored: the name has another entry, or Python handlers on other replicas."""

    body: bytes | None
    """Of the entry; ``None``: handlers have the name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """Not stored: there are ``registry.entries_max`` entries."""

    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How far a replica has read."""

    epoch: str = ""
    """Names one life of the store; another one after it lost its data."""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """A replica, and the names of the Python handlers that it runs."""

    replica: str
    handlers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What happened since a replica last read."""

    seen: Seen
    whole: bool
    """``entries`` is everything there is, not what changed: what is not in it is gone."""
    entries: Mapping[str, bytes | None]
    """Body by name; ``None``: the entry is gone."""
    elsewhere: Mapping[str, str]
    """Handlers of other replicas: name → one replica that runs it. Always complete."""


class Registry(Protocol):
    """The shared store. Each method is one atomic step (X1); raises ``BackendUnavailable`` when that is gone."""

    async def put(self, name: str, body: bytes, *, replica: str, replace: bool) -> Stored | Taken | Full:
        """Store an entry under ``name`` if nobody else has it, or in any case with ``replace``."""
        ...

    async def remove(self, name: str, *, mark: bool) -> None:
        """Take the entry away; with ``mark`` leave ``REMOVED`` in its place."""
        ...

    async def changes(self, seen: Seen, here: Here) -> Changes:
        """What is new since ``seen``. Others know of the handlers ``here`` for ``registry.handler_s`` from now."""
        ...

    async def announced(self, timeout_s: float) -> bool:
        """Wait until somebody changed something, at most so long; whether somebody did. May miss a change."""
        ...

    async def leave(self, replica: str) -> None:
        """Forget the handlers of a replica that stops, and stop listening."""
        ...
