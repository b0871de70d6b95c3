"""The process environment and ``.env``, read once, and the layer of settings that its variables make.

Does not hold keys anywhere else: adapters take the one variable they need from the ``Environment`` they are
given, and nothing writes to ``os.environ``, so child processes do not inherit what stood in ``.env``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from io import StringIO
from pathlib import Path

from configs.errors import ConfigError, Problem
from configs.files import read_text
from configs.history import HISTORY_KEY
from configs.layers import Layer, Values, layer_from, nearest
from configs.redact import HIDDEN, is_utf8
from configs.schema import NESTING, PREFIX, annotation_at, bare, is_text, keys_at, variable, variables
from configs.yaml_tree import KeyPath, Node, Tree, parse_yaml

DOTENV = ".env"
HOME = f"{PREFIX}HOME"
CONFIG = f"{PREFIX}CONFIG"
OTHER_VARIABLES = {
    CONFIG: "path of the YAML file, as `--config`",
    HOME: "another name for `SWITCHGEAR_DATA_DIR`",
    HISTORY_KEY: "master key of the history's texts, base64 of 32 bytes; without it the data folder has one",
    f"{PREFIX}EVAL_DATA": "folder of the evaluation sets for `switchgear eval`",
}
"""Variables with our prefix that are not settings."""
_YES_NO: dict[str, Node] = {"1": True, "yes": True, "on": True, "0": False, "no": False, "off": False}


class Environment(Mapping[str, str]):
    """Variables as they were at start. Its repr shows names only, for most values here could be keys."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Environment({', '.join(sorted(self))}: {HIDDEN})"


def read_environment(folder: Path | None = None) -> Environment:
    """The variables of this process over those of ``.env`` in ``folder`` (``None``: the working folder).

    Raises ``ConfigError`` for a ``.env`` that cannot be read or has a line that is no ``NAME=value``.
    """
    path = (Path.cwd() if folder is None else folder) / DOTENV
    return Environment(_dotenv(path) | dict(os.environ))


def _dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv.parser import parse_stream  # noqa: PLC0415 - 25 ms that only who has a .env pays

    values: dict[str, str] = {}
    problems: list[Problem] = []
    for binding in parse_stream(StringIO(read_text(path, str(path)))):
        if binding.error:
            where = f"{path}, line {binding.original.line}"
            problems.append(Problem(where=where, key="", reason="not a `NAME=value` line"))
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
    if problems:
        raise ConfigError.of(problems)
    return values


def environment_layer(environ: Mapping[str, str], also_known: frozenset[str]) -> tuple[Layer, list[Problem]]:
    """The settings that ``SWITCHGEAR_*`` variables make, ``__`` between the levels. An empty one is not set.

    ``also_known`` are variables that carry our prefix and are something else, such as the key of a provider.
    """
    layer = Layer({}, {})
    problems: list[Problem] = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in also_known or not environ[name]:
            continue
        if name in OTHER_VARIABLES and name != HOME:
            continue
        path = ("data_dir",) if name == HOME else tuple(name[len(PREFIX) :].lower().split(NESTING))
        problems += _take(layer, path, name, environ[name])
    if environ.get(HOME) and environ.get(variable(("data_dir",)), environ[HOME]) != environ[HOME]:
        reason = f"contradicts {variable(('data_dir',))}; set one of them"
        problems.append(Problem(where=f"variable {HOME}", key="data_dir", reason=reason))
    return layer, problems


def _take(layer: Layer, path: tuple[str, ...], name: str, text: str) -> list[Problem]:
    """Put one variable into ``layer``."""
    annotation = annotation_at(path)
    where = f"variable {name}"
    if annotation is None:
        return [Problem(where=where, key="", reason=f"no such setting; {_suggest(name, path)}")]
    if not is_utf8(text):
        return [Problem(where=where, key=".".join(path), reason="must be valid UTF-8")]
    if is_text(annotation):
        part, problems = Layer(_nest(path, text), {}), []
    elif bare(annotation) is bool and text.lower() in _YES_NO:
        part, problems = Layer(_nest(path, _YES_NO[text.lower()]), {}), []
    else:
        tree, problems = parse_yaml(text, where)
        part = Layer(_nest(path, tree.values), {})
        if len(path) == 1:
            part, found = layer_from(Tree(part.values, {}), where, is_file=False)
            problems += found
    _lay(layer, part.values, (), where)
    return problems


def _nest(path: tuple[str, ...], value: Node) -> Values:
    """``value`` inside one mapping per level of ``path``."""
    node: Node = value
    for key in reversed(path):
        node = {key: node}
    return node if isinstance(node, dict) else {}


def _lay(layer: Layer, top: Values, path: KeyPath, where: str) -> None:
    """Merge ``top`` into ``layer`` and note the variable at every key it sets."""
    base: Node = layer.values
    for key in path:
        base = base[str(key)] if isinstance(base, dict) else None
    for key, value in top.items():
        layer.places[(*path, key)] = where
        if isinstance(base, dict):
            if isinstance(value, dict) and isinstance(base.get(key), dict):
                _lay(layer, value, (*path, key), where)
            else:
                base[key] = value


def _suggest(name: str, path: tuple[str, ...]) -> str:
    """The nearest variable, or what may stand at the level where ``path`` leaves the settings."""
    near = get_close_matches(name, [*variables(), *OTHER_VARIABLES], n=1)
    if near:
        return f"did you mean {near[0]}?"
    depth = next(n for n in range(1, len(path) + 1) if annotation_at(path[:n]) is None)
    return nearest(path[depth - 1], keys_at(path[: depth - 1]))
