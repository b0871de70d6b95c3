"""``breaker.lua`` beside the pure core: random steps go to both, and everything each of them says is compared.

Steps are chosen by the pure core alone, so many of them travel to the server in one message. Times are the walk's:
the script's clock reads its third argument here.
"""

from __future__ import annotations

import json
import math
import random
import uuid
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, cast

from redis import Redis

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerMoved, BreakerState, Permit, Report
from engine.resilience import breaker
from engine.resilience.record import Effect, Record, fresh
from engine.resilience.script import lua_text
from engine.resilience.wire import Asked, Ended, Order, Seen, Stands, keys_of, request_json, rules_json, stands_of
from tests.property.breaker_world import FORCED, RULES, TWO_PROBES, random_report

CLOCK_OF_ARGUMENT = "local function clock() return tonumber(ARGV[3]) end"
PER_MESSAGE = 100
STEPS_PER_SUBJECT = 1_000
WHOLE_EVERY = 20
ODD = replace(
    Report(outcome=Outcome.FAIL),
    reason='quotes " and \\, ключ, \0 and \x1f and a lone \ud800'.encode("utf-8", "backslashreplace").decode(),
)
FEW_REMEMBERED = RULES.model_copy(update={"dedup_calls": 3, "jitter": 0.37, "ema_alpha": 0.3, "errors_kept": 2})
ALL_RULES = (RULES, TWO_PROBES, FEW_REMEMBERED)
DUMP = """
local out = redis.call('HGETALL', KEYS[1])
local young, old = redis.call('SMEMBERS', KEYS[2]), redis.call('SMEMBERS', KEYS[3])
return {out, young, old, redis.call('PTTL', KEYS[1]), redis.call('LLEN', KEYS[4])}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a step must say, by the pure core."""

    view: breaker.BreakerView
    effects: tuple[Effect, ...]
    granted: bool | None
    why: str
    made: tuple[BreakerMoved, ...]


def pure_step(
    before: Record | None, rules: BreakerSettings, asked: Asked, now_s: float
) -> tuple[Record, tuple[BreakerMoved, ...], Said]:
    """The step in this process: the same calls, in the order in which a store in process makes them."""
    record = fresh(rules, int(now_s * 1000)) if before is None else before
    subject, made, effects = asked.subject, list[BreakerMoved](), list[Effect]()

    def became(after: Record) -> Record:
        event = breaker.event_of(record, after, rules, subject, now_s)
        if event is not None:
            made.append(event)
        return after

    for ended in asked.reports:
        after, effect = breaker.report(record, rules, ended.permit, ended.result, now_s, ended.sample)
        effects.append(effect)
        record = became(after)
        record = became(breaker.expire(record, now_s))
    if (order := asked.order) is not None:
        record = became(breaker.force(record, order.state, actor=order.actor, reason=order.reason))
    record = became(breaker.expire(record, now_s))
    granted, why = None, ""
    if asked.acquire is not None:
        record, answer = breaker.acquire(record, rules, subject, asked.acquire, now_s)
        granted = isinstance(answer, Permit)
        why = "" if isinstance(answer, Permit) else answer.reason
    view = breaker.view(record, rules, subject, now_s)
    said = Said(view=view, effects=tuple(effects), granted=granted, why=why, made=tuple(made))
    return record, tuple(made), said


@dataclass(slots=True)
class Sent:
    """One step on its way to the server."""

    said: Said
    told: int
    record: Record | None
    """The whole record to compare, now and then."""
    note: str


class Twins:
    """One subject in both worlds."""

    def __init__(self, client: Redis, rules: BreakerSettings, chance: random.Random, text: str) -> None:
        self.client = client
        self.rules = rules
        self.chance = chance
        self.subject = f"model:{uuid.uuid4()}/m{{ключ}}#k"  # nobody else's records, whatever the seed
        self.now_s = 1_763_700_000.0 + chance.random() * 1e6
        self.record: Record | None = None
        self.history: list[BreakerMoved] = []
        self.running: list[Permit] = []
        self.ended: list[Ended] = []
        self.order: tuple[Asked, Said] | None = None
        self.moves: Counter[str] = Counter()
        self.steps = 0
        self._ids = 0
        self._rules = rules_json(rules)
        self._sha = client.script_load(text)
        self._dump = client.script_load(DUMP)
        self._pipe = client.pipeline(transaction=False)
        self._sent: list[Sent] = []

    def walk(self, steps: int) -> None:
        """Random steps, compared as they come back."""
        for _ in range(steps):
            self.move()
            if len(self._sent) >= PER_MESSAGE:
                self.compare()
        self.compare()
        self.client.delete(*keys_of(self.subject, None))

    def compare(self) -> None:
        """Fetch the replies to everything sent and hold them against the pure core."""
        replies = iter(cast("list[Any]", self._pipe.execute(raise_on_error=False)))
        sent, self._sent = self._sent, []
        for step in sent:
            reply = next(replies)
            assert not isinstance(reply, Exception), f"{step.note}: {reply}"
            check(step, stands_of(self.subject, reply))
            if step.record is not None:
                check_whole(step.record, self.rules, next(replies), step.note)

    def step(self, asked: Asked, said: Said | None = None) -> None:
        """Take one step in both worlds. ``said``: what an order replayed must repeat."""
        if said is None:
            self.record, made, said = pure_step(self.record, self.rules, asked, self.now_s)
            self.history = [*self.history, *made][-self.rules.events_kept :]
            self.moves.update(f"{event.before.value} {event.after.value}" for event in made)
            self.moves.update(effect.value for effect in said.effects)
        self.steps += 1
        keys = keys_of(self.subject, asked.order)
        self._pipe.evalsha(self._sha, len(keys), *keys, self._rules, request_json(asked), repr(self.now_s))
        whole = self.record if self.steps % WHOLE_EVERY == 0 else None
        if whole is not None:
            self._pipe.evalsha(self._dump, 4, *keys_of(self.subject, None))
        told = 0 if asked.seen is None else asked.seen.told
        self._sent.append(Sent(said, told, whole, f"step {self.steps}: {asked}"))

    def move(self) -> None:
        """One step, chosen by ``chance``."""
        chance = self.chance
        if chance.random() < 0.3:
            self._pass_time()
        choice = chance.random()
        if choice < 0.35 or self.record is None:  # merely looking begins no record
            self._acquire(self._new_id())
        elif choice < 0.40 and self.running:
            self._acquire(chance.choice(self.running).call_id)
        elif choice < 0.45 and self.ended:
            self._acquire(self.ended[-chance.choice((1, 1, len(self.ended)))].permit.call_id)
        elif choice < 0.85 and self.running:
            self._report()
        elif choice < 0.92 and self.ended:
            again = [chance.choice(self.ended) for _ in range(chance.choice((1, 1, 2)))]
            self.step(self._asked(reports=tuple(again)))
        elif choice < 0.94 and self.running:
            self.running.pop(chance.randrange(len(self.running)))
        elif choice < 0.97:
            self._order()
        else:
            self.step(self._asked())

    def _asked(self, **what: Any) -> Asked:
        return Asked(subject=self.subject, seen=self._seen(), **what)

    def _seen(self) -> Seen | None:
        """What an up-to-date replica knows; its listeners may be behind."""
        if self.record is None or self.chance.random() < 0.3:
            return None
        generation = self.record.generation
        first = self.history[0].generation if self.history else generation
        told = max(first, generation - self.chance.choice((0, 0, 1, 2, 5)))
        view = breaker.view(self.record, self.rules, self.subject, self.now_s)
        return Seen(base=generation, generation=generation, told=told, view=view, opens=0)

    def _acquire(self, call_id: str) -> None:
        self.step(self._asked(acquire=call_id))
        said, record = self._sent[-1].said, cast("Record", self.record)
        if said.granted and all(permit.call_id != call_id for permit in self.running):
            probe = record.state is BreakerState.HALF_OPEN
            self.running.append(
                Permit(
                    subject=self.subject,
                    call_id=call_id,
                    generation=record.generation,
                    probe=probe,
                    state=record.state,
                )
            )
            self.running = self.running[-12:]

    def _report(self) -> None:
        chance = self.chance
        reports = list[Ended]()
        for _ in range(min(len(self.running), chance.choice((1, 1, 1, 2, 4)))):
            permit = self.running.pop(chance.randrange(len(self.running)))
            result = ODD if chance.random() < 0.02 else random_report(chance)
            if chance.random() < 0.05:
                result = replace(result, retry_after_s=chance.choice((math.inf, math.nan, -1.0, 1e-9)))
            reports.append(Ended(permit=permit, result=result, sample=chance.random()))
        self.ended = [*self.ended, *reports][-16:]
        generation = cast("Record", self.record).generation
        if chance.random() < 0.5:  # most callers end in time
            self.running = [permit for permit in self.running if permit.generation == generation]
        acquire = self._new_id() if chance.random() < 0.1 else None
        self.step(self._asked(reports=tuple(reports), acquire=acquire))

    def _order(self) -> None:
        chance = self.chance
        if self.order is not None and chance.random() < 0.3:
            self.step(*self.order)
            return
        by_hand = self.record is not None and self.record.state in FORCED[:3]
        state = BreakerState.CLOSED if by_hand and chance.random() < 0.8 else chance.choice(FORCED)
        order = Order(id=self._new_id(), state=state, actor="ada «λ»", reason="drill")
        asked = self._asked(order=order)
        self.step(asked)
        # An order replayed says what it said first, without the news of others.
        self.order = (replace(asked, seen=None), replace(self._sent[-1].said, made=()))

    def _pass_time(self) -> None:
        chance, record = self.chance, self.record
        ends = list[float]()
        if record is not None:
            ends = [lease.expires_s for lease in record.leases]
            if record.state in (BreakerState.OPEN, BreakerState.PARKED):
                ends.append(record.until_s)
            width = self.rules.window_s / self.rules.window_buckets
            ends.append((self.now_s // width + 1) * width)
        choice = chance.random()
        if choice < 0.4 and ends:
            self.now_s = max(self.now_s, chance.choice(ends))
        elif choice < 0.9:
            self.now_s += chance.expovariate(1.0)
        elif choice < 0.97:
            self.now_s += chance.uniform(0.0, 60.0)
        else:
            self.now_s -= chance.uniform(0.0, 5.0)  # a failed-over server whose clock is behind

    def _new_id(self) -> str:
        self._ids += 1
        return f"c{self._ids}"


def check(step: Sent, stands: Stands) -> None:
    """One reply is what the pure core says, to the last bit."""
    said = step.said
    assert stands.view == said.view, step.note
    assert stands.effects == said.effects, step.note
    assert stands.granted == said.granted, step.note
    assert stands.why == said.why, step.note
    fresh_news = [event for event in stands.events if event.generation > step.told]
    made = [event for event in said.made if event.generation > step.told]
    assert fresh_news[len(fresh_news) - len(made) :] == made, step.note
    if step.told:
        numbers = [event.generation for event in fresh_news]
        assert numbers == list(range(step.told + 1, stands.view.generation + 1)), f"B13: {step.note}"


def check_whole(record: Record, rules: BreakerSettings, dump: Any, note: str) -> None:
    """The kept record is the pure one, field by field, and so are the ids that have reported."""
    flat, young, old, ttl_ms, events = dump
    kept = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
    window = tuple(tuple(int(number) for number in b.split()) for b in kept["window"].split(";") if b)
    leases = tuple((call, float(ends)) for call, ends in json.loads(kept["leases"]))
    assert window == tuple(tuple(b) for b in record.window), note
    assert leases == tuple(tuple(lease) for lease in record.leases), note
    assert (kept["state"], int(kept["generation"])) == (record.state.value, record.generation), note
    assert int(kept["consecutive_failures"]) == record.consecutive_failures, note
    assert (float(kept["ema_success"]), float(kept["until_s"])) == (record.ema_success, record.until_s), note
    assert (int(kept["opens_in_a_row"]), int(kept["probe_successes"])) == (
        record.opens_in_a_row,
        record.probe_successes,
    ), note
    assert {call.decode() for call in young} == record.seen.young, note
    assert {call.decode() for call in old} == record.seen.old, note
    assert (ttl_ms == -1) == (record.state in FORCED[:3]), f"X5, B16: lives {ttl_ms} ms: {note}"
    assert events <= rules.events_kept, note


def walk(client: Redis, seed: int, steps: int, *, clock: str = CLOCK_OF_ARGUMENT, text: str = "") -> Counter[str]:
    """``steps`` steps over many subjects; what happened in them. ``text``: another script than the real one."""
    chance = random.Random(seed)
    moves: Counter[str] = Counter()
    for number, begun in enumerate(range(0, steps, STEPS_PER_SUBJECT)):
        twins = Twins(client, ALL_RULES[number % len(ALL_RULES)], chance, text or lua_text(clock))
        twins.walk(min(STEPS_PER_SUBJECT, steps - begun))
        moves.update(twins.moves)
    return moves
