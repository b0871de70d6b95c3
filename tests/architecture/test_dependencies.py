"""Every dependency is explained, and every published hole is below its floor."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distributions

from tests.architecture.sources import ROOT

# Floors from published advisories; decision 0003 names each.
FLOORS = {
    "langchain-core": (1, 2, 22),
    "langgraph": (1, 2, 18),
    "langgraph-checkpoint": (4, 1, 1),
    "langsmith": (0, 8, 0),
    "urllib3": (2, 6, 0),
}
# Never installed. The lock file still lists diskcache, below a package whose marker is never true (decision 0004).
FORBIDDEN = {"litellm", "diskcache", "langchain-mcp-adapters", "dill", "cloudpickle", "torch"}
REQUIREMENT = re.compile(r"(?P<name>[a-z0-9-]+)\s*[=>]=\s*(?P<floor>[\d.]+)")


def declared(pyproject: str) -> dict[str, tuple[int, ...]]:
    """Name and floor of every dependency, extras included."""
    project = tomllib.loads(pyproject)["project"]
    lists = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    found = (REQUIREMENT.match(line) for lines in lists for line in lines)
    return {f["name"]: tuple(int(part) for part in f["floor"].split(".")) for f in found if f}


def unexplained(names: set[str], page: str) -> list[str]:
    """Names that do not stand in ``page`` as words."""
    words = set(re.findall(r"[a-z0-9-]+", page))
    return sorted(name for name in names if name not in words and f"-{name.rpartition('-')[2]}" not in words)


def below(floors: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> list[str]:
    """Dependencies whose floor allows a version with a published hole."""
    return sorted(name for name, floor in floors.items() if found.get(name, ()) < floor)


def test_every_dependency_is_explained() -> None:
    """Decisions 0003 and 0004 say of each why it is here."""
    pages = "".join(
        page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "decisions").glob("000[34]-*.md")
    )
    names = set(declared((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    assert len(names) >= 30
    assert unexplained(names, pages) == []


def test_an_unexplained_dependency_is_caught() -> None:
    """A name without a word about it is found; a pair written with a shared stem is not."""
    assert unexplained({"httpx", "leftpad", "opentelemetry-sdk"}, "| httpx | opentelemetry-api, -sdk |") == [
        "leftpad"
    ]


def test_floors_exclude_published_holes() -> None:
    """Each floor is at or above the first fixed version."""
    assert below(FLOORS, declared((ROOT / "pyproject.toml").read_text(encoding="utf-8"))) == []


def test_a_low_or_missing_floor_is_caught() -> None:
    """One version below is too low, and so is a dependency that lost its line."""
    text = '[project]\ndependencies = ["langsmith>=0.8.0", "urllib3>=2.5.9"]\n'
    assert below({"langsmith": (0, 8, 0), "urllib3": (2, 6, 0), "gone": (1,)}, declared(text)) == [
        "gone",
        "urllib3",
    ]


def unpinned(lock: str) -> list[str]:
    """Packages of a lock file with a file that has no hash."""
    wrong: list[str] = []
    for package in tomllib.loads(lock)["package"]:
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        if "registry" in package["source"] and not (files and all("hash" in file for file in files)):
            wrong.append(package["name"])
    return wrong


def test_the_lock_file_pins_everything_by_hash() -> None:
    """Every file that could be installed has a hash."""
    assert unpinned((ROOT / "uv.lock").read_text(encoding="utf-8")) == []


def test_an_unpinned_package_is_caught() -> None:
    """One file without a hash is enough."""
    lock = (
        '[[package]]\nname = "pinned"\nsource = { registry = "r" }\nwheels = [{ url = "u", hash = "sha256:0" }]\n'
        '[[package]]\nname = "bare"\nsource = { registry = "r" }\nsdist = { url = "u" }\n'
    )
    assert unpinned(lock) == ["bare"]


def test_nothing_forbidden_is_installed() -> None:
    """What decision 0003 rules out did not come in through something else."""
    installed = {distribution.name.lower() for distribution in distributions()}
    assert "langgraph" in installed
    assert installed & FORBIDDEN == set()
