"""Names that settings use for each other, checked on the merged values before they are typed.

Works on raw values on purpose: a misspelt model name and a negative timeout are then reported together.
Anything of the wrong type is skipped here, because the models say so themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from configs.catalogue import AgentCapability
from configs.layers import Stack, dotted, nearest
from configs.model_references import broken_instances, useless_rules
from configs.redact import shown
from configs.routing import RoutingSettings
from configs.yaml_tree import KeyPath, Node

Found = tuple[KeyPath, str]
DEFAULT_ROLE: str = AgentCapability.model_fields["role"].default


def broken_references(stack: Stack) -> Iterator[Found]:
    """Every name that nothing answers to, and every chain that names something twice."""
    yield from _providers_of_models(stack)
    yield from _roles(stack)
    yield from _records(stack)
    yield from _routing(stack)
    yield from _chains(stack)
    yield from _model_policies(stack)
    yield from _experiments(stack)
    semantic = _mapping(_mapping(stack.values.get("cache")).get("semantic"))
    yield from _missing(stack, "roles", ("cache", "semantic", "grey_role"), semantic.get("grey_role"))


def _mapping(node: Node) -> dict[str, Node]:
    return node if isinstance(node, dict) else {}


def _known(stack: Stack, kind: str) -> dict[str, Node]:
    return _mapping(stack.values.get(kind))


def _missing(stack: Stack, kind: str, path: KeyPath, name: Node) -> Iterator[Found]:
    """Say that ``name`` is no key of ``kind``, if it is not."""
    known = _known(stack, kind)
    if not isinstance(name, str) or name in known:
        return
    singular = kind.removesuffix("s")
    where = stack.disabled.get((kind, name))
    hint = f"it is disabled in {where}" if where else nearest(name, list(known))
    yield path, f"unknown {singular} {shown(dotted(path), name)}; {hint}"


def _chain(stack: Stack, kind: str, path: KeyPath, names: Node) -> Iterator[Found]:
    """Check an ordered list of names of ``kind``: all known, none twice (a chain that returns to itself)."""
    if not isinstance(names, list):
        return
    for index, name in enumerate(names):
        yield from _missing(stack, kind, (*path, index), name)
        if isinstance(name, str) and names.index(name) < index:
            yield (*path, index), f"{shown('', name)} stands in this list twice"


def _providers_of_models(stack: Stack) -> Iterator[Found]:
    for name, model in _known(stack, "models").items():
        yield from _missing(stack, "providers", ("models", name, "provider"), _mapping(model).get("provider"))


def _roles(stack: Stack) -> Iterator[Found]:
    roles = _known(stack, "roles")
    if DEFAULT_ROLE not in roles:
        yield ("roles",), f"the role {DEFAULT_ROLE!r} is required: it answers for every agent that names no other"
    for role, chain in roles.items():
        yield from _chain(stack, "models", ("roles", role), chain)


def _records(stack: Stack) -> Iterator[Found]:
    for name, agent in _known(stack, "agents").items():
        fields = _mapping(agent)
        yield from _missing(stack, "roles", ("agents", name, "role"), fields.get("role"))
        yield from _chain(stack, "tools", ("agents", name, "tools"), fields.get("tools"))
    for name, team in _known(stack, "teams").items():
        yield from _chain(stack, "agents", ("teams", name, "agents"), _mapping(team).get("agents"))
    for name, tool in _known(stack, "tools").items():
        providers = _mapping(tool).get("providers")
        if isinstance(providers, list):
            for index, provider in enumerate(providers):
                if providers.index(provider) < index:
                    yield ("tools", name, "providers", index), f"{shown('', provider)} stands in this list twice"


def _routing(stack: Stack) -> Iterator[Found]:
    """The agents that routing falls back to must exist, also when nobody wrote them down."""
    routing = _known(stack, "routing")
    fields = RoutingSettings.model_fields
    general = routing.get("general_agent", fields["general_agent"].default)
    yield from _missing(stack, "agents", ("routing", "general_agent"), general)
    fallback = routing.get("fallback_agents", list(fields["fallback_agents"].default))
    yield from _chain(stack, "agents", ("routing", "fallback_agents"), fallback)


def _model_policies(stack: Stack) -> Iterator[Found]:
    """Policies belong to roles, instances to models, and what a policy names must have an effect."""
    for name, model in _known(stack, "models").items():
        yield from _missing(stack, "models", ("models", name, "same_as"), _mapping(model).get("same_as"))
    for role in _known(stack, "policies"):
        yield from _missing(stack, "roles", ("policies", role), role)
    yield from broken_instances(stack.values)
    yield from useless_rules(stack.values)


def _experiments(stack: Stack) -> Iterator[Found]:
    """What an arm replaces, and by what; labels and counters need a name for each experiment."""
    listed = stack.values.get("experiments")
    experiments = listed if isinstance(listed, list) else []
    names = [_mapping(experiment).get("name") for experiment in experiments]
    for number, experiment in enumerate(experiments):
        if isinstance(names[number], str) and names.index(names[number]) < number:
            yield ("experiments", number, "name"), f"{shown('', names[number])} is the name of two experiments"
        arms = _mapping(experiment).get("arms")
        for index, arm in enumerate(arms if isinstance(arms, list) else []):
            for kind in ("agents", "models"):
                for name, instead in _mapping(_mapping(arm).get(kind)).items():
                    path: KeyPath = ("experiments", number, "arms", index, kind, name)
                    yield from _missing(stack, kind, path, name)
                    yield from _missing(stack, kind, path, instead)


def _chains(stack: Stack) -> Iterator[Found]:
    """The declared last resort is a model."""
    yield from _missing(stack, "models", ("chain", "last_resort"), _known(stack, "chain").get("last_resort"))
