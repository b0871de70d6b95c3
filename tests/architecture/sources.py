"""The repository as the architecture tests see it: files, and parsed modules. Reads; judges nothing."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "agents", "memory", "mcp_tools", "configs")
TEXT_SUFFIXES = {"", ".py", ".md", ".yaml", ".yml", ".toml", ".json", ".sh", ".lua", ".ini", ".cfg", ".example"}


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file; ``path`` is relative to the repository, with forward slashes."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return _parsed(self.text)

    @property
    def lines(self) -> int:
        """Number of lines."""
        return len(self.text.splitlines())

    @property
    def module(self) -> str:
        """Dotted name: ``engine/cache/store.py`` is ``engine.cache.store``."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        """Dotted name of the package that holds the module."""
        return self.module if self.path.endswith("__init__.py") else self.module.rpartition(".")[0]


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def read(path: Path) -> Source:
    """One file of the repository."""
    return Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))


@cache
def code() -> tuple[Source, ...]:
    """Every module of the five packages."""
    return tuple(read(file) for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))


@cache
def suite() -> tuple[Source, ...]:
    """Every Python file under ``tests``."""
    return tuple(read(file) for file in sorted((ROOT / "tests").rglob("*.py")))


def ignored() -> set[str]:
    """Names that ``.gitignore`` lists, without patterns: enough to leave out what the tools make."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    return {line.strip("/") for line in lines} | {".git"}


@cache
def files() -> tuple[Path, ...]:
    """Every file that belongs to the repository."""
    return tuple(sorted(_walk(ROOT, ignored())))


def _walk(top: Path, skipped: set[str]) -> Iterator[Path]:
    for folder, names, filenames in os.walk(top):
        names[:] = [name for name in names if name not in skipped and not name.endswith(".egg-info")]
        yield from (Path(folder) / name for name in filenames if name not in skipped)


def texts() -> Iterator[tuple[str, str]]:
    """Path and content of every text file that people write."""
    for file in files():
        if file.suffix in TEXT_SUFFIXES and file.name != "uv.lock":
            yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8", errors="replace")
