"""Ask a running server whether it is well. Blocking, standard library only: minders and starters share it.

An answer of any kind proves life; only ``ok`` means ready. Redis that loads its file, or runs a long script, is
alive and not ready.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import unquote

from memory.embedded.values import Probe

REPLY_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Health:
    """What the server said."""

    ok: bool
    detail: str = ""
    version: str = ""
    """Empty where the protocol has none."""


def ask(probe: Probe, address: str, secret: str, timeout_s: float) -> Health | None:
    """How the server at ``address`` is; ``None`` when nobody answers there within ``timeout_s`` per step."""
    try:
        if probe == "redis":
            return _ask_redis(unquote(address.removeprefix("unix://")), secret, timeout_s)
        return _ask_openai(address, secret, timeout_s)
    except (OSError, EOFError, ValueError):  # ValueError: whatever answers is not what we ask
        return None


def keeps_strangers_out(probe: Probe, address: str, timeout_s: float) -> bool:
    """Whether nothing goes without the secret: a server that would serve anyone on the machine must not run."""
    health = ask(probe, address, "", timeout_s)
    return health is not None and not health.ok


def _ask_redis(path: str, secret: str, timeout_s: float) -> Health:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout_s)
        sock.connect(path)
        login = f"AUTH {secret}\r\n" if secret else ""
        sock.sendall(f"{login}PING\r\nINFO server\r\n".encode())
        with sock.makefile("rb") as reply:
            auth = _line(reply.readline(REPLY_BYTES_MAX)) if secret else ""
            ping, size = _line(reply.readline(REPLY_BYTES_MAX)), _line(reply.readline(REPLY_BYTES_MAX))
            info = reply.read(int(size[1:])).decode() if size.startswith("$") else ""
    fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    refused = next((line[1:] for line in (auth, ping) if line.startswith("-")), "")
    return Health(ok=not refused, detail=refused, version=fields.get("redis_version", ""))


def _ask_openai(address: str, secret: str, timeout_s: float) -> Health:
    host, _, rest = address.removeprefix("http://").partition(":")
    port, _, base = rest.partition("/")
    lines = (
        f"GET /{base}/models HTTP/1.1",
        f"Host: {host}",
        f"Authorization: Bearer {secret}",
        "Connection: close",
    )
    with socket.create_connection((host, int(port)), timeout=timeout_s) as sock:
        sock.sendall("\r\n".join((*lines, "", "")).encode())
        with sock.makefile("rb") as reply:
            status = _line(reply.readline(REPLY_BYTES_MAX))
    return Health(ok=status.split(" ")[1:2] == ["200"], detail=status)


def _line(raw: bytes) -> str:
    if not raw.endswith(b"\n"):
        raise EOFError("the server hung up")
    return raw.decode(errors="replace").strip()
