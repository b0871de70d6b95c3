"""The shape of the repository: what lies at the top, and that no text tells where it was written."""

from __future__ import annotations

import re

import pytest

from tests.architecture.sources import ROOT, files, texts

TOP_FOLDERS = {
    *("engine", "agents", "memory", "mcp_tools", "configs", "tests"),
    *(".ci", "benchmarks", "deploy", "docs", "examples", "scripts"),
}
TOP_FILES = {
    *("pyproject.toml", "uv.lock", "Makefile", "docker-compose.yml", "langgraph.json"),
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "NOTICE"),
    *(".editorconfig", ".env.example", ".gitignore", ".dockerignore", ".importlinter", ".pre-commit-config.yaml"),
}
# Somebody's folders, wherever they are; the names are split so that this line does not match itself.
PRIVATE_PATH = re.compile(
    r"(?<![\w.~}])/(?:" + "|".join(["root", "home", "Users", "work", "opt", "tmp"]) + r")/[\w.]"
)
REGISTRY_HOST = re.compile("|".join([r"pypi\." + "org", r"python" + "hosted", r"registry\.npm" + "js"]))


def strangers(top: set[str], allowed: set[str]) -> list[str]:
    """Names that do not belong at the top."""
    return sorted(top - allowed)


def private_places(path: str, text: str) -> list[str]:
    """Lines of ``text`` that name a folder of one machine or the host of a package registry."""
    lines = enumerate(text.splitlines(), start=1)
    return [
        f"{path}:{n}: {line.strip()[:80]}"
        for n, line in lines
        if PRIVATE_PATH.search(line) or REGISTRY_HOST.search(line)
    ]


def test_the_top_level_is_fixed() -> None:
    """Folders and files beside the packages are the ones that ADR 0002 lists."""
    parts = [file.relative_to(ROOT).parts for file in files()]
    assert strangers({p[0] for p in parts if len(p) > 1}, TOP_FOLDERS) == []
    assert strangers({p[0] for p in parts if len(p) == 1}, TOP_FILES) == []


def test_a_stranger_at_the_top_is_caught() -> None:
    """A new top-level folder is named."""
    assert strangers({"engine", "utils"}, TOP_FOLDERS) == ["utils"]


def test_no_text_names_a_place_of_its_author() -> None:
    """No path of a private machine and no registry host stands in what people read or run."""
    assert [found for path, text in texts() for found in private_places(path, text)] == []


@pytest.mark.parametrize("place", ["/" + "home/ada/x", "see '/" + "tmp/x'", "https://pypi" + ".org/simple"])
def test_a_private_place_is_caught(place: str) -> None:
    """Home, scratch and registry are found; relative paths, URLs and system folders are not."""
    assert len(private_places("x.md", place)) == 1
    assert private_places("x.md", "../shared/data, /usr/bin/env, /v1/models, docs/home/index") == []
