"""Every step that a search has taken of the pure core, taken again by ``breaker.lua`` from the same record.

Where the two agree on each of them, what the search proves of the one holds for the other.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any, cast

from redis import Redis

from configs.resilience import BreakerSettings
from engine.contract import Permit, Refusal, Report
from engine.resilience.record import Record
from engine.resilience.script import lua_text
from engine.resilience.wire import Asked, Ended, keys_of, request_json, rules_json, stands_of
from tests.model.model_records import FORCED, NOW
from tests.model.model_steps import SUBJECT, Core
from tests.property.breaker_lua import CLOCK_OF_ARGUMENT, DUMP, Sent, check, check_whole, pure_step

PER_MESSAGE = 200
LIFETIME_S = 1_000
Taken = tuple[Record, Asked]


class Recording(Core):
    """The real core, and a note of every step it was asked to take from a representative."""

    def __init__(self) -> None:
        self.taken: dict[Taken, None] = {}

    def acquire(
        self, record: Record, limits: BreakerSettings, slot: int, call_id: str
    ) -> tuple[Record, Permit | Refusal]:
        self._note(record, Asked(subject=SUBJECT, seen=None, acquire=call_id))
        return super().acquire(record, limits, slot, call_id)

    def report(self, record: Record, limits: BreakerSettings, permit: Permit, result: Report) -> Record:
        ended = Ended(permit=permit, result=result, sample=0.5)
        self._note(record, Asked(subject=SUBJECT, seen=None, reports=(ended,)))
        return super().report(record, limits, permit, result)

    def release(self, record: Record, limits: BreakerSettings, call_id: str) -> Record:
        self._note(record, Asked(subject=SUBJECT, seen=None, released=(call_id,)))
        return super().release(record, limits, call_id)

    def _note(self, record: Record, asked: Asked) -> None:
        if record == replace(record, window=(), last_errors=(), seen=record.seen._replace(old=frozenset())):
            self.taken[record, asked] = None


def compare(client: Redis, limits: BreakerSettings, taken: list[Taken], text: str = "") -> None:
    """Take each step in Redis and hold reply and record against the pure core's; ``text``: another script."""
    sha, dump = client.script_load(text or lua_text(CLOCK_OF_ARGUMENT)), client.script_load(DUMP)
    keys, rules = keys_of(SUBJECT, None), rules_json(limits)
    for begun in range(0, len(taken), PER_MESSAGE):
        pipe, expected = client.pipeline(transaction=False), list[Sent]()
        for record, asked in taken[begun : begun + PER_MESSAGE]:
            before = record
            for call_id in asked.released:
                before = Core().release(before, limits, call_id)
            after, _, said = pure_step(before, limits, asked, NOW)
            pipe.delete(*keys)
            pipe.hset(keys[0], items=list(itertools.chain.from_iterable(_kept(record).items())))
            if record.state not in FORCED:
                pipe.expire(keys[0], LIFETIME_S)
            if record.seen.young:
                pipe.sadd(keys[1], *record.seen.young)
            pipe.evalsha(sha, len(keys), *keys, rules, request_json(asked), repr(NOW))
            pipe.evalsha(dump, len(keys), *keys)
            expected.append(Sent(said, 0, after, f"{asked} from {record}"))
        answers = pipe.execute()
        replies = cast("list[list[Any]]", [answer for answer in answers if isinstance(answer, list)])
        for number, sent in enumerate(expected):
            check(sent, stands_of(SUBJECT, replies[2 * number]))
            check_whole(cast("Record", sent.record), limits, replies[2 * number + 1], sent.note)
    client.delete(*keys)


def _kept(record: Record) -> dict[str, str]:
    """The hash in which the script keeps this record."""
    return {
        "state": record.state.value,
        "generation": str(record.generation),
        "consecutive_failures": str(record.consecutive_failures),
        "window": "",
        "ema_success": repr(record.ema_success),
        "until_s": repr(record.until_s),
        "opens_in_a_row": str(record.opens_in_a_row),
        "probe_successes": str(record.probe_successes),
        "leases": json.dumps([[call, repr(ends)] for call, ends in record.leases]),
        "last_errors": "[]",
        "reason": record.reason,
        "actor": record.actor,
    }
