"""The router's shell: agents come and go while it routes, and what cannot work is said by name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from configs.catalogue import AgentCapability, ModelSettings, ProviderSettings
from configs.errors import ConfigError
from configs.kernel import Deadline, Message, Principal
from configs.routing import RoutingSettings
from configs.settings import Settings
from engine.errors import EmbeddingInvalid, EngineClosed, InvalidInput, UnknownName
from engine.routing.contract import AgentSnapshot, Reading, Registered, Vectors
from engine.routing.inmemory import HashedWords
from engine.routing.router import AgentRouter
from engine.types import Averages, Leg, Request
from tests.support.routers import router_of

GUARD_S = 5.0
SETTINGS = Settings(
    providers={"here": ProviderSettings(base_url="http://127.0.0.1:1/v1", local=True)},
    models={name: ModelSettings(provider="here", model=name) for name in ("small", "large")},
    roles={"default": ("small", "large")},
    routing=RoutingSettings(out_of_scope=0.2),
)


class _Registry:
    """Agents by name, with a generation."""

    def __init__(self, *capabilities: AgentCapability) -> None:
        self.snapshot = AgentSnapshot(generation=0, agents={})
        for capability in capabilities:
            self.add(capability)

    def add(self, capability: AgentCapability, own_handler: bool = False) -> None:
        registered = Registered(capability=capability, own_handler=own_handler)
        self._set({**self.snapshot.agents, capability.name: registered})

    def remove(self, name: str) -> None:
        self._set({key: agent for key, agent in self.snapshot.agents.items() if key != name})

    def _set(self, agents: Mapping[str, Registered]) -> None:
        self.snapshot = AgentSnapshot(generation=self.snapshot.generation + 1, agents=agents)

    def __call__(self) -> AgentSnapshot:
        return self.snapshot


class _Counting(HashedWords):
    """Remembers every text that was encoded for an agent; waits at a gate when there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[str] = []
        self.gate: asyncio.Event | None = None
        self.entered = asyncio.Event()

    async def aencode(self, texts: Sequence[str]) -> Vectors:
        if len(texts) > 1:
            self.encoded += texts
            self.entered.set()
            await asyncio.sleep(0)
            if self.gate is not None:
                await self.gate.wait()
        return await super().aencode(texts)


class _Unreadable(HashedWords):
    """Cannot read questions."""

    async def aread(self, text: str) -> Reading:
        raise EmbeddingInvalid("NaN")


def _agent(name: str, *words: str, cues: Sequence[str] = ()) -> AgentCapability:
    return AgentCapability(
        name=name, description=f"Knows {' '.join(words)}.", keywords=words, cues=tuple(cues), examples=()
    )


GENERAL = _agent("general", "small talk", "hello")
TIDES = _agent("tides", "ebb", "flood", "moon", cues=("tide",))
BIRDS = _agent("birds", "gull", "tern", "nest")


def _request(question: str, agent: str | None = None, models: tuple[str, ...] = ()) -> Request:
    return Request(
        id="r",
        principal=Principal(user_id="ada"),
        messages=(Message("user", question),),
        deadline=Deadline(60.0),
        agent=agent,
        models=models,
        ttl_s=1,
    )


def _router(registry: _Registry, encoder: HashedWords | None = None) -> AgentRouter:
    return router_of(SETTINGS, registry, HashedWords() if encoder is None else encoder)


@pytest.mark.req("route.discover")
async def test_an_agent_is_routable_as_soon_as_it_is_registered_and_gone_as_soon_as_it_is_removed() -> None:
    """No restart and no configuration in between."""
    registry = _Registry(GENERAL, TIDES)
    router = _router(registry)
    question = _request("where does the gull nest")
    assert (await router.route(question)).agent == "general"
    registry.add(BIRDS)
    assert (await router.route(question)).agent == "birds"
    registry.remove("birds")
    assert (await router.route(question)).agent == "general"


@pytest.mark.req("route.discover")
async def test_vectors_of_an_agent_are_made_once_per_registration() -> None:
    """Not per question and not again when another agent comes; again when its own words change."""
    registry, encoder = _Registry(GENERAL, TIDES), _Counting()
    router = _router(registry, encoder)
    await router.route(_request("flood"))
    await router.route(_request("moon"))
    first = len(encoder.encoded)
    registry.add(BIRDS)
    await router.route(_request("moon"))
    assert all("gull" in t or "tern" in t or "nest" in t for t in encoder.encoded[first:])
    before = len(encoder.encoded)
    registry.add(_agent("tides", "spring tide", "neap tide", "ebb"))
    await router.route(_request("moon"))
    assert encoder.encoded[before] == "Knows spring tide neap tide ebb."


async def test_first_questions_at_once_make_the_table_once() -> None:
    """Twenty callers meet an unprepared router: the leader encodes, the others wait for it."""
    registry, encoder = _Registry(GENERAL, TIDES, BIRDS), _Counting()
    router = _router(registry, encoder)
    decisions = await asyncio.gather(*(router.route(_request("gull in the nest")) for _ in range(20)))
    assert {d.agent for d in decisions} == {"birds"}
    assert len(encoder.encoded) == len(set(encoder.encoded))


async def test_a_cancelled_leader_leaves_the_others_an_answer() -> None:
    """The next caller takes over where the leader stopped."""
    registry, encoder = _Registry(GENERAL, TIDES), _Counting()
    encoder.gate = asyncio.Event()
    router = _router(registry, encoder)
    leader = asyncio.create_task(router.route(_request("flood")))
    await encoder.entered.wait()
    follower = asyncio.create_task(router.route(_request("flood and ebb")))
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    encoder.gate.set()
    async with asyncio.timeout(GUARD_S):
        assert (await follower).agent == "tides"


async def test_an_agent_that_leaves_during_a_decision_does_not_break_it() -> None:
    """The decision stands on the picture it began with; the next one sees the change."""
    registry, encoder = _Registry(GENERAL, TIDES), _Counting()
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def slow_health(names: Sequence[str]) -> Mapping[str, Averages]:
        asked.set()
        await go_on.wait()
        return {}

    router = router_of(SETTINGS, registry, encoder, health=slow_health)
    running = asyncio.create_task(router.route(_request("flood and ebb")))
    await asked.wait()
    registry.remove("tides")
    go_on.set()
    decision = await running
    assert (decision.agent, decision.legs[0].agent) == ("tides", "tides")
    assert (await router.route(_request("flood and ebb"))).agent == "general"


@pytest.mark.req("route.score")
async def test_health_is_asked_for_the_shortlist_and_weighs_in() -> None:
    """The failing one of two equal agents loses, and the record says why."""
    registry = _Registry(GENERAL, _agent("east", "sail"), _agent("west", "sail"))
    asked: list[Sequence[str]] = []

    async def east_fails(names: Sequence[str]) -> Mapping[str, Averages]:
        asked.append(names)
        return {"east": Averages(success=0.2)}

    decision = await router_of(SETTINGS, registry, HashedWords(), health=east_fails).route(_request("sail"))
    assert asked == [["east", "general", "west"]]
    assert decision.agent == "west"
    assert {c.agent: c.success for c in decision.candidates} == {"west": 1.0, "general": 1.0, "east": 0.2}


@pytest.mark.req("run.single")
async def test_a_decision_carries_the_chain() -> None:
    """Models of the role in order; the fallback agent adds none that is in the chain already."""
    decision = await _router(_Registry(GENERAL, TIDES)).route(_request("flood and ebb"))
    assert decision.legs == (Leg(agent="tides", model="small"), Leg(agent="tides", model="large"))
    assert decision.strategy == "single"


async def test_an_agent_asked_for_by_name_is_not_second_guessed() -> None:
    """No vector is made and no score given."""
    encoder = _Counting()
    decision = await _router(_Registry(GENERAL, TIDES), encoder).route(_request("gull", agent="tides"))
    assert (decision.agent, decision.confidence, decision.candidates) == ("tides", 1.0, ())
    assert decision.reason == "tides was asked for by name."
    assert encoder.encoded == []


async def test_models_asked_for_by_name_are_the_whole_chain() -> None:
    """In the caller's order, for the agent the router chose."""
    decision = await _router(_Registry(GENERAL, TIDES)).route(_request("ebb", models=("large",)))
    assert decision.legs == (Leg(agent="tides", model="large"),)


async def test_unknown_names_carry_the_nearest_known_one() -> None:
    """Agent and model alike."""
    router = _router(_Registry(GENERAL, TIDES))
    with pytest.raises(UnknownName, match="did you mean 'tides'") as caught:
        await router.route(_request("ebb", agent="tide"))
    assert caught.value.code == "unknown_agent"
    with pytest.raises(UnknownName, match="did you mean 'small'") as caught:
        await router.route(_request("ebb", models=("smal",)))
    assert caught.value.code == "unknown_model"


async def test_models_for_an_agent_of_its_own_code_are_refused() -> None:
    """It would ignore them."""
    registry = _Registry(GENERAL)
    registry.add(TIDES, own_handler=True)
    with pytest.raises(InvalidInput, match="takes no models"):
        await _router(registry).route(_request("ebb", agent="tides", models=("small",)))


async def test_a_question_without_a_vector_is_decided_by_cues() -> None:
    """NaN from the encoder never fails a request (fault 45)."""
    router = _router(_Registry(GENERAL, TIDES), _Unreadable())
    assert (await router.route(_request("when is high tide"))).agent == "tides"
    assert (await router.route(_request("ebb and flood"))).agent == "general"


async def test_an_empty_registry_is_a_configuration_error() -> None:
    """It names where agents come from."""
    with pytest.raises(ConfigError, match="no agent is registered"):
        await _router(_Registry()).route(_request("ebb"))


async def test_warming_prepares_every_agent_and_a_closed_encoder_is_reported() -> None:
    """After ``warm`` a question encodes nothing but itself; after closing the error is typed."""
    registry, encoder = _Registry(GENERAL, TIDES), _Counting()
    router = _router(registry, encoder)
    await router.warm()
    prepared = len(encoder.encoded)
    assert prepared > 0
    await router.route(_request("ebb"))
    assert len(encoder.encoded) == prepared
    await encoder.aclose()
    with pytest.raises(EngineClosed):
        await router.route(_request("ebb"))


@pytest.mark.req("route.discover")
async def test_agents_may_come_and_go_under_load() -> None:
    """Two hundred questions while agents are registered and removed: each decision is whole."""
    registry = _Registry(GENERAL, TIDES)
    router = _router(registry)

    async def churn() -> None:
        for n in range(50):
            registry.add(_agent(f"extra-{n}", f"subject{n}"))
            await asyncio.sleep(0)
            if n % 2:
                registry.remove(f"extra-{n}")
            await asyncio.sleep(0)

    asking = [router.route(_request(f"ebb or subject{n % 50}")) for n in range(200)]
    decisions = (await asyncio.gather(churn(), *asking))[1:]
    assert all(d.legs and d.legs[0].agent == d.agent for d in decisions)
    assert (await router.route(_request("subject48"))).agent == "extra-48"
    assert (await router.route(_request("subject49"))).agent == "general"
