"""Which configured models are instances of one another: other keys, servers or regions of the same model. Pure.

Written as ``same_as`` in the models' settings; ``configs.references`` has checked that it is one level deep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from configs.catalogue import ModelSettings


def families(models: Mapping[str, ModelSettings]) -> dict[str, tuple[str, ...]]:
    """For every model id all instances of its model: the one that ``same_as`` names, then in file order."""
    members: dict[str, list[str]] = {}
    for model_id, model in models.items():
        root = model_id if model.same_as is None else model.same_as
        family = members.setdefault(root, [root])
        if model_id != root:
            family.append(model_id)
    return {model_id: tuple(family) for family in members.values() for model_id in family}


def with_instances(chain: Iterable[str], models: Mapping[str, ModelSettings]) -> tuple[str, ...]:
    """``chain`` with every instance of its models right behind the model that it names, none twice."""
    known = families(models)
    return tuple(dict.fromkeys(i for name in chain for i in (name, *known.get(name, ()))))
