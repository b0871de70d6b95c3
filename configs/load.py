"""Settings from every layer, read once: shipped files, profile, the user's file, environment, arguments.

Later layers win. Whatever is wrong anywhere is collected and raised together, and nothing is half-loaded.
``docs/configuration.md`` is the manual; ``configs/settings.py`` the only home of defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from configs.check import settings_from
from configs.environment import CONFIG, environment_layer, read_environment
from configs.errors import ConfigError, Problem
from configs.files import read_text
from configs.layers import Layer, Stack, layer_from, nearest
from configs.redact import is_utf8, shown
from configs.schema import variable
from configs.settings import Settings
from configs.yaml_tree import Node, Tree, parse_yaml

SHIPPED = Path(__file__).parent
USER_FILE = "switchgear.yaml"
_ARGUMENT = "argument"
_INT_MAX = 2**63 - 1
_DEFAULT_PROFILE: str = Settings.model_fields["profile"].default


def load_settings(
    profile: str | None = None,
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """The frozen settings of one engine.

    ``profile`` beats ``overrides``, which beat ``environ``, which beats the user's file (``config_file``, or
    ``SWITCHGEAR_CONFIG``, or ``switchgear.yaml`` in the working folder), which beats the profile and the shipped
    catalogues. ``environ=None`` reads the process environment and ``.env``. Raises ``ConfigError`` with every
    problem found.
    """
    variables = read_environment() if environ is None else environ
    problems: list[Problem] = []
    user = _file_layer(find_config_file(config_file, variables), problems)
    catalogues = _catalogues(problems)
    from_environ, found = environment_layer(variables, _key_variables(catalogues, user))
    problems += found
    on_top = _argument_layer(overrides, problems)
    chosen = _chosen_profile(profile, on_top, from_environ, user)
    stack = Stack(problems=problems)
    for layer in (*catalogues, _profile_layer(chosen, problems)):
        stack.add(layer, replaces=False)
    for layer in (user, from_environ, on_top):
        stack.add(layer)
    if isinstance(chosen[0], str):
        stack.values["profile"] = chosen[0]
    settings, found = settings_from(stack)
    problems += found
    if settings is None or problems:
        raise ConfigError.of(problems)
    return settings


def find_config_file(
    config_file: Path | None, environ: Mapping[str, str], folder: Path | None = None
) -> Path | None:
    """The user's one YAML file, or ``None``. One that was named must exist; the one in ``folder`` need not.

    Raises ``ConfigError`` for a ``switchgear.yml``, which would otherwise be passed over in silence.
    """
    if config_file is not None:
        return config_file
    if environ.get(CONFIG):
        return Path(environ[CONFIG]).expanduser()
    here = Path.cwd() if folder is None else folder
    misnamed = here / "switchgear.yml"
    if misnamed.exists():
        raise ConfigError(f"{misnamed}: not read", hint=f"the name is {USER_FILE}")
    path = here / USER_FILE
    return path if path.exists() else None


def profiles() -> tuple[str, ...]:
    """Names of the shipped profiles."""
    return tuple(sorted(path.stem for path in (SHIPPED / "profiles").glob("*.yaml")))


def _file_layer(path: Path | None, problems: list[Problem], source: str | None = None) -> Layer:
    """One YAML file as a layer; what is wrong with it goes into ``problems``."""
    if path is None:
        return Layer({}, {})
    name = str(path) if source is None else source
    try:
        text = read_text(path, name)
    except ConfigError as exc:
        problems.append(Problem(where=name, key="", reason=str(exc).removeprefix(f"{name}: ")))
        return Layer({}, {})
    tree, found = parse_yaml(text, name)
    layer, more = layer_from(tree, name, is_file=True)
    problems += (*found, *more)
    return layer


def _catalogues(problems: list[Problem]) -> list[Layer]:
    """The shipped files that every profile shares."""
    names = ["providers.yaml", "models.yaml", "tools.yaml"]
    names += sorted(f"agents/{path.name}" for path in (SHIPPED / "agents").glob("*.yaml"))
    return [_file_layer(SHIPPED / name, problems, f"configs/{name}") for name in names]


def _chosen_profile(profile: str | None, *layers: Layer) -> tuple[Node, str]:
    """Which profile is asked for, and where."""
    if profile is not None:
        return profile, _ARGUMENT
    for layer in layers:
        if "profile" in layer.values:
            return layer.values["profile"], layer.places.get(("profile",), _ARGUMENT)
    return _DEFAULT_PROFILE, "settings"


def _profile_layer(chosen: tuple[Node, str], problems: list[Problem]) -> Layer:
    """The file of the chosen profile; of the default one when there is no such profile, so that this is the only
    problem reported for it.
    """
    name, where = chosen
    if not isinstance(name, str) or name not in profiles():
        hint = f"{nearest(str(name), profiles())} (set it with --profile or {variable(('profile',))})"
        problems.append(Problem(where=where, key="profile", reason=f"unknown profile {shown('', name)}; {hint}"))
        name = _DEFAULT_PROFILE
    return _file_layer(SHIPPED / "profiles" / f"{name}.yaml", problems, f"configs/profiles/{name}.yaml")


def _key_variables(catalogues: Sequence[Layer], user: Layer) -> frozenset[str]:
    """The variables that hold provider keys; they may begin with our prefix."""
    names: set[str] = set()
    for layer in (*catalogues, user):
        providers = layer.values.get("providers")
        for provider in providers.values() if isinstance(providers, dict) else ():
            name = provider.get("api_key_env") if isinstance(provider, dict) else None
            names |= {name} if isinstance(name, str) else set()
    return frozenset(names)


def _argument_layer(overrides: Mapping[str, object] | None, problems: list[Problem]) -> Layer:
    if not overrides:
        return Layer({}, {})
    try:
        values = _plain(overrides)
    except TypeError as exc:
        problems.append(Problem(where=_ARGUMENT, key="", reason=str(exc)))
        return Layer({}, {})
    layer, found = layer_from(Tree(values, {}), _ARGUMENT, is_file=False)
    problems += found
    layer.places.update({(key,): _ARGUMENT for key in layer.values})
    return layer


def _plain(value: object) -> Node:
    """Values of Python callers as those a file could hold. Raises ``TypeError`` for anything else."""
    if isinstance(value, str | Path):
        if not is_utf8(str(value)):
            raise TypeError("a setting must be text that UTF-8 can hold")
        return str(value)
    if isinstance(value, int) and abs(value) > _INT_MAX:
        raise TypeError(f"a setting cannot be a number beyond {_INT_MAX}")
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(inner) for key, inner in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in cast("Sequence[object]", value)]
    raise TypeError(f"a setting cannot be a {type(value).__name__}")
