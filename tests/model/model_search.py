"""Breadth-first search of every reachable state, so that the first counterexample is a shortest one.

A state is one integer: the number of its shared record, then one field per caller. What a caller can do depends on
the record and on that caller alone, so each such pair is worked out (and checked) by the real breaker once and
looked up from then on; that, not a shortcut in the rules, is what makes millions of states affordable.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.model.model_records import Shared, key_of
from tests.model.model_steps import IDLE, Broken, Phase, Slot, Steps, outdated

FIELD = 12
"""Bits of one caller; the highest one says that a probe of the current generation runs."""
PROBE = 1 << (FIELD - 1)
FIELD_MASK = (1 << FIELD) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search saw. ``broken`` is ``None`` when everything holds in every state."""

    states: int
    transitions: int
    depth: int
    records: int
    seconds: float
    broken: Broken | None
    steps: tuple[str, ...]
    """The shortest way to ``broken``."""

    def __str__(self) -> str:
        how = "holds" if self.broken is None else f"{self.broken}\n    " + "\n    ".join(self.steps)
        return (
            f"{self.states:,} states, {self.transitions:,} transitions, depth {self.depth}, "
            f"{self.records} records, {self.seconds:.1f} s: {how}"
        )


class Search:
    """One search over the states of ``steps``; with ``one_probe_rule`` off B1b is set aside."""

    def __init__(self, steps: Steps, *, one_probe_rule: bool = True) -> None:
        self.steps = steps
        self.slots = steps.bounds.slots
        self.shift = FIELD * self.slots
        self.probes_max = steps.bounds.probes if one_probe_rule else self.slots
        self._flags = sum(PROBE << (FIELD * number) for number in range(self.slots))
        self._records: dict[tuple[object, ...], int] = {}
        self._shared: list[Shared] = []
        self._numbers: dict[Slot, int] = {}
        self._slot_of: dict[int, Slot] = {}
        self._offers: dict[int, tuple[list[int], list[int]]] = {}
        self._later: dict[int, int] = {}
        self._rested: dict[int, int | None] = {}
        self._aged: dict[int, int] = {}
        self._orders: dict[int, list[int]] = {}
        self._came_from: dict[int, int] = {}

    def run(self, states_max: int) -> Found:
        """Search until everything is seen, a rule is broken, or ``states_max`` is passed (``OverflowError``)."""
        begun = time.perf_counter()
        came_from, transitions, depth = self._came_from, 0, 0
        broken: Broken | None = None
        steps: tuple[str, ...] = ()
        level: list[int] = []
        try:
            level.append(self._field_of_record(self.steps.start()) | self._everyone_idle())
            came_from[level[0]] = -1
        except Broken as found:
            broken = found
        while level and broken is None:
            following: list[int] = []
            for state in level:
                try:
                    after = self._after(state)
                    transitions += len(after)
                    for reached in after:
                        if reached not in came_from:
                            self._count_probes(state, reached)
                            came_from[reached] = state
                            following.append(reached)
                except Broken as found:
                    last = self.steps.doing
                    broken, steps = found, (*self._way_to(state), last)
                    break
            if len(came_from) > states_max:
                raise OverflowError(f"more than {states_max:,} states")
            level = following
            depth += bool(level)
        return Found(
            states=len(came_from),
            transitions=transitions,
            depth=depth,
            records=len(self._shared),
            seconds=time.perf_counter() - begun,
            broken=broken,
            steps=steps,
        )

    def _count_probes(self, state: int, reached: int) -> None:
        if (reached & self._flags).bit_count() > self.probes_max:
            self.steps.doing = self._label(state, reached)
            raise Broken("B1b", "more probes of one generation run than may")

    def _after(self, state: int) -> list[int]:
        """Every state one step away, repeated where two steps lead to the same one."""
        record, callers = state >> self.shift, state & ((1 << self.shift) - 1)
        reached: list[int] = []
        aged = -1
        for number in range(self.slots):
            place = FIELD * number
            field = (callers >> place) & FIELD_MASK
            pair = (record * self.slots + number) << FIELD | field
            offer = self._offers.get(pair)
            if offer is None:
                offer = self._offers[pair] = self._offer(record, number, field)
            hole = ~(FIELD_MASK << place)
            others = callers & hole
            reached += [others | move for move in offer[0]]
            if offer[1]:
                if aged < 0:
                    aged = self._each(callers, self._aged, outdated)
                others = aged & hole
                reached += [others | move for move in offer[1]]
        if self.steps.bounds.orders:
            orders = self._orders.get(record)
            if orders is None:
                orders = [
                    self._field_of_record(move.shared) for move in self.steps.of_people(self._shared[record])
                ]
                self._orders[record] = orders
            aged = self._each(callers, self._aged, outdated)
            reached += [aged | order for order in orders]
        if (rested := self._tick(record, callers)) is not None:
            reached.append(rested)
        return reached

    def _offer(self, record: int, number: int, field: int) -> tuple[list[int], list[int]]:
        staying: list[int] = []
        moving: list[int] = []
        for move in self.steps.of_slot(self._shared[record], number, self._slot_of[field]):
            reached = self._field_of_record(move.shared) | self._field(move.slot) << (FIELD * number)
            (moving if move.moved else staying).append(reached)
        return staying, moving

    def _tick(self, record: int, callers: int) -> int | None:
        rested = 0
        for number in range(self.slots):
            field = (callers >> (FIELD * number)) & FIELD_MASK
            if field not in self._rested:
                slot = self.steps.tick_of_slot(self._slot_of[field])
                self._rested[field] = None if slot is None else self._field(slot)
            if (later := self._rested[field]) is None:
                return None
            rested |= later << (FIELD * number)
        if record not in self._later:
            self._later[record] = self._field_of_record(self.steps.tick(self._shared[record]))
        return self._later[record] | rested

    def _each(self, callers: int, known: dict[int, int], change: Callable[[Slot], Slot]) -> int:
        changed = 0
        for number in range(self.slots):
            field = (callers >> (FIELD * number)) & FIELD_MASK
            if field not in known:
                known[field] = self._field(change(self._slot_of[field]))
            changed |= known[field] << (FIELD * number)
        return changed

    def _everyone_idle(self) -> int:
        return sum(self._field(IDLE) << (FIELD * number) for number in range(self.slots))

    def _field_of_record(self, shared: Shared) -> int:
        key = key_of(shared)
        number = self._records.get(key)
        if number is None:
            self.steps.check(shared)
            number = self._records[key] = len(self._shared)
            self._shared.append(shared)
        return number << self.shift

    def _field(self, slot: Slot) -> int:
        number = self._numbers.get(slot)
        if number is None:
            number = len(self._numbers) | (PROBE if slot.probe and slot.phase is Phase.RUNNING else 0)
            self._numbers[slot] = number
            self._slot_of[number] = slot
        return number

    def _way_to(self, state: int) -> tuple[str, ...]:
        states = [state]
        while (before := self._came_from[states[-1]]) >= 0:
            states.append(before)
        states.reverse()
        return tuple(self._label(a, b) for a, b in itertools.pairwise(states))

    def _labelled(self, state: int) -> Iterator[tuple[str, int]]:
        """The same as ``_after``, slowly and with words."""
        record, callers = state >> self.shift, state & ((1 << self.shift) - 1)
        shared, aged = self._shared[record], self._each(callers, self._aged, outdated)
        for number in range(self.slots):
            place = FIELD * number
            slot = self._slot_of[(callers >> place) & FIELD_MASK]
            for move in self.steps.of_slot(shared, number, slot):
                others = (aged if move.moved else callers) & ~(FIELD_MASK << place)
                reached = self._field_of_record(move.shared) | others | self._field(move.slot) << place
                yield f"caller {number} {move.label}", reached
        for move in self.steps.of_people(shared):
            yield move.label, self._field_of_record(move.shared) | aged
        if (rested := self._tick(record, callers)) is not None:
            yield "a tick passes", rested

    def _label(self, state: int, reached: int) -> str:
        return next(label for label, to in self._labelled(state) if to == reached)
