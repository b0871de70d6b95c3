"""``switchgear cache``: what the answer cache holds, why a pair of questions shares an answer, and forgetting.

Works beside engines that are running. Nothing is deleted without ``--yes``: first comes a dry run.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from configs.kernel import DEFAULT_TENANT
from engine.cli import options
from engine.cli.console import err, markup, out, print_json, progress
from engine.cli.lengths import EXAMPLES
from engine.cli.loop import run

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.ask import AskOptions
    from engine.cache.selection import Selection
    from engine.cache_desk import Invalidated, Neighbour
    from engine.cli.cache_choice import Choice

app = typer.Typer(no_args_is_help=True, help="The answer cache: stats, search, explain, invalidate, export.")
SHOWN = 20
NONE = "no such entry; `switchgear cache stats` says how many there are"
T = TypeVar("T")

Words = Annotated[str | None, typer.Argument(help="Words of the question or the answer.", show_default=False)]
Tag = Annotated[
    list[str] | None, typer.Option("--tag", help="key=value of the request, or key.", show_default=False)
]
Agent = Annotated[str | None, typer.Option("--agent", help="Answered by this one.", show_default=False)]
Version = Annotated[
    str | None, typer.Option("--agent-version", help="Of that agent, or its beginning.", show_default=False)
]
Older = Annotated[str | None, typer.Option("--older-than", help=f"As in {EXAMPLES}.", show_default=False)]
User = Annotated[str | None, typer.Option("--user", help="Whose requests they answered.", show_default=False)]
Tenant = Annotated[
    str | None, typer.Option("--tenant", help="The user's tenant; alone: all of its users.", show_default=False)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Where:
    """Which configuration, and how to show it."""

    profile: str | None
    config: Path | None
    as_json: bool


@app.command()
def stats(
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Entries, memory and hits of both tiers."""
    from engine.cli.cache_view import stats_table  # noqa: PLC0415 - keeps --help light

    _ = debug
    where = _Where(profile=profile, config=config, as_json=as_json)
    figures = _with_engine(where, "asking the cache", lambda engine: engine.cache.stats())
    if as_json:
        print_json(asdict(figures))
    else:
        out().print(stats_table(figures))


@app.command()
def search(
    words: Words = None,
    tag: Tag = None,
    agent: Agent = None,
    version: Version = None,
    older: Older = None,
    user: User = None,
    tenant: Tenant = None,
    near: Annotated[
        bool, typer.Option("--near", help="By meaning: what this user might be served, and why not.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000, help="At most so many.")] = SHOWN,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List entries by words, tag, agent, age or user; or, with --near, what is closest to a question and why."""
    from engine.cli.cache_choice import Choice  # noqa: PLC0415 - keeps --help light

    _ = debug
    where = _Where(profile=profile, config=config, as_json=as_json)
    choice = Choice(
        words=words, tags=tag or (), agent=agent, version=version, older=older, user=user, tenant=tenant
    )
    if near:
        _search_near(where, choice, limit)
    else:
        _search(where, choice, limit)


@app.command()
def explain(
    asked: Annotated[str, typer.Argument(help="The question asked.")],
    stored: Annotated[str, typer.Argument(help="The question whose answer is stored.")],
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Whether the answer to one question may be served to the other, and which rule says so."""
    from engine.cache.fingerprint import normalise  # noqa: PLC0415 - keeps --help light
    from engine.cli.cache_view import verdict_view  # noqa: PLC0415 - same

    _ = debug
    where = _Where(profile=profile, config=config, as_json=as_json)
    verdict = _with_engine(where, "reading both questions", lambda engine: engine.cache.explain(asked, stored))
    exact = normalise(asked) == normalise(stored)
    if as_json:
        print_json({"exact": exact, **asdict(verdict)})
    else:
        out().print(verdict_view(verdict, exact=exact), soft_wrap=True)


@app.command()
def invalidate(
    words: Words = None,
    tag: Tag = None,
    agent: Agent = None,
    version: Version = None,
    older: Older = None,
    user: User = None,
    tenant: Tenant = None,
    everything: Annotated[bool, typer.Option("--everything", help="All entries of all users.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; without it they are only counted.")] = False,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Forget entries by words, tag, agent, agent version, age or user. A dry run unless --yes."""
    from engine.cli.cache_choice import Choice, refuse_empty, selection_of  # noqa: PLC0415 - keeps --help light

    _ = debug
    choice = Choice(
        words=words,
        tags=tag or (),
        agent=agent,
        version=version,
        older=older,
        user=user,
        tenant=tenant,
        everything=everything,
    )
    selection = selection_of(choice)
    refuse_empty(selection)
    _invalidate(_Where(profile=profile, config=config, as_json=as_json), selection, dry_run=not yes)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="JSON lines; only you may read it.", dir_okay=False)],
    words: Annotated[
        str | None, typer.Option("--words", help="Of question or answer.", show_default=False)
    ] = None,
    tag: Tag = None,
    agent: Agent = None,
    version: Version = None,
    older: Older = None,
    user: User = None,
    tenant: Tenant = None,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write entries with their questions, answers and provenance to a file; all of them unless chosen."""
    from engine.cli.cache_choice import Choice, all_of, selection_of  # noqa: PLC0415 - keeps --help light
    from engine.cli.cache_view import as_plain  # noqa: PLC0415 - same
    from engine.cli.whole_file import write_lines  # noqa: PLC0415 - same

    _ = debug
    where = _Where(profile=profile, config=config, as_json=as_json)
    choice = Choice(
        words=words, tags=tag or (), agent=agent, version=version, older=older, user=user, tenant=tenant
    )
    selection = selection_of(choice)
    found = _with_engine(where, "looking through the cache", lambda engine: all_of(engine, selection))
    count = write_lines(file, map(as_plain, found))
    if as_json:
        print_json({"entries": count, "file": str(file)})
    else:
        err().print(f"{count:,} {_entry(count)} in {markup(str(file))}", soft_wrap=True)


def _search(where: _Where, choice: Choice, limit: int) -> None:
    from engine.cli.cache_choice import selection_of, youngest  # noqa: PLC0415 - keeps --help light
    from engine.cli.cache_view import as_plain, entries_table  # noqa: PLC0415 - same

    selection = selection_of(choice)
    count, found = _with_engine(
        where, "looking through the cache", lambda engine: youngest(engine, selection, limit)
    )
    if where.as_json:
        print_json([as_plain(entry) for entry in found])
    elif not found:
        err().print(NONE)
    else:
        out().print(entries_table(found, time.time(), out().width))
        if count > len(found):
            err().print(f"{count - len(found):,} more; --limit shows them")


def _search_near(where: _Where, choice: Choice, limit: int) -> None:
    from engine.cli.cache_choice import Choice, selection_of  # noqa: PLC0415 - keeps --help light
    from engine.cli.cache_view import near_table  # noqa: PLC0415 - same
    from engine.errors import InvalidInput  # noqa: PLC0415 - same

    selection_of(choice)  # says what is blank
    words, agent = choice.words, choice.agent
    if words is None or choice != Choice(words=words, agent=agent, user=choice.user, tenant=choice.tenant):
        raise InvalidInput(
            "--near takes a question, and of the options --agent, --user and --tenant only",
            hint='switchgear cache search --near "How do I sort a list?" --user ada',
            code="invalid_search",
        )
    user, tenant = choice.user or "local", choice.tenant or DEFAULT_TENANT

    from engine.ask import ask  # noqa: PLC0415 - keeps --help light

    async def look(engine: Engine) -> tuple[Neighbour, ...]:
        known = [one.name for one in engine.agents]
        options: AskOptions = {"user_id": user, "tenant_id": tenant, "agent": agent}
        return await engine.cache.near(await ask(words, options, engine.settings, known), limit)

    found = _with_engine(where, "reading the question", look)
    if where.as_json:
        print_json([asdict(one) for one in found])
    elif found:
        out().print(near_table(found))
    else:
        whose = (
            f"user {markup(user)}, tenant {markup(tenant)}{'' if agent is None else f', agent {markup(agent)}'}"
        )
        err().print(
            f"nothing is stored that this question could be compared with ({whose}, this configuration)",
            soft_wrap=True,
        )


def _invalidate(where: _Where, selection: Selection, *, dry_run: bool) -> None:
    from engine.cli.cache_choice import refuse_unknown  # noqa: PLC0415 - keeps --help light
    from engine.cli.cache_view import as_plain, entries_table  # noqa: PLC0415 - same

    async def forget(engine: Engine) -> Invalidated:
        done = await engine.cache.invalidate(selection, dry_run=dry_run, examples=SHOWN)
        if not done.count:
            refuse_unknown(engine, selection)
        return done

    done = _with_engine(where, "looking through the cache", forget)
    if where.as_json:
        examples = [as_plain(entry) for entry in done.examples]
        print_json({"count": done.count, "dry_run": done.dry_run, "examples": examples})
        return
    if not done.count:
        err().print(NONE)
        return
    out().print(entries_table(done.examples, time.time(), out().width))
    after = "would be forgotten; say --yes to do it" if dry_run else "forgotten"
    err().print(f"{done.count:,} {_entry(done.count)} {after}")


def _with_engine(where: _Where, doing: str, use: Callable[[Engine], Awaitable[T]]) -> T:
    async def opened() -> T:
        with progress() as bar:
            bar.add_task(doing, total=None)
            from engine.app import Engine  # noqa: PLC0415 - keeps --help light

            async with Engine.open(where.profile, config_file=where.config) as engine:
                return await use(engine)

    return run(opened())


def _entry(count: int) -> str:
    return "entry" if count == 1 else "entries"
