"""Loading settings from a text, for the configuration tests: the refusal as a string, or the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from configs.catalogue import ModelPrice
from configs.errors import ConfigError
from configs.load import load_settings
from configs.schema import bare, section
from configs.settings import Section, Settings


def load_text(folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of ``text`` as the user's file in ``folder``, in an otherwise empty environment."""
    path = folder / "user.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
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
