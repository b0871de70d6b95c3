"""Mutation testing of what decides about breakers: every small change to it has to make a test fail.

mutmut changes the bodies of functions; the tables of those modules, which it leaves alone, are changed here, one
constant or outcome at a time. A mutant that nothing tells from the original stands in ``benchmarks/mutation.md``
with the reason; any other survivor makes this fail. Lowest priority, one process.
"""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "benchmarks" / "mutation.md"
OTHERS = {"Outcome": ("CANCEL", "QUALITY"), "BreakerState": ("PARKED", "OPEN")}
"""What stands in for a member of these enums, and for that member itself."""
RESULT = re.compile(r"^\s+(?P<name>[\w.]+__mutmut_\d+): (?P<status>[\w ]+)$", re.MULTILINE)
EQUIVALENT = re.compile(r"^\| `(?P<mutant>[^`]+)` \|", re.MULTILINE)


def table_mutants(source: str) -> Iterator[tuple[str, ast.Module]]:
    """Every module-level constant changed, every outcome in a table replaced: what was changed, and the module."""
    tree = ast.parse(source)
    tables = [n for n in tree.body if isinstance(n, ast.Assign | ast.AnnAssign) and n.value is not None]
    for table in tables:
        places = [node for node in ast.walk(table) if changed(node) is not None]
        for number in range(len(places)):
            mutant = copy.deepcopy(tree)
            twin = mutant.body[tree.body.index(table)]
            place = [node for node in ast.walk(twin) if changed(node) is not None][number]
            before, after = ast.unparse(place), changed(place)
            if isinstance(place, ast.Constant):
                place.value = after
            elif isinstance(place, ast.Attribute):
                place.attr = str(after)
            name = ast.unparse(table.targets[0] if isinstance(table, ast.Assign) else table.target)
            yield f"{name}: {before} -> {ast.unparse(place)}", mutant


def changed(node: ast.AST) -> str | int | None:
    """What this constant or outcome becomes, ``None`` for anything else."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return f"XX{node.value}"
        return node.value + 1 if isinstance(node.value, int) else None
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in OTHERS:
        usual, instead = OTHERS[node.value.id]
        return usual if node.attr != usual else instead
    return None


def survives(module: str, mutant: ast.Module, tests: list[str]) -> bool:
    """Whether the tests pass with ``mutant`` in place of ``module``, tried in a fork of this process."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) == 0
    code = 1
    try:
        code = _tested(module, mutant, tests)
    finally:
        os._exit(code)


def _tested(module: str, mutant: ast.Module, tests: list[str]) -> int:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    spec = importlib.util.find_spec(module)
    if spec is None:
        return 1
    fake = importlib.util.module_from_spec(spec)
    sys.modules[module] = fake
    exec(compile(ast.fix_missing_locations(mutant), spec.origin or module, "exec"), vars(fake))  # noqa: S102 - our code
    pytest = importlib.import_module("pytest")
    return int(
        pytest.main(
            ["-x", "-q", "--assert=plain", "--hypothesis-profile=mutation", "-p", "no:cacheprovider", *tests]
        )
    )


def tables(paths: list[str], tests: list[str]) -> tuple[int, list[str]]:
    """How many mutants of tables there are, and those that survive."""
    tried, left = 0, list[str]()
    for warm in ("pytest", "hypothesis", "pydantic", "configs.settings"):
        importlib.import_module(warm)
    for path in paths:
        module = path.removesuffix(".py").replace("/", ".")
        source = (ROOT / path).read_text(encoding="utf-8")
        if not survives(module, ast.parse(source), tests):
            raise SystemExit(f"mutate: the tests fail without any mutant of {path}")
        for what, mutant in table_mutants(source):
            tried += 1
            if survives(module, mutant, tests):
                left.append(f"{module}.{what}")
    return tried, left


def mutmut(*arguments: str) -> str:
    """The output of one mutmut command."""
    command = [sys.executable, "-W", "ignore", "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True).stdout


def functions() -> tuple[Counter[str], list[str]]:
    """Mutants of functions by status, and those that no test has killed, as the change they make."""
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", "1"]
    subprocess.run(command, cwd=ROOT, check=False)
    results = {found["name"]: found["status"] for found in RESULT.finditer(mutmut("results", "--all", "true"))}
    left = [described(name, mutmut("show", name)) for name, status in results.items() if status != "killed"]
    return Counter(results.values()), left


def described(name: str, diff: str) -> str:
    """A mutant by function and change, which outlives the renumbering of mutants."""
    function = re.sub(r"__mutmut_\d+$", "", name).replace(".x_", ".")
    old = [line[1:].strip() for line in diff.splitlines() if re.match(r"-(?!--)", line)]
    new = [line[1:].strip() for line in diff.splitlines() if re.match(r"\+(?!\+\+)", line)]
    return f"{function}: {' '.join(old)} -> {' '.join(new)}"


def main() -> int:
    """Run both parts, print the totals, and fail for survivors that nobody has explained."""
    os.nice(19)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    begun = time.monotonic()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    tried, left = tables(settings["source_paths"], settings["pytest_add_cli_args_test_selection"])
    statuses, survivors = functions()
    left += survivors
    known = {found["mutant"] for found in EQUIVALENT.finditer(PAGE.read_text(encoding="utf-8"))}
    unexplained = [mutant for mutant in left if mutant not in known]
    total = tried + statuses.total()
    print(f"\nmutants {total} ({statuses.total()} of functions, {tried} of tables), killed {total - len(left)}")
    print(
        f"equivalent {len(left) - len(unexplained)}, survived {len(unexplained)}, {time.monotonic() - begun:.0f} s"
    )
    for mutant in unexplained:
        print(f"  {mutant}")
    return 1 if unexplained or not statuses["killed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
