"""Personal and health data never leave: the rule over legs, whatever chain was built (admit.data)."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from configs.catalogue import AgentCapability, ModelSettings, ProviderSettings
from configs.settings import Settings
from engine.routing.contract import Registered
from engine.routing.locality import leaves, may_call
from engine.types import DataClass, Leg

PROVIDERS = {
    "here": ProviderSettings(base_url="http://127.0.0.1:8080/v1", local=True),
    "inside": ProviderSettings(embedded=True),
    "cloud": ProviderSettings(base_url="https://api.cloud.example/v1"),
}
MODELS = {name: ModelSettings(provider=name, model=f"m-{name}") for name in PROVIDERS}
SETTINGS = Settings(providers=PROVIDERS, models=MODELS)
AGENTS = {
    "writer": Registered(capability=AgentCapability(name="writer", description="Writes")),
    "own": Registered(capability=AgentCapability(name="own", description="Own code"), own_handler=True),
    "own-here": Registered(
        capability=AgentCapability(name="own-here", description="Own code", local=True), own_handler=True
    ),
}
STAYS = [
    Leg(agent="writer", model="here"),
    Leg(agent="writer", model="inside"),
    Leg(agent="own-here", model=None),
]
LEAVES = [
    (Leg(agent="writer", model="cloud"), "model 'cloud' runs at cloud, which is not local"),
    (Leg(agent="own", model=None), "the handler of 'own' is not declared local"),
    (Leg(agent="own", model="here"), "the handler of 'own' is not declared local"),
    (Leg(agent="writer", model=None), "the handler of 'writer' is not declared local"),
    (Leg(agent="writer", model="gone"), "model 'gone' is not configured"),
    (Leg(agent="gone", model="here"), "agent 'gone' is not registered"),
]
LEGS = st.lists(st.sampled_from([*STAYS, *(leg for leg, _ in LEAVES)]), max_size=8)


@pytest.mark.req("admit.data")
@pytest.mark.parametrize("leg", STAYS, ids=str)
def test_local_models_embedded_models_and_declared_handlers_stay(leg: Leg) -> None:
    """Nothing speaks against them, for any class of data."""
    assert leaves(leg, SETTINGS, AGENTS) == ""
    assert may_call(leg, "phi", SETTINGS, AGENTS) == ""


@pytest.mark.req("admit.data")
@pytest.mark.parametrize(("leg", "why"), LEAVES, ids=[str(leg) for leg, _ in LEAVES])
def test_everything_else_leaves_and_says_why(leg: Leg, why: str) -> None:
    """Clouds, undeclared handlers, and whatever was removed since the chain was built."""
    assert leaves(leg, SETTINGS, AGENTS) == why


@pytest.mark.req("admit.data")
@pytest.mark.parametrize(("kind", "asked"), [("public", True), ("internal", True), ("pii", False), ("phi", False)])
def test_only_personal_data_are_held_back(kind: DataClass, asked: bool) -> None:
    """The check before a call lets everything else out."""
    cloud = LEAVES[0][0]
    assert (may_call(cloud, kind, SETTINGS, AGENTS) == "") is asked
