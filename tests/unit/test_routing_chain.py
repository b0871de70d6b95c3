"""The fallback chain: its order by literal tables, its bounds for any configuration."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.catalogue import AgentCapability
from configs.errors import ConfigError
from engine.errors import InvalidInput
from engine.routing.chain import build_chain
from engine.routing.contract import Registered
from engine.types import Leg

ROLES = {"default": ("cheap", "backup"), "code": ("strong", "cheap"), "data": ("strong",)}


def _registered(name: str, role: str = "default", own_handler: bool = False) -> Registered:
    return Registered(capability=AgentCapability(name=name, description="d", role=role), own_handler=own_handler)


AGENTS = {
    "python": _registered("python", "code"),
    "sql": _registered("sql", "data"),
    "general": _registered("general", "talk"),
    "mine": _registered("mine", own_handler=True),
    "emergency": _registered("emergency", own_handler=True),
}


def _legs(*pairs: tuple[str, str | None]) -> tuple[Leg, ...]:
    return tuple(Leg(agent=agent, model=model) for agent, model in pairs)


@pytest.mark.req("run.single")
@pytest.mark.parametrize(
    ("agent", "fallback", "models", "expected"),
    [
        ("python", (), (), (("python", "strong"), ("python", "cheap"))),
        ("python", ("general",), (), (("python", "strong"), ("python", "cheap"), ("general", "backup"))),
        ("general", ("general",), (), (("general", "cheap"), ("general", "backup"))),
        ("sql", ("python", "general"), (), (("sql", "strong"), ("python", "cheap"), ("general", "backup"))),
        ("mine", (), (), (("mine", None),)),
        ("mine", ("general",), (), (("mine", None), ("general", "cheap"), ("general", "backup"))),
        ("sql", ("emergency", "emergency"), (), (("sql", "strong"), ("emergency", None))),
        ("sql", ("gone", "general"), (), (("sql", "strong"), ("general", "cheap"), ("general", "backup"))),
        ("python", ("general",), ("backup", "strong"), (("python", "backup"), ("python", "strong"))),
        ("python", ("general",), ("backup", "backup"), (("python", "backup"),)),
    ],
)
def test_legs_follow_the_configuration(
    agent: str, fallback: tuple[str, ...], models: tuple[str, ...], expected: tuple[tuple[str, str | None], ...]
) -> None:
    """Own models first, then of each fallback agent what is not in the chain; named models are all of it."""
    assert build_chain(agent, AGENTS, ROLES, fallback, models) == _legs(*expected)


def test_models_named_for_an_agent_that_uses_none_are_refused() -> None:
    """Ignoring them would hide a mistake."""
    with pytest.raises(InvalidInput) as caught:
        build_chain("mine", AGENTS, ROLES, (), ("cheap",))
    assert caught.value.code == "models_not_used"


def test_a_role_without_models_names_the_key_to_set() -> None:
    """Neither the role nor ``default`` has a model."""
    with pytest.raises(ConfigError, match="no model answers for agent 'sql'") as caught:
        build_chain("sql", AGENTS, {"code": ("strong",)}, ())
    assert "roles.data or roles.default" in caught.value.hint


NAMES = st.sampled_from(sorted(AGENTS))
MODELS = st.lists(st.sampled_from(["strong", "cheap", "backup", "spare"]), min_size=1, max_size=6).map(tuple)


@pytest.mark.req("brk.fallback")
@given(
    agent=NAMES,
    fallback=st.lists(NAMES | st.just("gone"), max_size=8).map(tuple),
    roles=st.fixed_dictionaries({"default": MODELS}, optional={"code": MODELS, "data": MODELS, "talk": MODELS}),
)
def test_any_chain_is_finite_and_tries_each_route_once(
    agent: str, fallback: tuple[str, ...], roles: dict[str, tuple[str, ...]]
) -> None:
    """F1 and F2: no model and no handler twice, the chosen agent first, the same inputs the same chain."""
    legs = build_chain(agent, AGENTS, roles, fallback)
    models = [leg.model for leg in legs if leg.model is not None]
    handlers = [leg.agent for leg in legs if leg.model is None]
    assert len(models) == len(set(models))
    assert len(handlers) == len(set(handlers))
    assert legs[0].agent == agent
    assert {leg.agent for leg in legs} <= {agent, *fallback}
    assert legs == build_chain(agent, AGENTS, roles, fallback)
