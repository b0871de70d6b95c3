"""Whole engines for flow tests: shipped agents, scripted models, no key and no embedded model."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.load import load_settings
from configs.settings import Settings

ROLES = ("default", "general", "code", "research", "data")


async def engine_settings(data_dir: Path, urls: Mapping[str, str], **sections: Any) -> Settings:
    """The local profile whose every chain is the models of ``urls`` (id → base URL), in that order."""
    overrides: dict[str, Any] = {
        "data_dir": str(data_dir),
        "providers": {f"p-{name}": {"base_url": url, "local": True} for name, url in urls.items()},
        "models": {name: {"provider": f"p-{name}", "model": name} for name in urls},
        "roles": {role: list(urls) for role in ROLES},
        "shield": {"backoff_s": 0.001, "backoff_s_max": 0.002},
    }
    return await asyncio.to_thread(load_settings, "local", environ={}, overrides=_merged(overrides, sections))


def closed_port() -> str:
    """A base URL at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def _merged(base: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in extra.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
