"""The ``switchgear`` command: options shared by all commands, and the one place where errors become exit codes.

Commands live in a file each and import the engine inside their functions: LangGraph and the OpenAI client take
seconds to import, and ``--help`` must answer at once.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from configs.errors import ConfigError, SwitchgearError
from engine.cli import (
    agents,
    ask,
    bench,
    breakers,
    cache,
    chaos,
    chat,
    doctor,
    evals,
    history,
    queue,
    report,
    route,
    split,
    train,
)
from engine.cli.console import drop_stdout, err, print_error, print_version

app = typer.Typer(
    name="switchgear",
    help="Route LLM work to agents, cache what can be cached, and fail soft.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    if version:
        print_version()
        raise typer.Exit


app.command("ask")(ask.ask)
app.command("chat")(chat.chat)
app.command("route")(route.route)
app.command("agents")(agents.agents)
app.command("doctor")(doctor.doctor)
app.command("eval")(evals.evaluate)
app.command("bench")(bench.bench)
app.command("chaos")(chaos.chaos)
app.add_typer(breakers.app, name="breakers")
app.add_typer(cache.app, name="cache")
app.add_typer(history.app, name="history")
app.add_typer(queue.app, name="queue")
app.add_typer(split.app, name="split")
app.add_typer(report.app, name="report")
app.add_typer(train.app, name="train")

USAGE, FAILURE, INTERRUPTED = 2, 1, 130


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code: 0 answered, 1 failed, 2 wrong input, 130 interrupted."""
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        drop_stdout()
        code = 0
    sys.exit(code)


def _run(args: list[str]) -> int:
    debug, as_json = "--debug" in args, "--json" in args
    # What goes wrong is said once, by the error; the log repeats it for servers.
    logging.basicConfig(level=logging.INFO if debug else logging.ERROR)
    try:
        code = app([a for a in args if a != "--debug"], standalone_mode=False)
    except SwitchgearError as exc:
        if debug:
            traceback.print_exc()
        print_error(exc.code, exc.message, exc.hint, as_json=as_json)
        return USAGE if isinstance(exc, ConfigError) or _is_input(exc) else FAILURE
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        err().print("interrupted")
        return INTERRUPTED
    except SystemExit as exc:
        if isinstance(exc.__context__, BrokenPipeError):  # Click turns it into exit code 1
            raise BrokenPipeError from None
        raise
    except BrokenPipeError:
        raise
    except Exception as exc:  # noqa: BLE001 - the outermost handler: a person sees a sentence, not a stack
        if debug:
            traceback.print_exc()
        return _unforeseen(exc, as_json)
    return code if isinstance(code, int) else 0


def _is_input(exc: SwitchgearError) -> bool:
    from engine.errors import InvalidInput, NotBuilt  # noqa: PLC0415 - only on the way out, keeps --help light

    return isinstance(exc, InvalidInput | NotBuilt)


def _unforeseen(exc: Exception, as_json: bool) -> int:
    code = _click_exit(exc)
    if code is not None:
        return code
    print_error(
        "internal_error",
        f"{type(exc).__name__}: this is a bug in switchgear",
        "run again with --debug and report what it prints",
        as_json=as_json,
    )
    return FAILURE


def _click_exit(exc: Exception) -> int | None:
    """Let Click show its own usage errors; their exit code, or ``None`` for anything else."""
    show = getattr(exc, "show", None)
    code = getattr(exc, "exit_code", None)
    if callable(show) and isinstance(code, int):
        show()
        return code
    return None


if __name__ == "__main__":
    main()
