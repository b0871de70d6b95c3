"""Names that model policies and instances use for each other, checked like those of ``configs.references``.

Split off for size: what a policy names must stand in the chain of its role, an instance must be the same model.
Raw values: anything of the wrong type is skipped, because the models of the settings say so themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from configs.redact import shown
from configs.yaml_tree import KeyPath, Node

Found = tuple[KeyPath, str]
Values = Mapping[str, Node]
_PUNCTUATION = re.compile(r"[^a-z0-9]")


def broken_instances(values: Values) -> Iterator[Found]:
    """Every ``same_as`` that points to itself, to an instance, or to what looks like another model; and every
    chain that names two instances of one model, as if they had two places in it.
    """
    models = _mapping(values.get("models"))
    for name, node in models.items():
        model = _mapping(node)
        root = model.get("same_as")
        if root is None and model.get("renamed") is True:
            yield ("models", name, "renamed"), "it never applies without same_as"
        if not isinstance(root, str) or root not in models:
            continue
        path: KeyPath = ("models", name, "same_as")
        target = _mapping(models[root])
        if root == name:
            yield path, "a model is no instance of itself"
        elif target.get("same_as") is not None:
            yield path, f"{shown('', root)} is an instance itself; name the model that it is an instance of"
        elif model.get("renamed") is not True and _bare(model.get("model")) != _bare(target.get("model")):
            both = f"{shown('', model.get('model'))} and {shown('', target.get('model'))}"
            yield path, f"its server has another model: {both}; if only the name differs, say `renamed: true`"

    for role, chain in _mapping(values.get("roles")).items():
        yield from _same_place(
            role, [n for n in chain if isinstance(n, str)] if isinstance(chain, list) else [], models
        )


def _same_place(role: str, chain: list[str], models: Mapping[str, Node]) -> Iterator[Found]:
    first: dict[str, str] = {}
    for index, name in enumerate(chain):
        root = _mapping(models.get(name)).get("same_as")
        place = first.setdefault(root if isinstance(root, str) else name, name)
        if place != name:
            both = f"{shown('', name)} and {shown('', place)}"
            yield (
                ("roles", role, index),
                f"{both} are instances of one model, which has one place: name one of them",
            )


def useless_rules(values: Values) -> Iterator[Found]:
    """Every model that a policy names without effect, and every policy that no model of its chain can meet."""
    roles = _mapping(values.get("roles"))
    for role, node in _mapping(values.get("policies")).items():
        chain = roles.get(role)
        policy = _mapping(node)
        if not isinstance(chain, list):
            continue
        for path, names in _named(policy):
            for index, name in enumerate(names):
                if isinstance(name, str) and name not in chain:
                    reason = f"{shown('', name)} is not in the chain of roles.{role}, so it never applies"
                    yield ("policies", role, *path, index), reason
                elif names.index(name) < index:
                    yield ("policies", role, *path, index), f"{shown('', name)} stands in this list twice"
        yield from _unmet(values, role, policy, [name for name in chain if isinstance(name, str)])


def _unmet(values: Values, role: str, policy: Values, chain: list[str]) -> Iterator[Found]:
    """Wishes that every model of the chain fails: the policy would put none first, or leave none."""
    models = _mapping(values.get("models"))
    family = [m for name, m in models.items() if name in chain or _mapping(m).get("same_as") in chain]
    known = [_mapping(model) for model in family]
    lowest = policy.get("quality_min")
    if _number(lowest) > 0 and not any(_number(model.get("quality")) >= _number(lowest) for model in known):
        yield ("policies", role, "quality_min"), f"no model of roles.{role} has a quality this high"
    providers = _mapping(values.get("providers"))
    used = [_mapping(providers.get(str(model.get("provider")))) for model in known]
    rules = policy.get("budget_rules")
    if not any(p.get("local") is True or p.get("embedded") is True for p in used):
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            if _mapping(rule).get("local_only") is True:
                reason = f"no model of roles.{role} is local: nobody could answer"
                yield ("policies", role, "budget_rules", index, "local_only"), reason
    regions = policy.get("regions")
    for index, region in enumerate(regions if isinstance(regions, list) else ()):
        if not any(provider.get("region") == region for provider in used):
            yield ("policies", role, "regions", index), f"no model of roles.{role} is in {shown('', region)}"


def _named(policy: Values) -> Iterator[tuple[KeyPath, list[Node]]]:
    """Every list of models of a policy, with its place in it."""
    for table in ("complexities", "tiers"):
        for key, names in _mapping(policy.get(table)).items():
            if isinstance(names, list):
                yield (table, key), names
    for table in ("lengths", "times", "budget_rules"):
        rules = policy.get(table)
        for index, rule in enumerate(rules if isinstance(rules, list) else ()):
            names = _mapping(rule).get("models")
            if isinstance(names, list):
                yield (table, index, "models"), names


def _bare(name: Node) -> str:
    """The name of a model without its maker and punctuation: servers write ``openai/gpt-oss-20b`` as
    ``gpt-oss:20b`` too.
    """
    return _PUNCTUATION.sub("", name.rpartition("/")[2].lower()) if isinstance(name, str) else ""


def _number(node: Node) -> float:
    return float(node) if isinstance(node, int | float) and not isinstance(node, bool) else 0.0


def _mapping(node: Node) -> Mapping[str, Node]:
    return node if isinstance(node, dict) else {}
