"""Averages that all replicas share, in one hash of ``redis.state`` (route.learn, docs/decisions/0017).

A whole request's results are one step of ``learn.lua``: atomic, by the server's time, one key, hence one slot of a
cluster. A message is never sent twice, so nothing counts twice; one whose reply is lost may have counted. Not the
request path: ``learned.py`` keeps a copy for that.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from typing import Final, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from configs.routing import LearnSettings
from engine.learning.averages import marks
from engine.learning.contract import RouteResult, Standing, Tally
from engine.learning.inmemory import averages_of
from engine.types import Averages
from memory.errors import BackendUnavailable

SCHEMA: Final = 1
KEY: Final = f"sg:{{learn}}:{SCHEMA}"
SERVER_CLOCK: Final = """
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
"""
BODY: Final = resources.files("engine.learning").joinpath("learn.lua").read_text(encoding="utf-8")
"""Read when this module is, since reading a file would hold up an event loop."""
RULES: Final = (*("prior", "half_life_s", "alpha", "probe_alpha", "context_alpha", "kept_s", "subjects_max"),)
FIELDS: Final = 8


def lua_text(clock: str) -> str:
    """The whole script. Without a shebang Redis would begin a step that it cannot finish, out of memory say."""
    return f"#!lua\n{clock}\n{BODY}"


def rules_json(rules: LearnSettings) -> str:
    """What the script needs of them."""
    return json.dumps({name: getattr(rules, name) for name in RULES} | asdict(marks(rules)))


def results_json(results: Sequence[RouteResult]) -> str:
    """As the script takes them; ``false`` for what is not known."""
    rows = [
        (
            r.subject,
            False if r.ok is None else int(r.ok),
            _number(r.latency_ms),
            _number(r.cost_micros),
            _number(r.quality),
            r.context,
        )
        for r in results
    ]
    return json.dumps(rows)


def standing_of(reply: Sequence[bytes]) -> Standing:
    """A reply of the script. Raises ``ValueError`` for what is none."""
    tallies: dict[str, Tally] = {}
    for subject, line in zip(reply[1::2], reply[2::2], strict=True):
        if line != b"-":
            tallies[subject.decode()] = _tally(line.decode().split())
    return Standing(now_s=float(reply[0]), tallies=tallies)


class RedisOutcomes:
    """``Outcomes`` on one Redis, whose client must not retry by itself."""

    def __init__(
        self, client: Redis, rules: LearnSettings, *, timeout_s: float, key: str = KEY, clock: str = SERVER_CLOCK
    ) -> None:
        """``clock`` is Lua that defines ``clock()``; only tests have another than the server's."""
        self._client = client
        self._rules = rules
        self._timeout_s = timeout_s
        self._key = key
        self._text = lua_text(clock)
        self._rules_json = rules_json(rules)
        # Redis names scripts so; nothing here is secret.
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def record(self, results: Sequence[RouteResult]) -> Standing:
        """Count results, all of them or none."""
        return await self._guarded(results, ())

    async def look(self, subjects: Sequence[str]) -> Standing:
        """What is kept of ``subjects``."""
        return await self._guarded((), subjects)

    async def averages(self, subjects: Sequence[str]) -> Mapping[str, Averages]:
        """How ``subjects`` are doing now."""
        return averages_of(await self.look(subjects), self._rules)

    async def _guarded(self, results: Sequence[RouteResult], subjects: Sequence[str]) -> Standing:
        try:
            async with asyncio.timeout(self._timeout_s):
                return standing_of(await self._run(results, subjects))
        except TimeoutError as exc:
            raise BackendUnavailable("redis.state", f"no reply within {self._timeout_s:g} s") from exc
        except (RedisError, OSError, ValueError, IndexError) as exc:
            raise BackendUnavailable("redis.state", f"{type(exc).__name__} while sharing averages") from exc

    async def _run(self, results: Sequence[RouteResult], subjects: Sequence[str]) -> Sequence[bytes]:
        arguments = (self._key, self._rules_json, results_json(results), json.dumps(list(subjects)))
        try:
            reply = await self._client.evalsha(self._sha, 1, *arguments)
        except NoScriptError:  # refused, so not counted
            await self._client.script_load(self._text)
            reply = await self._client.evalsha(self._sha, 1, *arguments)
        return cast("Sequence[bytes]", reply)


def _number(value: float | None) -> float | bool:
    return False if value is None else value


def _tally(words: Sequence[str]) -> Tally:
    success, evidence, at_s, doubt, held = (float(word) for word in words[:5])
    latency_ms, cost_micros, quality = (None if word == "-" else float(word) for word in words[5:FIELDS])
    return Tally(
        success=success,
        evidence=evidence,
        at_s=at_s,
        doubt=doubt,
        held=held > 0,
        latency_ms=latency_ms,
        cost_micros=cost_micros,
        quality=quality,
        moments=tuple(float(word) for word in words[FIELDS:]),
    )
