"""What waiters are shown of a call that is not theirs (cache.flight, F4, F6)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine.errors import AnswerInterrupted, DeadlineExceeded
from engine.events import Degraded, Emit, Event, Token
from tests.support.finished import FAILED
from tests.support.flights import Caller, board, flights, passes

SLOW = Degraded(what="router", reason="slow")


def streaming(names: str) -> list[Caller]:
    """Waiters; those in capitals stream."""
    return [Caller(name, streams=name.isupper()) for name in names]


@pytest.mark.req("cache.flight")
async def test_followers_see_the_answer_as_it_comes_and_late_ones_from_its_beginning():
    """Same pieces, same order, whenever one came aboard; whoever does not stream has the whole at the end."""
    fleet = flights()
    leader, follower, quiet, late = callers = streaming("ABcD")
    waiters = [board(fleet, caller) for caller in callers[:3]]
    await leader.began.wait()
    leader.say("one ", "two ")
    await passes()
    assert (leader.text, follower.text, quiet.text) == ("one two ", "one two ", "")
    waiters.append(board(fleet, late))
    await passes()
    assert late.text == "one two "
    leader.say("three")
    leader.answers("one two three")
    landed = await asyncio.gather(*waiters)
    assert leader.shown == follower.shown == late.shown == [Token(text=t) for t in ("one ", "two ", "three")]
    assert [(one.answer, one.shown) for one in landed] == [
        ("one two three", True),
        ("one two three", True),
        ("one two three", False),
        ("one two three", True),
    ]
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_the_stream_goes_on_for_followers_when_the_leader_leaves():
    """Nothing more is shown to whoever has left."""
    fleet = flights()
    leader, follower = callers = streaming("AB")
    waiters = [board(fleet, caller) for caller in callers]
    await leader.began.wait()
    leader.say("one ")
    await passes()
    waiters[0].cancel()
    await passes()
    leader.say("two")
    leader.answers("one two")
    assert (await waiters[1]).role == "payer"
    assert (leader.text, follower.text) == ("one ", "one two")
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_a_leader_that_does_not_stream_shows_nothing():
    """Its call is not told to stream; a follower that streams has the answer at the end, to be replayed."""
    fleet = flights()
    leader, follower = callers = streaming("aB")
    waiters = [board(fleet, caller) for caller in callers]
    await leader.began.wait()
    assert not leader.call_streams
    leader.answers("42")
    landed = await asyncio.gather(*waiters)
    assert [(one.answer, one.shown) for one in landed] == [("42", False), ("42", False)]
    assert follower.shown == []
    await fleet.settle()


@pytest.mark.req("cache.flight")
@pytest.mark.parametrize("error", [AnswerInterrupted("half", (FAILED,)), DeadlineExceeded("late")], ids=str)
async def test_a_stream_that_breaks_off_is_nobodys_to_continue(error: AnswerInterrupted | DeadlineExceeded):
    """F4: whoever was shown text has that much and an error; whoever was not flies again."""
    fleet = flights()
    leader, follower, quiet, other = callers = streaming("ABcd")
    waiters = [board(fleet, caller) for caller in callers]
    await leader.began.wait()
    leader.say("half")
    leader.fails(error)
    await quiet.began.wait()
    with pytest.raises(type(error)) as own:
        await waiters[0]
    with pytest.raises(AnswerInterrupted) as said:
        await waiters[1]
    assert own.value is error
    assert (said.value.partial, follower.text) == ("half", "half")
    quiet.answers("whole")
    assert [(await waiter).answer for waiter in waiters[2:]] == ["whole", "whole"]
    assert [caller.calls for caller in callers] == [1, 0, 1, 0]
    assert other.shown == []
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_a_stream_that_breaks_before_its_first_text_frees_everybody():
    """Nothing was shown, so the next one that streams shows its own, from the beginning."""
    fleet = flights()
    leader, follower = callers = streaming("AB")
    waiters = [board(fleet, caller) for caller in callers]
    await leader.began.wait()
    leader.tells(SLOW)
    leader.fails(DeadlineExceeded("late"))
    await follower.began.wait()
    late = Caller("C", streams=True)
    waiters.append(board(fleet, late))
    with pytest.raises(DeadlineExceeded):
        await waiters[0]
    follower.say("whole")
    follower.answers("whole")
    assert [(await waiter).role for waiter in waiters[1:]] == ["leader", "follower"]
    assert late.shown == [Token(text="whole")]
    assert leader.shown == [SLOW]
    assert follower.shown == [SLOW, Token(text="whole")]
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_a_client_that_cannot_be_shown_anything_harms_nobody_else():
    """What one waiter's own listener raises is that waiter's, never the call's."""
    fleet = flights()
    leader = Caller("A", streams=True)

    class Deaf(Caller):
        def boarding(self):
            def emit(event: Event) -> None:
                raise OSError(str(event))

            told: Emit = emit
            whole = super().boarding()
            return replace(whole, emit=told)

    waiters = [board(fleet, leader), board(fleet, Deaf("B", streams=True))]
    await leader.began.wait()
    leader.say("one")
    await passes()
    with pytest.raises(OSError, match="one"):
        await waiters[1]
    leader.answers("one")
    assert (await waiters[0]).answer == "one"
    await fleet.settle()
