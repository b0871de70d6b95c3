"""The shape of ``Settings`` as key paths: which keys exist where, and what kind of value each takes.

Read off the models, so that a new field is at once a valid key, variable and line of documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import SecretStr

from configs.settings import Section, Settings

PREFIX = "SWITCHGEAR_"
NESTING = "__"


def bare(annotation: object) -> object:
    """An annotation without ``Annotated`` metadata and without ``| None``."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        rest = [arg for arg in get_args(annotation) if arg is not NoneType]
        return bare(rest[0]) if len(rest) == 1 else annotation
    return annotation


def section(annotation: object) -> type[Section] | None:
    """The model behind an annotation, if it is one."""
    kind = bare(annotation)
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def child(annotation: object, key: str | int) -> object | None:
    """The annotation one key further in, or ``None`` when there is no such key."""
    kind = bare(annotation)
    model = section(kind)
    if model is not None:
        info = model.model_fields.get(str(key))
        return None if info is None else info.annotation
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    return get_args(kind)[0] if get_origin(kind) is tuple else None


def annotation_at(path: Sequence[str | int]) -> object | None:
    """The annotation of the setting at ``path``; records may be named or numbered."""
    here: object | None = Settings
    for key in path:
        here = None if here is None else child(here, key)
    return here


def keys_at(path: Sequence[str | int]) -> list[str]:
    """The keys that may stand below ``path``; empty where any name may."""
    model = section(annotation_at(path))
    return [] if model is None else list(model.model_fields)


def is_text(annotation: object) -> bool:
    """Whether a value is taken as written: texts, secrets, paths and closed sets of words."""
    kind = bare(annotation)
    if get_origin(kind) is Literal:
        return True
    return isinstance(kind, type) and issubclass(kind, str | SecretStr | Path)


def is_secret(annotation: object) -> bool:
    """Whether a value must never be shown."""
    return bare(annotation) is SecretStr


def variable(path: Sequence[str]) -> str:
    """The environment variable of the setting at ``path``."""
    return PREFIX + NESTING.join(path).upper()


@cache
def variables() -> dict[str, tuple[str, ...]]:
    """Every variable that stands for one setting of a fixed name, and its key path."""
    return {variable(path): path for path in _leaves(Settings, ())}


def _leaves(model: type[Section], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, info in model.model_fields.items():
        inner = section(info.annotation)
        yield (*path, name)
        if inner is not None:
            yield from _leaves(inner, (*path, name))
