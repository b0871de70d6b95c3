"""Loading settings from a text, for the configuration tests: the refusal as a string, or the settings."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from configs import load
from configs.catalogue import ModelPrice
from configs.errors import ConfigError, Problem
from configs.layers import Layer
from configs.load import load_settings
from configs.schema import bare, section
from configs.settings import Section, Settings

SHIPPED = load.SHIPPED
READ_CATALOGUES = load._catalogues  # pyright: ignore[reportPrivateUsage] - the slow step that is done once


@functools.cache
def _catalogues() -> bytes:
    problems: list[Problem] = []
    layers = READ_CATALOGUES(problems)
    assert problems == []
    return pickle.dumps(layers)


def _fresh_catalogues(problems: list[Problem]) -> list[Layer]:
    if load.SHIPPED != SHIPPED:
        return READ_CATALOGUES(problems)
    kept: list[Layer] = pickle.loads(_catalogues())  # noqa: S301 - our own bytes, a moment old
    return kept


@contextmanager
def catalogues_read_once() -> Generator[None]:
    """Load settings by the thousand: the shipped catalogues, which are most of the work, are parsed only once.

    Every load gets a copy of its own, because merging changes layers; everything else is read as always, and so
    are catalogues that a test has put elsewhere.
    """
    with patch.object(load, "_catalogues", _fresh_catalogues):
        yield


def load_text(folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of ``text`` as the user's file in ``folder``, in an otherwise empty environment."""
    path = folder / "user.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with catalogues_read_once():
        return load_settings(config_file=path, environ={} if environ is None else environ)


def refusal(folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None) -> str:
    """Why ``text`` is refused; empty when it is accepted."""
    try:
        load_text(folder, text, environ)
    except ConfigError as exc:
        return str(exc)
    return ""


def numbers(
    model: type[Section] = Settings, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], float]]:
    """Key path and default of every numeric setting that is set by key."""
    for name, info in model.model_fields.items():
        inner = section(info.annotation)
        if inner is not None and inner is not ModelPrice:
            yield from numbers(inner, (*path, name))
        elif (
            not info.is_required()
            and info.default is not None
            and (bare(info.annotation) is int or bare(info.annotation) is float)
        ):
            yield (*path, name), info.default


def nested(path: tuple[str, ...], value: str) -> str:
    """``value`` at ``path``, as flow YAML on line 2."""
    opened = "".join(f"{{{key}: " for key in path[1:])
    return f"# one setting\n{path[0]}: {opened}{value}{'}' * (len(path) - 1)}\n"
