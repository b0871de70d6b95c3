"""Values of an embedded backend: what to run, how to watch it, and what was seen running.

Data only, and standard library only: the minder imports this module and must start in milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Probe = Literal["redis", "openai"]
Phase = Literal["waiting", "checking", "starting", "ready"]
State = Literal["starting", "ready", "restarting", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one start happens: what a backend may use to build its command."""

    folder: Path
    """0700; the backend's own, kept between runs."""
    socket: Path
    """Where to listen, for backends on a unix socket; short enough for the platform."""
    secret: str
    """Callers must show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How to run a backend in the foreground.

    ``config`` goes to its standard input: neither ``ps`` nor ``/proc/*/environ`` ever shows a secret.
    """

    argv: tuple[str, ...]
    config: str
    env: dict[str, str] = field(default_factory=dict[str, str])
    address: str | None = None
    """``None`` when the backend chooses a port itself and writes it to ``endpoint.json``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpec:
    """One kind of embedded backend, as data. Vector and graph hosts are two more of these."""

    name: str
    """Also the name of its folder, and what errors call it."""
    package: str
    """Import name of the wheel that contains it."""
    instead: str
    """What to do without it, for people: names the setting of the real service."""
    probe: Probe
    command: Callable[[Place], Command]
    verify: Callable[[Path], None]
    """Raises ``BackendFileError``; gets the backend's folder, where it may keep its verdict."""
    min_version: str | None = None
    snapshots: tuple[str, ...] = ()
    """Glob patterns in the data folder of what a clean stop leaves for the next start.

    Removed as soon as that start is well, so that a crash never brings back what was deleted since; and when the
    server dies of them.
    """
    restart_when_hung: bool = False
    """Only for backends that answer a probe promptly however busy they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a minder is told, as one JSON document. All times are seconds."""

    name: str
    folder: str
    argv: tuple[str, ...]
    config: str
    env: dict[str, str]
    address: str | None
    secret: str
    probe: Probe
    min_version: str | None
    snapshots: tuple[str, ...]
    lock_fd: int
    """Inherited and already held: whoever holds it is the minder of this folder."""
    start_s: float
    stop_s: float
    probe_s: float
    hung_s: float | None
    backoff_s: float
    backoff_s_max: float

    def to_json(self) -> bytes:
        """One document, ASCII: odd bytes in paths survive as lone surrogates."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Plan:
        """The inverse of ``to_json``."""
        fields: dict[str, Any] = json.loads(data)
        for name in ("argv", "snapshots"):
            fields[name] = tuple(fields[name])
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a minder publishes in ``ready.json`` about its child. Trusted only while the minder's lock is held."""

    state: State
    address: str
    secret: str
    version: str
    minder_pid: int
    pid: int
    """Of the server itself."""
    host: str
    started_at_s: float
    """Unix time, for people."""
    restarts: int
    detail: str = ""
    """Why it is not ready."""

    def to_json(self) -> bytes:
        """One document."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Running:
        """The inverse of ``to_json``; raises ``ValueError`` for anything else."""
        fields = json.loads(data)
        try:
            return cls(**fields)
        except TypeError as exc:
            raise ValueError(str(exc)) from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an attachment is, for a progress bar."""

    backend: str
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendStatus:
    """One backend of a data folder as ``switchgear doctor`` shows it."""

    name: str
    state: State
    address: str | None = None
    version: str | None = None
    pid: int | None = None
    minder_pid: int | None = None
    uptime_s: float | None = None
    restarts: int = 0
    detail: str = ""
