"""``SplitState`` in ``redis.state``: one hash per experiment, every method one step of ``splits.lua``.

A step whose reply is lost is not sent again by itself (X3): it may have counted, and an experiment of hundreds of
requests can do without a second's worth of them. A damaged field counts as nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Final, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from configs.splits import Experiment, SplitSettings
from engine.splits.contract import NO_STATS, ArmStats, Halt, Moments, Standing
from memory.errors import BackendUnavailable

PREFIX: Final = "sg:{split}:1:"
SCRIPT: Final = "#!lua\n" + resources.files("engine.splits").joinpath("splits.lua").read_text(encoding="utf-8")
"""Read when this module is, since reading a file would hold up an event loop."""
COUNTS: Final = ("requests", "errors")
SUMS: Final = ("cost_micros", "latency_ms", "quality")
PARTS: Final = ("count", "total", "squares")


class RedisSplits:
    """Over one client, whose own retries must be off."""

    def __init__(self, client: Redis, settings: SplitSettings) -> None:
        self._script = client.register_script(SCRIPT)
        self._timeout_s = settings.timeout_s

    async def add(self, experiment: Experiment, counts: Mapping[str, ArmStats]) -> Standing:
        """Count and look."""
        changes = [pair for arm, stats in counts.items() for pair in _numbers(arm, stats).items() if pair[1]]
        flat = [part for name, value in changes for part in (name, repr(value))]
        reply = await self._call(experiment, "add", *flat)
        return _standing(cast("list[bytes]", reply))

    async def halt(self, experiment: Experiment, arm: str, reason: str) -> bool:
        """Take its traffic."""
        return await self._call(experiment, "halt", arm, json.dumps(reason)) == 1

    async def resume(self, experiment: Experiment, arm: str) -> bool:
        """Give it back."""
        return await self._call(experiment, "resume", arm) == 1

    async def _call(self, experiment: Experiment, operation: str, *args: str) -> object:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._script(keys=[key_of(experiment)], args=[operation, *args])
        except (RedisError, OSError) as exc:  # a TimeoutError is an OSError
            problem = f"{type(exc).__name__} while sharing an experiment"
            raise BackendUnavailable("redis.state", problem) from exc


def key_of(experiment: Experiment) -> str:
    """Key of its hash; the salt is of any text, so only its digest enters."""
    salt = hashlib.sha256(experiment.salt.encode()).hexdigest()[:16]
    return f"{PREFIX}{experiment.name}:{salt}"


def _numbers(arm: str, stats: ArmStats) -> dict[str, float]:
    numbers: dict[str, float] = {f"{arm}|{name}": getattr(stats, name) for name in COUNTS}
    for name in SUMS:
        moments: Moments = getattr(stats, name)
        numbers |= {f"{arm}|{name}.{part}": getattr(moments, part) for part in PARTS}
    return numbers


def _standing(reply: list[bytes]) -> Standing:
    words = [word.decode(errors="replace") for word in reply]
    now_s, fields = float(words[0]), dict(zip(words[1::2], words[2::2], strict=True))
    arms = {name.partition("|")[0] for name in fields if "|" in name}
    halts = {arm: _halt(fields[f"{arm}|halt"]) for arm in arms if f"{arm}|halt" in fields}
    stats = {arm: _stats(arm, fields) for arm in arms}
    return Standing(
        age_s=max(0.0, now_s - _number(fields.get("began", ""), now_s)),
        stats={arm: found for arm, found in stats.items() if found != NO_STATS},
        halted=halts,
    )


def _stats(arm: str, fields: Mapping[str, str]) -> ArmStats:
    def number(name: str) -> float:
        return _number(fields.get(f"{arm}|{name}", ""), 0.0)

    def moments(name: str) -> Moments:
        return Moments(
            count=int(number(f"{name}.count")),
            total=number(f"{name}.total"),
            squares=number(f"{name}.squares"),
        )

    return ArmStats(
        requests=int(number("requests")),
        errors=int(number("errors")),
        cost_micros=moments("cost_micros"),
        latency_ms=moments("latency_ms"),
        quality=moments("quality"),
    )


def _halt(text: str) -> Halt:
    """One that cannot be read is still a halt."""
    at_s, _, reason = text.partition(" ")
    try:
        return Halt(reason=str(json.loads(reason)), at_s=float(at_s))
    except ValueError:
        return Halt(reason="unknown: its record is damaged", at_s=0.0)


def _number(text: str, otherwise: float) -> float:
    try:
        value = float(text)
    except ValueError:
        return otherwise
    return value if math.isfinite(value) else otherwise
