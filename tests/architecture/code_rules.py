"""Rules for one module of the product: each takes a ``Source`` and returns what is wrong with it, by line.

The rules are those of the house style (CONTRIBUTING.md); ``test_code_rules.py`` holds the code against them and
shows, for each, a planted violation that it catches.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from tests.architecture.sources import PACKAGES, ROOT, Source

Rule = Callable[[Source], list[str]]
Function = ast.FunctionDef | ast.AsyncFunctionDef

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
PARAMETERS_MAX = 6
VAGUE_ENDINGS = ("Manager", "Helper", "Helpers", "Util", "Utils", "Handler", "Service", "Processor")
MAY_CATCH_ALL = {"engine/resilience/shield.py", "engine/resilience/tolerate.py", "engine/cli/main.py"}
SETTINGS = {
    f"configs/{name}.py"
    for name in ("settings", "caching", "catalogue", "history", "policies", "resilience", "routing", "splits")
}
MAY_IMPORT_OTEL_SDK = {"engine/telemetry/tracing.py"}
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "diskcache"}
UNSAFE_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system"}
CLOCKS = re.compile(
    r"^(time\.\w+|datetime\.(datetime\.)?(now|utcnow|today)|(datetime\.)?date\.today|random\.\w+|secrets\.\w+"
    r"|uuid\.uuid[14]|open|input|print)$"
)
WAIVER = re.compile(r"#\s*(noqa|type:\s*ignore|pyright:\s*ignore|pragma)\b[^-–]*(?P<reason>[-–].*\w.*)?$")


def functions(tree: ast.AST) -> Iterator[Function]:
    """Every function and method, nested ones included."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def imports(tree: ast.AST) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Line, module and imported names of every import; plain imports have no names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module, tuple(alias.name for alias in node.names)


def calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every call to a plain or dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            yield node.lineno, ast.unparse(node.func)


def file_size(source: Source) -> list[str]:
    """A file that needs more lines has more than one reason to change."""
    return [f"{source.lines} lines, at most {FILE_LINES_MAX}"] if source.lines > FILE_LINES_MAX else []


def function_size(source: Source) -> list[str]:
    """Functions fit on a screen."""
    sizes = ((f, (f.end_lineno or f.lineno) - f.lineno + 1) for f in functions(source.tree))
    return [
        f"{f.lineno}: {f.name} has {size} lines, at most {FUNCTION_LINES_MAX}"
        for f, size in sizes
        if size > FUNCTION_LINES_MAX
    ]


def parameters(source: Source) -> list[str]:
    """A long parameter list is a value that has no name yet. Typer commands declare options as parameters."""
    if source.path.startswith("engine/cli/"):
        return []
    wrong: list[str] = []
    for function in functions(source.tree):
        given = function.args
        names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        names += [a.arg for a in (given.vararg, given.kwarg) if a is not None]
        count = len([name for name in names if name not in {"self", "cls"}])
        if count > PARAMETERS_MAX:
            wrong.append(f"{function.lineno}: {function.name} takes {count} parameters, at most {PARAMETERS_MAX}")
    return wrong


def vague_names(source: Source) -> list[str]:
    """A class is named by what it is or by what happened, never by a role any class could have."""
    return [
        f"{node.lineno}: class {node.name}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith(VAGUE_ENDINGS)
    ]


def facade_imports(source: Source) -> list[str]:
    """Inside a package nobody imports through its ``__init__``: that is how cycles start."""
    wrong: list[str] = []
    for line, module, names in imports(source.tree):
        inside = source.package == module or source.package.startswith(f"{module}.")
        if inside and (not names or any(not _is_submodule(module, name) for name in names)):
            wrong.append(f"{line}: imports from its own package {module}")
    return wrong


def _is_submodule(package: str, name: str) -> bool:
    folder = ROOT / PurePosixPath(package.replace(".", "/"))
    return (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file()


def broad_excepts(source: Source) -> list[str]:
    """Catching everything belongs to the shield and the outermost handler; elsewhere errors have names.

    Cleaning up is not catching: ``except BaseException`` may end in a bare ``raise``, so cancellation passes.
    """
    if source.path in MAY_CATCH_ALL:
        return []
    return [
        f"{node.lineno}: except {ast.unparse(node.type) if node.type else ''}".rstrip()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler) and _catches_all(node)
    ]


def _catches_all(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    caught = {"BaseException" if kind is None else ast.unparse(kind) for kind in kinds}
    last = handler.body[-1]
    cleans_up = isinstance(last, ast.Raise) and last.exc is None
    return "Exception" in caught or ("BaseException" in caught and not cleans_up)


def unsafe_loading(source: Source) -> list[str]:
    """Nothing that runs code from data."""
    wrong = [f"{line}: imports {m}" for line, m, _ in imports(source.tree) if m.split(".")[0] in UNSAFE_MODULES]
    wrong += [f"{line}: calls {name}" for line, name in calls(source.tree) if name in UNSAFE_CALLS]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) == "True":
            wrong.append(f"{node.lineno}: shell=True")
    return wrong


def numeric_defaults(source: Source) -> list[str]:
    """Defaults live with the settings. Zero is allowed: it is where a count starts, not a choice."""
    if source.path in SETTINGS:
        return []
    wrong: list[str] = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.arguments):
            defaults = [d for d in (*node.defaults, *node.kw_defaults) if d is not None]
            wrong += [f"{d.lineno}: default {ast.unparse(d)} in a signature" for d in defaults if _is_choice(d)]
        elif isinstance(node, ast.ClassDef):
            fields = [f for f in node.body if isinstance(f, ast.AnnAssign) and f.value and _is_choice(f.value)]
            wrong += [
                f"{f.lineno}: default {ast.unparse(f)} of a field" for f in fields if "Final" not in ast.unparse(f)
            ]
    return wrong


def _is_choice(value: ast.expr) -> bool:
    if isinstance(value, ast.UnaryOp):
        value = value.operand
    return isinstance(value, ast.Constant) and type(value.value) in {int, float} and value.value != 0


def otel_sdk(source: Source) -> list[str]:
    """Library code speaks to the OpenTelemetry API; one module sets up the SDK."""
    if source.path in MAY_IMPORT_OTEL_SDK:
        return []
    return [
        f"{line}: imports {module}"
        for line, module, names in imports(source.tree)
        if module.startswith("opentelemetry.sdk") or (module == "opentelemetry" and "sdk" in names)
    ]


def unexplained_waivers(source: Source) -> list[str]:
    """A rule is waived with its reason on the same line: ``# noqa: X - because``."""
    wrong: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT:
            found = WAIVER.search(token.string)
            if found and not found["reason"]:
                wrong.append(f"{token.start[0]}: {token.string}")
    return wrong


def clocks(source: Source) -> list[str]:
    """For modules that decide: time, chance and files come in as arguments."""
    wrong = [
        f"{line}: imports {module}"
        for line, module, _ in imports(source.tree)
        if module.split(".")[0] in {"time", "random", "secrets"}
    ]
    return wrong + [f"{line}: calls {name}" for line, name in calls(source.tree) if CLOCKS.match(name)]


RULES: tuple[Rule, ...] = (
    file_size,
    function_size,
    parameters,
    vague_names,
    facade_imports,
    broad_excepts,
    unsafe_loading,
    numeric_defaults,
    otel_sdk,
    unexplained_waivers,
)


def own_imports(source: Source, known: set[str]) -> set[str]:
    """Modules in ``known`` that ``source`` imports, at the top, late, or for types."""
    found: set[str] = set()
    for _, module, names in imports(source.tree):
        if module.split(".")[0] in PACKAGES:
            found |= {f"{module}.{name}" for name in names} & known or {module} & known
    return found - {source.module}
