"""Single flight against a model of its rules: any order of coming, leaving, landing and failing (cache.flight).

Laws, after every step: waiters keep their order; one call at a time, of whoever was the oldest when it began; of
those who get an answer one pays, the owner if it is there, else the oldest; nobody leaves twice or is left out.
"""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from engine.cache.flight_state import PAYING, Crew
from engine.errors import AllRoutesUnavailable, AnswerInterrupted, DeadlineExceeded, RejectedByModel
from tests.support.finished import FAILED

SHARED = (AllRoutesUnavailable, RejectedByModel)


class Flight(RuleBasedStateMachine):
    """The model: a list of numbers, of which the even ones watch."""

    def __init__(self) -> None:
        super().__init__()
        self.crew = Crew[int]()
        self.waiting: list[int] = []
        self.owner: int | None = None
        self.came = 0
        self.gone: list[int] = []

    @rule()
    def somebody_comes(self) -> None:
        """The youngest is the last."""
        self.crew.join(self.came, streams=self.came % 2 == 0)
        self.waiting.append(self.came)
        self.came += 1

    @precondition(lambda self: self.waiting)
    @rule(draw=st.data())
    def somebody_leaves(self, draw: st.DataObject) -> None:
        """Whoever it is, it is the last one exactly when nobody else waits."""
        who = draw.draw(st.sampled_from(self.waiting))
        assert self.crew.leave(who) == (len(self.waiting) == 1)
        self.waiting.remove(who)
        self.gone.append(who)

    @rule()
    def a_call_begins(self) -> None:
        """The oldest makes it."""
        self.owner = self.crew.next_owner()
        assert self.owner == (self.waiting[0] if self.waiting else None)

    @precondition(lambda self: self.owner is not None)
    @rule(elsewhere=st.booleans())
    def it_lands(self, elsewhere: bool) -> None:
        """Everybody gets the answer; one pays, but for another replica's answer."""
        roles = self.crew.landed(elsewhere=elsewhere)
        assert [who for who, _ in roles] == self.waiting
        payers = [who for who, role in roles if role in PAYING]
        if elsewhere:
            assert payers == []
        elif self.waiting:
            assert payers == [self.owner if self.owner in self.waiting else self.waiting[0]]
        self.gone += self.waiting
        self.waiting, self.owner = [], None

    @precondition(lambda self: self.owner is not None)
    @rule(
        error=st.sampled_from([*(kind((FAILED,)) for kind in SHARED), DeadlineExceeded("late")]),
        shown=st.sampled_from(["", "half"]),
    )
    def it_fails(self, error: AllRoutesUnavailable | RejectedByModel | DeadlineExceeded, shown: str) -> None:
        """The owner is told; others if it concerns them or they saw text; the rest stays."""
        left = dict(self.crew.failed(error, shown))
        for who in self.waiting:
            if who == self.owner:
                assert left[who] is error
            elif shown and who % 2 == 0:
                assert isinstance(left[who], AnswerInterrupted)
            elif isinstance(error, SHARED):
                assert type(left[who]) is type(error)
                assert left[who] is not error
            else:
                assert who not in left
        self.gone += left
        self.waiting, self.owner = [who for who in self.waiting if who not in left], None

    @invariant()
    def everybody_is_somewhere(self) -> None:
        """Aboard in their order, or gone once."""
        assert self.crew.everybody == tuple(self.waiting)
        assert self.crew.watching == tuple(who for who in self.waiting if who % 2 == 0)
        assert sorted(self.gone + self.waiting) == list(range(self.came))
        assert all((who in self.crew) == (who in self.waiting) for who in range(self.came))


@pytest.mark.req("cache.flight")
def test_no_order_of_events_breaks_the_rules_of_a_flight() -> None:
    """Everything above holds after every step of every course that Hypothesis thinks of."""
    run_state_machine_as_test(Flight)
