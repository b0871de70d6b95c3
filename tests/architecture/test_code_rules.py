"""The product's code keeps the house's rules, and each rule is shown to catch what it is for."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from statistics import median, quantiles

import pytest

from tests.architecture import code_rules
from tests.architecture.code_rules import RULES, Rule, clocks, own_imports
from tests.architecture.contracts import pure_modules
from tests.architecture.sources import Source, code

PLANTED = {
    "file_size": ("engine/x.py", "x = 0\n" * 401, "x = 0\n" * 400),
    "function_size": (
        "engine/x.py",
        "def f():\n" + "    g()\n" * 60,
        "def f():\n" + "    g()\n" * 59,
    ),
    "parameters": (
        "engine/x.py",
        "class A:\n    def f(self, a, b, c, d, e, *, f, **g): ...",
        "class A:\n    def f(self, a, b, c, *, d, e, **f): ...",
    ),
    "vague_names": ("engine/x.py", "class PoolManager: ...", "class Pool: ..."),
    "facade_imports": (
        "engine/cache/x.py",
        "from engine import Engine",
        "from engine import errors\nfrom configs import kernel",
    ),
    "broad_excepts": (
        "engine/x.py",
        "try:\n    f()\nexcept (ValueError, Exception):\n    raise",
        "try:\n    f()\nexcept ValueError:\n    g()\nexcept BaseException:\n    close()\n    raise",
    ),
    "unsafe_loading": ("engine/x.py", "import yaml\nyaml.load(x)", "import yaml\nyaml.safe_load(x)"),
    "numeric_defaults": ("engine/x.py", "def f(*, wait_s=-1.5): ...", "def f(*, tries=0, deep=True): ..."),
    "otel_sdk": (
        "engine/x.py",
        "from opentelemetry.sdk.trace import TracerProvider",
        "from opentelemetry import trace",
    ),
    "unexplained_waivers": (
        "engine/x.py",
        "import a  # noqa: PLC0415",
        "import a  # noqa: PLC0415 - loads for two seconds",
    ),
}
MORE_PLANTED = [
    ("broad_excepts", "try:\n    f()\nexcept:\n    pass"),
    ("broad_excepts", "try:\n    f()\nexcept BaseException as exc:\n    raise ValueError from exc"),
    ("broad_excepts", "try:\n    f()\nexcept Exception:\n    close()\n    raise"),
    ("unsafe_loading", "import pickle"),
    ("unsafe_loading", "from joblib import load"),
    ("unsafe_loading", "eval('1')"),
    ("unsafe_loading", "import subprocess\nsubprocess.run('ls', shell=True)"),
    ("numeric_defaults", "class A:\n    size: int = 64"),
    ("numeric_defaults", "f = lambda n=3: n"),
    ("otel_sdk", "from opentelemetry import sdk"),
    ("facade_imports", "import engine"),
    ("unexplained_waivers", "x = a.b  # type: ignore[attr]"),
    ("unexplained_waivers", "x = a.b  # pyright: ignore[reportX]"),
]


def _rule(name: str) -> Rule:
    return getattr(code_rules, name)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps_the_rule(rule: Rule) -> None:
    """No module of the five packages breaks it."""
    assert [f"{source.path}:{fault}" for source in code() for fault in rule(source)] == []


@pytest.mark.parametrize("name", PLANTED)
def test_the_rule_catches_a_planted_violation(name: str) -> None:
    """The planted code is named; the nearest legal code is not."""
    path, bad, good = PLANTED[name]
    assert len(_rule(name)(Source(path, bad))) == 1
    assert _rule(name)(Source(path, good)) == []


@pytest.mark.parametrize(("name", "bad"), MORE_PLANTED)
def test_the_rule_catches_other_spellings(name: str, bad: str) -> None:
    """The same offence written differently is caught as well."""
    assert len(_rule(name)(Source("engine/x.py", bad))) == 1


def test_every_rule_has_a_planted_violation() -> None:
    """A rule that nobody has seen fail proves nothing."""
    assert {rule.__name__ for rule in RULES} == set(PLANTED)


def test_deciding_modules_read_no_clock() -> None:
    """Every module under the import contract for pure modules takes time and chance as arguments."""
    pure = pure_modules()
    assert len(pure) >= 6
    assert [f"{s.path}:{fault}" for s in code() if s.module in pure for fault in clocks(s)] == []


@pytest.mark.parametrize(
    "bad",
    [
        "time.time()",
        "import time",
        "datetime.now()",
        "datetime.datetime.utcnow()",
        "date.today()",
        "uuid.uuid4()",
        "open(p)",
    ],
)
def test_a_clock_in_a_deciding_module_is_caught(bad: str) -> None:
    """Each way to read time, chance or a file is found; the same name on a value is not."""
    assert len(clocks(Source("engine/types.py", bad))) == 1
    assert clocks(Source("engine/types.py", "breaker.open(now_s)\nself.time(x)")) == []


def _cycle(modules: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(modules).prepare()
    except CycleError as exc:
        return exc.args[1]
    return []


def test_no_module_imports_itself_through_others() -> None:
    """The graph of all imports, late and type-only ones included, has no cycle."""
    known = {source.module for source in code()}
    assert _cycle({source.module: own_imports(source, known) for source in code()}) == []


def test_an_import_cycle_is_caught() -> None:
    """Two modules that need each other are named, even when one imports late."""
    a = Source("engine/a.py", "from engine.b import x")
    b = Source("engine/b.py", "def f():\n    from engine import a")
    known = {"engine.a", "engine.b", "engine"}
    assert set(_cycle({s.module: own_imports(s, known) for s in (a, b)})) == {"engine.a", "engine.b"}


def _size_faults(lengths: list[int]) -> list[str]:
    middle, ninetieth = median(lengths), quantiles(lengths, n=10)[-1]
    faults = [f"median {middle}, at most 120"] if middle > 120 else []
    return faults + ([f"90th percentile {ninetieth}, at most 250"] if ninetieth > 250 else [])


def test_modules_are_small_on_the_whole() -> None:
    """Median at most 120 lines and nine of ten at most 250, empty package markers left out."""
    assert _size_faults([source.lines for source in code() if source.lines > 5]) == []


@pytest.mark.parametrize("lengths", [[121] * 20, [50] * 17 + [300] * 3])
def test_growing_modules_are_caught(lengths: list[int]) -> None:
    """A high middle and a long tail are both found."""
    assert len(_size_faults(lengths)) == 1


def _untyped(sources: tuple[Source, ...]) -> float:
    found = sum(source.text.count("dict[str, Any]") + source.text.count("Mapping[str, Any]") for source in sources)
    return 1_000 * found / sum(source.lines for source in sources)


def test_untyped_dictionaries_stay_rare() -> None:
    """At most two ``dict[str, Any]`` in a thousand lines: raw tool arguments and JSON from the wire."""
    assert _untyped(code()) <= 2.0


def test_untyped_dictionaries_are_counted() -> None:
    """Both spellings count, per thousand lines."""
    planted = Source("engine/x.py", "a: dict[str, Any]\nb: Mapping[str, Any]\n" + "\n" * 98)
    assert _untyped((planted,)) == 20.0
