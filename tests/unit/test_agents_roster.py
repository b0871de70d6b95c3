"""The roster: readers see whole pictures, writers are checked, every change is counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest

from agents.errors import AgentNotUsable
from agents.prompted import PromptedAgent
from agents.roster import Roster
from configs.catalogue import AgentCapability


def agent(name: str) -> PromptedAgent:
    """An agent of that name."""
    return PromptedAgent(AgentCapability(name=name, description="an agent", prompt="general.md"))


@pytest.mark.req("route.discover")
def test_a_registered_agent_is_there_at_once() -> None:
    """Under the name of its capability; the generation says that something changed."""
    roster = Roster([agent("a")])
    before = roster.generation
    b = agent("b")
    roster.register(b)
    assert roster.agents["b"] is b
    assert set(roster.agents) == {"a", "b"}
    assert roster.generation == before + 1


def test_a_view_does_not_change_under_its_reader() -> None:
    """What was read stays as it was read, and cannot be written."""
    roster = Roster([agent("a")])
    view = roster.view
    roster.register(agent("b"))
    roster.unregister("a")
    assert set(view.agents) == {"a"}
    assert roster.generation == view.generation + 2
    with pytest.raises(TypeError):
        view.agents["c"] = agent("c")


def test_a_taken_name_is_refused_unless_it_is_to_be_replaced() -> None:
    """The first one stays; with ``replace`` the new one is in its place."""
    first, second = agent("a"), agent("a")
    roster = Roster([first])
    with pytest.raises(AgentNotUsable, match="'a' already"):
        roster.register(second)
    assert roster.agents["a"] is first
    roster.register(second, replace=True)
    assert roster.agents["a"] is second


def test_two_agents_of_one_name_are_refused_at_the_start() -> None:
    """A configuration with a duplicate does not start (fault 84)."""
    with pytest.raises(AgentNotUsable):
        Roster([agent("a"), agent("a")])


def test_removing_says_whether_there_was_one() -> None:
    """Only a real removal counts as a change."""
    roster = Roster([agent("a")])
    before = roster.generation
    assert roster.unregister("nobody") is False
    assert roster.generation == before
    assert roster.unregister("a") is True
    assert (dict(roster.agents), roster.generation) == ({}, before + 1)


@pytest.mark.parametrize("name", ["", "Upper", "1st", "two words", "a/b", "a" * 65, "né", "-a"])
def test_a_name_that_would_not_survive_a_key_is_refused(name: str) -> None:
    """Also for capabilities that were built past pydantic's own check."""
    unchecked = PromptedAgent(AgentCapability(name="ok", description="an agent", prompt="general.md"))
    unchecked._capability = AgentCapability.model_construct(name=name, description="an agent")
    with pytest.raises(AgentNotUsable, match="cannot be the name"):
        Roster([unchecked])


@dataclass
class NoRun:
    """Has a capability and nothing else."""

    capability: AgentCapability


@pytest.mark.parametrize("thing", [object(), None, NoRun(AgentCapability(name="a", description="an agent"))])
def test_what_is_no_agent_is_refused(thing: object) -> None:
    """The message says what an agent needs."""
    with pytest.raises(AgentNotUsable) as caught:
        Roster([thing])
    assert "run method" in caught.value.hint


def test_writers_in_many_threads_lose_nothing() -> None:
    """Eight threads register and remove at once: every change is counted, and the right agents are left."""
    roster = Roster()
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        for i in range(50):
            roster.register(agent(f"a{number}.{i}"))
        for i in range(0, 50, 2):
            roster.unregister(f"a{number}.{i}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert roster.generation == 8 * 75
    assert set(roster.agents) == {f"a{number}.{i}" for number in range(8) for i in range(1, 50, 2)}
