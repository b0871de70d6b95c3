"""What a replica makes of the shared registry, on the twin: who wins, what survives, what is left out."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from agents.contract import ChatModel, Chunk, Task
from agents.errors import AgentNotUsable
from configs.catalogue import AgentCapability
from configs.routing import RegistrySettings
from engine.errors import HandlerElsewhere
from engine.registry.contract import Here, Seen
from engine.registry.stored import EntryUnreadable, decode, encode
from memory.errors import BackendUnavailable
from tests.support.registries import SETTINGS, RegistryLab, Replica, agent, in_memory

PYTHON = agent("python", "Writes Python.")


class _Handler:
    """An agent with code of its own."""

    def __init__(self, name: str) -> None:
        self.capability = agent(name)

    async def run(self, task: Task, model: ChatModel | None) -> AsyncGenerator[Chunk]:
        del task, model
        yield Chunk(text="done")


def _two(lab: RegistryLab | None = None) -> tuple[RegistryLab, Replica, Replica]:
    lab = in_memory() if lab is None else lab
    return lab, Replica(lab.one, PYTHON), Replica(lab.two, PYTHON)


async def _looked(*replicas: Replica) -> None:
    for replica in replicas:
        assert await replica.sync.look()


async def _closed(*replicas: Replica) -> None:
    for replica in replicas:
        await replica.sync.aclose()


def _add_handler(replica: Replica, name: str, *, replace: bool = False) -> None:
    handler = _Handler(name)
    replica.roster.register(handler, replace=replace)
    replica.sync.registered(handler.capability, own_handler=True, replace=replace)


@pytest.mark.req("route.discover")
async def test_an_agent_registered_on_one_replica_answers_on_all_and_goes_from_all() -> None:
    """Also on one that starts later; the files' own agents stay as they are."""
    lab, one, two = _two()
    one.add(agent("tides", examples=("When is ebb?",)))
    await _looked(one, two)
    assert two.names == ["python", "tides"]
    assert two.roster.agents["tides"].capability == one.roster.agents["tides"].capability
    late = Replica(lab.two, PYTHON)
    await _looked(late)
    assert late.names == ["python", "tides"]
    two.remove("tides")
    await _looked(two, one, late)
    assert (one.names, late.names) == (["python"], ["python"])
    await _closed(one, two, late)


@pytest.mark.req("route.discover")
async def test_of_two_replicas_with_one_name_the_later_gets_the_error_and_the_winners_agent() -> None:
    """It is told when it asks whether its registration is stored; ``replace`` wins over what stands."""
    _, one, two = _two()
    await _looked(one, two)
    one.add(agent("tides", "Of the sea."))
    two.add(agent("tides", "Of the moon."))
    await one.sync.stored("tides")
    with pytest.raises(AgentNotUsable, match="another replica has an agent 'tides' already"):
        await two.sync.stored("tides")
    assert two.roster.agents["tides"].capability.description == "Of the sea."
    two.add(agent("tides", "Of the moon."), replace=True)
    await two.sync.stored("tides")
    await _looked(one)
    assert one.roster.agents["tides"].capability.description == "Of the moon."
    await _closed(one, two)


@pytest.mark.req("route.discover")
async def test_what_a_process_registers_when_it_starts_replaces_what_an_earlier_run_left() -> None:
    """The program was changed and started again: everybody has the new text."""
    _, one, two = _two()
    one.add(agent("tides", "Of yesterday."))
    await one.sync.stored("tides")
    two.add(agent("tides", "Of today."))
    await two.sync.stored("tides")
    await _looked(one)
    assert [r.roster.agents["tides"].capability.description for r in (one, two)] == ["Of today."] * 2
    await _closed(one, two)


async def test_replicas_that_run_the_same_code_do_not_disturb_each_other() -> None:
    """The same agent twice is no conflict, and nobody's roster changes for it."""
    _, one, two = _two()
    for replica in (one, two):
        replica.add(agent("tides"))
    generations = [replica.roster.generation for replica in (one, two)]
    await one.sync.stored("tides")
    await two.sync.stored("tides")
    await _looked(one, two)
    assert [replica.roster.generation for replica in (one, two)] == generations
    await _closed(one, two)


@pytest.mark.req("route.discover")
async def test_a_python_handler_stays_in_its_process_and_others_say_where_it_is() -> None:
    """Not routed to elsewhere; asked for by name it is a typed error, until its replica leaves."""
    _, one, two = _two()
    _add_handler(one, "desk")
    await _looked(one, two)
    assert (one.names, two.names) == (["desk", "python"], ["python"])
    one.sync.refuse_elsewhere("desk")
    two.sync.refuse_elsewhere("nobody")
    with pytest.raises(HandlerElsewhere, match="agent 'desk' is a Python handler of replica"):
        two.sync.refuse_elsewhere("desk")
    one.sync.start()
    await _closed(one)
    await _looked(two)
    assert two.sync.elsewhere == {}
    two.sync.refuse_elsewhere("desk")


async def test_a_handler_of_this_process_wins_over_a_shared_agent_and_gives_way_when_it_goes() -> None:
    """Others keep the shared one."""
    _, one, two = _two()
    one.add(agent("desk"))
    await _looked(one, two)
    _add_handler(two, "desk", replace=True)
    one.add(agent("desk", "Changed."), replace=True)
    await _looked(one, two)
    assert isinstance(two.roster.agents["desk"], _Handler)
    two.roster.unregister("desk")
    two.sync.unregistered("desk")
    assert two.roster.agents["desk"].capability.description == "Changed."
    await _closed(one, two)


async def test_an_agent_of_the_files_can_be_replaced_and_removed_everywhere() -> None:
    """And stays removed on a replica that starts later with the same files."""
    lab, one, two = _two()
    one.add(agent("python", "Better."), replace=True)
    await _looked(one, two)
    assert two.roster.agents["python"].capability.description == "Better."
    two.remove("python")
    await _looked(two, one)
    assert one.names == []
    late = Replica(lab.two, PYTHON)
    await _looked(late)
    assert late.names == []
    one.add(PYTHON)
    await _looked(one, two, late)
    assert (two.names, late.names) == (["python"], ["python"])
    await _closed(one, two, late)


@pytest.mark.req("route.discover")
async def test_without_the_store_registrations_work_here_and_are_sent_when_it_is_back() -> None:
    """``degraded`` says why meanwhile, and so does who waits for the registration to be stored."""
    _, one, two = _two()
    one.gone = True
    one.add(agent("tides"))
    assert await one.sync.look() is False
    assert one.names == ["python", "tides"]
    assert one.sync.degraded == "registrations stay in this process: redis.state: it is not there"
    with pytest.raises(BackendUnavailable):
        await one.sync.stored("tides")
    one.gone = False
    await one.sync.stored("tides")
    await _looked(two)
    assert (one.sync.degraded, two.names) == ("", ["python", "tides"])
    await _closed(one, two)


async def test_a_store_that_forgot_everything_is_told_again() -> None:
    """By any replica that still knows: nobody loses an agent, whoever registered it."""
    lab, one, two = _two()
    one.add(agent("tides"))
    await _looked(one, two)
    await _closed(one)
    await lab.lose()
    await _looked(two, two)
    late = Replica(lab.two)
    await _looked(late)
    assert (two.names, late.names) == (["python", "tides"], ["tides"])
    await _closed(two, late)


@pytest.mark.req("route.discover")
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"\xff{", "it is not JSON"),
        (b"[1]", "it has no schema number"),
        (b'{"schema":2,"agent":{}}', "it has schema 2, this release reads 1"),
        (b'{"schema":1,"agent":7}', "fields it cannot read: agent"),
        (b'{"schema":1,"agent":{"name":"bad","description":"d","magic":1}}', "fields it cannot read: magic"),
        (b'{"schema":1,"agent":{"name":"good","description":"d"}}', "it is of another agent, 'good'"),
        (encode(agent("bad", instructions="", prompt="nowhere.md")), "agent 'bad' names the prompt 'nowhere.md'"),
    ],
)
async def test_an_entry_nobody_can_read_is_left_out_and_named(body: bytes, why: str) -> None:
    """Corrupt, of a later release, or of an agent that cannot be: the others are taken in all the same."""
    lab, one, two = _two()
    await lab.one.put("bad", body, replica="x", replace=False)
    one.add(agent("tides"))
    await _looked(one, two)
    assert two.names == ["python", "tides"]
    assert two.sync.degraded.startswith(f"shared agents left out: bad: {why}")
    await lab.one.put("bad", encode(agent("bad")), replica="x", replace=True)
    await _looked(two)
    assert (two.names, two.sync.degraded) == (["bad", "python", "tides"], "")
    await _closed(one, two)


def test_an_entry_is_read_as_it_was_written_and_says_nothing_about_defaults() -> None:
    """Every field that differs from its default, and no other, so that older releases can read it."""
    full = agent("a", "Ünïcode ☕", cues=("x",), tiers=("pro",), max_tokens=7, temperature=0.5, needs_tools=True)
    assert decode("a", encode(full)) == full
    assert encode(AgentCapability(name="a", description="d")) == (
        b'{"schema":1,"agent":{"name":"a","description":"d"}}'
    )
    with pytest.raises(EntryUnreadable):
        decode("b", encode(full))


async def test_a_registry_that_is_full_or_an_agent_that_is_too_large_is_refused() -> None:
    """The agent goes on working here; the error names the setting."""
    lab, one, two = _two()
    for n in range(SETTINGS.entries_max):
        await lab.one.put(f"a{n}", encode(agent(f"a{n}")), replica="x", replace=False)
    one.add(agent("tides"))
    with pytest.raises(AgentNotUsable, match=r"no more than registry\.entries_max"):
        await one.sync.stored("tides")
    assert "tides" in one.names
    with pytest.raises(AgentNotUsable, match="bytes as JSON, at most 65,536 are shared"):
        one.add(agent("large", examples=("x" * 70_000,)))
    await _looked(two)
    assert "tides" not in two.names
    await _closed(one, two)


async def test_with_sharing_off_nothing_is_opened() -> None:
    """Neither by a registration nor by opening; nor, with sharing on, by a handler before anything is shared."""
    lab = in_memory()
    alone = Replica(lab.one, settings=RegistrySettings(shared=False))
    alone.add(agent("tides"))
    await alone.sync.open()
    await alone.sync.stored("tides")
    idle = Replica(lab.one)
    _add_handler(idle, "desk")
    await _closed(alone, idle)
    assert (alone.opened, idle.opened, alone.sync.degraded) == (0, 0, "")
    assert (await lab.one.changes(Seen(), Here(replica="x"))).entries == {}


@pytest.mark.req("route.discover")
async def test_a_change_arrives_as_soon_as_it_is_announced() -> None:
    """Long before the next poll, which is a minute away here."""
    _, one, two = _two()
    await two.sync.open()
    await one.sync.open()
    one.add(agent("tides"))
    await two.until("tides")
    assert two.names == ["python", "tides"]
    await _looked(one, two)
    assert (one.opened, two.opened) == (1, 1)
    await _closed(one, two)


async def test_what_still_waits_is_sent_at_the_end() -> None:
    """An engine that registers and closes at once has registered."""
    _, one, two = _two()
    one.add(agent("tides"))
    await _closed(one)
    await _looked(two)
    assert two.names == ["python", "tides"]
