"""Who may not answer a request, and the words for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from configs.catalogue import AgentCapability, ModelSettings, ProviderSettings
from configs.kernel import Tier
from configs.routing import RoutingSettings
from engine.errors import NoAgentFits
from engine.routing.constraints import (
    Constraints,
    Reach,
    barred,
    excluded,
    grouped,
    model_facts,
    reach_of,
    refuse_barred,
)
from engine.routing.contract import Reading, Registered
from engine.routing.decide import match
from engine.routing.table import profile, stack

HERE = ProviderSettings(base_url="http://127.0.0.1:1/v1", local=True)
CHILD = ProviderSettings(embedded=True)
EUROPE = ProviderSettings(base_url="https://eu.example.com/v1", region="eu")
STATES = ProviderSettings(base_url="https://us.example.com/v1", region="us")
FACTS = {
    "small": model_facts(ModelSettings(provider="here", model="s", tools=False), HERE, 1_000),
    "tiny": model_facts(ModelSettings(provider="child", model="t"), CHILD, None),
    "europe": model_facts(ModelSettings(provider="eu", model="e"), EUROPE, 100_000),
    "states": model_facts(ModelSettings(provider="us", model="u", tools=False), STATES, 8_000),
}


def _reach(*chain: str, own_handler: bool = False, **fields: Any) -> Reach:
    capability = AgentCapability(name="a", description="d", **fields)
    return reach_of(Registered(capability=capability, own_handler=own_handler), chain, FACTS)


def _asks(tier: Tier = Tier.LOCAL, **fields: Any) -> Constraints:
    return Constraints(tier=tier, **fields)


PHI, EU, LONG = _asks(data_class="phi"), _asks(region="eu"), _asks(tokens=5_000)
CASES = [
    (_reach("europe"), _asks(), ""),
    (_reach("europe", tiers=(Tier.PRO, Tier.ENTERPRISE)), _asks(tier=Tier.PRO), ""),
    (_reach("europe", tiers=(Tier.PRO,)), _asks(tier=Tier.FREE), "tier free may not use it, only pro"),
    (_reach("europe", "small"), PHI, ""),
    (_reach("tiny"), PHI, ""),
    (_reach("europe"), _asks(data_class="internal"), ""),
    (_reach("europe"), PHI, "no model of its chain fits: not local, and phi data stays here"),
    (_reach("europe"), _asks(data_class="pii"), "no model of its chain fits: not local, and pii data stays here"),
    (_reach("europe"), _asks(local_only=True), "no model of its chain fits: not local, and the data stays here"),
    (_reach("europe", "states"), EU, ""),
    (
        _reach("states", "small"),
        EU,
        "no model of its chain fits: in region us, not eu; in region unknown, not eu",
    ),
    (_reach("small", "states"), LONG, ""),
    (_reach("tiny"), LONG, ""),
    (_reach("small"), LONG, "no model of its chain fits: holds 1000 tokens of 5000"),
    (_reach("small"), _asks(tokens=1_000), ""),
    (_reach("states", "europe", needs_tools=True), _asks(), ""),
    (_reach("states", needs_tools=True), _asks(), "no model of its chain fits: calls no tools"),
    (_reach(), PHI, ""),
    (_reach(own_handler=True, local=True), PHI, ""),
    (_reach(own_handler=True), PHI, "its handler is not declared local, and phi data stays here"),
    (_reach(own_handler=True), EU, ""),
    (_reach(own_handler=True, regions=("eu",)), EU, ""),
    (_reach(own_handler=True, regions=("us", "ch")), EU, "its handler is in region us, ch, not eu"),
    (_reach(own_handler=True, context_max=5_000), LONG, ""),
    (_reach(own_handler=True, context_max=4_999), LONG, "its handler takes 4999 tokens of 5000"),
    (_reach(own_handler=True, needs_tools=True), _asks(), ""),
    (_reach(own_handler=True, tiers=(Tier.PRO,)), _asks(), "tier local may not use it, only pro"),
]


@pytest.mark.req("route.score")
@pytest.mark.parametrize(("reach", "constraints", "why"), CASES)
def test_each_constraint_excludes_whom_it_should_in_plain_words(
    reach: Reach, constraints: Constraints, why: str
) -> None:
    """Tier, data class, region, length and tools; through models, one of the chain is enough."""
    assert excluded(reach, constraints) == why


@pytest.mark.req("route.score")
def test_one_model_has_to_meet_all_constraints_at_once() -> None:
    """The local model is too small and the large one is not local: neither can take long health data."""
    why = excluded(_reach("small", "europe"), _asks(data_class="phi", tokens=5_000))
    assert why == "no model of its chain fits: holds 1000 tokens of 5000; not local, and phi data stays here"


@pytest.mark.req("route.score")
def test_agents_of_one_reach_share_a_verdict() -> None:
    """A hundred agents on two chains: those on the one without a local model, each with its reason."""
    reaches = grouped({f"agent-{n:02}": _reach("europe" if n % 2 else "small") for n in range(100)})
    assert len(reaches.groups) == 2
    found = barred(reaches, PHI)
    assert set(found) == {f"agent-{n:02}" for n in range(1, 100, 2)}
    assert set(found.values()) == {"no model of its chain fits: not local, and phi data stays here"}
    assert barred(reaches, _asks()) == {}


def test_an_agent_asked_for_by_name_is_refused_with_its_reason() -> None:
    """Nobody else is put in its place."""
    refuse_barred("a", _reach("small"), PHI)
    with pytest.raises(NoAgentFits) as refused:
        refuse_barred("a", _reach("europe"), PHI)
    assert refused.value.reasons == {"a": "no model of its chain fits: not local, and phi data stays here"}


@pytest.mark.req("route.score")
def test_barred_agents_take_no_place_on_the_shortlist() -> None:
    """Of a hundred the ten nearest are barred: they are listed, and three others after them."""
    settings = RoutingSettings(shortlist=3)
    angles = [n / 70 for n in range(100)]
    table = stack(
        [
            profile(
                AgentCapability(name=f"agent-{n:02}", description="d"),
                np.array([(np.cos(a), np.sin(a))], dtype=np.float32),
                settings,
            )
            for n, a in enumerate(angles)
        ],
        settings.general_agent,
    )
    reading = Reading(vector=np.array([1, 0], dtype=np.float32), familiarity=1.0)
    nearest = {f"agent-{n:02}" for n in range(10)}
    kept = [m.agent for m in match(table, reading, "", settings, nearest).matches]
    assert kept == [f"agent-{n:02}" for n in (0, 1, 2, 10, 11, 12)]
    assert [m.agent for m in match(table, reading, "", settings, {"agent-50"}).matches] == kept[:3]
