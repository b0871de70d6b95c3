"""Which error of a leader reaches its followers, and who pays for the answer (cache.flight, fault 47)."""

from __future__ import annotations

import pytest
from langgraph.errors import GraphInterrupt

from agents.errors import CallFailed
from configs.kernel import Failure, FailureKind
from engine.cache.flight_state import Crew, for_follower
from engine.errors import (
    AllRoutesUnavailable,
    AnswerInterrupted,
    DeadlineExceeded,
    InvalidInput,
    NoAgentFits,
    NotBuilt,
    RejectedByModel,
    RequestQueued,
    TooDeep,
)
from engine.ticket import Ticket, TicketStatus
from tests.support.finished import FAILED

TRIED = (FAILED,)
TICKET = Ticket(
    id="t",
    tenant_id="acme",
    user_id="ada",
    status=TicketStatus.WAITING,
    priority="normal",
    created_s=1.0,
    expires_s=2.0,
)
SHARED = [AllRoutesUnavailable(TRIED), RejectedByModel(TRIED)]
OWN = [
    AnswerInterrupted("half", TRIED),
    DeadlineExceeded("late"),
    InvalidInput("wrong"),
    NotBuilt("x", "y"),
    NoAgentFits({"sql": "region"}),
    RequestQueued(TICKET),
    TooDeep(3),
    CallFailed(Failure(kind=FailureKind.CONNECT, detail="down")),
    GraphInterrupt(),
    RuntimeError("a bug"),
    TimeoutError(),
    BaseException("cancelled"),
]


@pytest.mark.req("cache.flight")
@pytest.mark.parametrize("error", SHARED, ids=lambda error: type(error).__name__)
def test_what_is_about_the_upstream_reaches_followers_as_an_exception_of_their_own(error: AllRoutesUnavailable):
    """The same type, reasons and advice, but not the same object."""
    said = for_follower(error, "")
    assert type(said) is type(error)
    assert said is not error
    assert (str(said), vars(said)) == (str(error), vars(error))


@pytest.mark.req("cache.flight")
@pytest.mark.parametrize("error", OWN, ids=lambda error: type(error).__name__)
def test_what_is_the_owners_own_does_not_reach_followers(error: BaseException):
    """Deadlines, refusals, tickets, interrupts and bugs: the follower flies again."""
    assert for_follower(error, "") is None


@pytest.mark.req("cache.flight")
@pytest.mark.parametrize("error", [*SHARED, *OWN], ids=lambda error: type(error).__name__)
def test_whoever_was_shown_text_is_told_that_it_broke_off(error: BaseException):
    """F4: whatever broke it, nobody goes on in its place. What was shown is in the error, with any attempts."""
    said = for_follower(error, "half")
    assert isinstance(said, AnswerInterrupted)
    assert said.partial == "half"
    assert said.attempts == (TRIED if isinstance(error, AnswerInterrupted) else ())


def crew(*names: str, watching: str = "") -> Crew[str]:
    """Waiters in this order, and the first one's call under way."""
    made = Crew[str]()
    for name in names:
        made.join(name, streams=name in watching)
    made.next_owner()
    return made


@pytest.mark.req("cache.flight")
@pytest.mark.parametrize(
    ("aboard", "leaving", "roles"),
    [
        ("a", "", [("a", "alone")]),
        ("abc", "", [("a", "leader"), ("b", "follower"), ("c", "follower")]),
        ("abc", "bc", [("a", "alone")]),
        ("abc", "a", [("b", "payer"), ("c", "follower")]),
        ("abc", "ab", [("c", "payer")]),
    ],
)
def test_the_owner_pays_or_else_the_oldest_who_stayed(aboard: str, leaving: str, roles: list[tuple[str, str]]):
    """Exactly one pays, whoever has left meanwhile."""
    made = crew(*aboard)
    for name in leaving:
        assert not made.leave(name)
    assert made.landed(elsewhere=False) == roles
    assert len(made) == 0


@pytest.mark.req("cache.flight")
def test_nobody_pays_for_an_answer_from_elsewhere():
    """It was paid for in another replica, whoever is aboard here."""
    made = crew("a", "b")
    made.leave("a")
    made.join("c", streams=True)
    assert made.landed(elsewhere=True) == [("b", "elsewhere"), ("c", "elsewhere")]


@pytest.mark.req("cache.flight")
def test_an_error_of_the_owners_own_leaves_the_others_in_their_order():
    """Fault 47: the next in line makes a call of its own."""
    made = crew("a", "b", "c")
    error = DeadlineExceeded("late")
    assert made.failed(error, "") == [("a", error)]
    assert made.everybody == ("b", "c")
    assert made.next_owner() == "b"


@pytest.mark.req("cache.flight")
def test_after_text_was_shown_only_those_who_saw_it_leave():
    """The owner has its own error, watchers an interruption, the rest flies again."""
    made = crew("a", "b", "c", watching="ab")
    error = AnswerInterrupted("half", TRIED)
    (owner, own), (watcher, said) = made.failed(error, "half")
    assert (owner, watcher) == ("a", "b")
    assert own is error
    assert isinstance(said, AnswerInterrupted)
    assert made.everybody == ("c",)


@pytest.mark.req("cache.flight")
def test_the_error_of_an_owner_that_has_left_frees_those_who_stayed():
    """Nobody is there to be told, so nobody is."""
    made = crew("a", "b")
    made.leave("a")
    assert made.failed(DeadlineExceeded("late"), "") == []
    assert made.next_owner() == "b"


@pytest.mark.req("cache.flight")
def test_only_the_last_one_to_leave_is_the_last():
    """Leaving twice, or after the landing, is nobody's end."""
    made = crew("a", "b")
    assert [made.leave("a"), made.leave("a"), made.leave("b"), made.leave("b")] == [False, False, True, False]
    assert made.next_owner() is None
