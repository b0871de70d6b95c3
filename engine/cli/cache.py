"""``switchgear cache``: what the answer cache holds, why a pair of questions shares an answer, and forgetting.

Works beside engines that are running. Nothing is deleted without ``--yes``: first comes a dry run.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options
from engine.cli.console import err, markup, out, print_json
from engine.cli.loop import run

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.cache.selection import Selection

app = typer.Typer(no_args_is_help=True, help="The answer cache: stats, search, explain, invalidate, export.")
SHOWN = 20
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")

Words = Annotated[str | None, typer.Argument(help="Words of the question or the answer.", show_default=False)]
Tag = Annotated[
    list[str] | None, typer.Option("--tag", help="key=value of the request, or key.", show_default=False)
]
Agent = Annotated[str | None, typer.Option("--agent", help="Answered by this one.", show_default=False)]
Version = Annotated[
    str | None, typer.Option("--agent-version", help="Of that agent, or its beginning.", show_default=False)
]
Older = Annotated[str | None, typer.Option("--older-than", help="As in 90s, 30m, 12h, 7d.", show_default=False)]
User = Annotated[str | None, typer.Option("--user", help="Whose requests they answered.", show_default=False)]
Tenant = Annotated[str, typer.Option("--tenant", help="The user's tenant.")]
DEFAULT_TENANT = "default"


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
    _ = debug
    run(_stats(_Where(profile=profile, config=config, as_json=as_json)))


@app.command()
def search(
    words: Words = None,
    tag: Tag = None,
    agent: Agent = None,
    version: Version = None,
    older: Older = None,
    user: User = None,
    tenant: Tenant = DEFAULT_TENANT,
    near: Annotated[bool, typer.Option("--near", help="By meaning, among what this user may be served.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000, help="At most so many.")] = SHOWN,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List entries by words, tag, agent, age or user; or, with --near, what is closest to a question and why."""
    _ = debug
    where = _Where(profile=profile, config=config, as_json=as_json)
    if near:
        run(_near(where, words or "", user or "local", tenant, agent, limit))
    else:
        run(_search(where, _selection(words, tag, agent, version, older, user, tenant), limit))


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
    _ = debug
    run(_explain(_Where(profile=profile, config=config, as_json=as_json), asked, stored))


@app.command()
def invalidate(
    words: Words = None,
    tag: Tag = None,
    agent: Agent = None,
    version: Version = None,
    older: Older = None,
    user: User = None,
    tenant: Tenant = DEFAULT_TENANT,
    everything: Annotated[bool, typer.Option("--everything", help="All entries of all users.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; without it they are only counted.")] = False,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Forget entries by words, tag, agent, agent version, age or user. A dry run unless --yes."""
    from engine.cache.selection import Selection  # noqa: PLC0415 - keeps --help light

    _ = debug
    chosen = _selection(words, tag, agent, version, older, user, tenant)
    if everything:
        if not chosen.is_empty:
            raise typer.BadParameter("either --everything or a choice, not both")
        chosen = Selection(everything=True)
    run(_invalidate(_Where(profile=profile, config=config, as_json=as_json), chosen, dry_run=not yes))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="JSON lines; only you may read it.", dir_okay=False)],
    words: Annotated[
        str | None, typer.Option("--words", help="Of question or answer.", show_default=False)
    ] = None,
    tag: Tag = None,
    agent: Agent = None,
    user: User = None,
    tenant: Tenant = DEFAULT_TENANT,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write entries with their questions, answers and provenance to a file."""
    _ = debug
    chosen = _selection(words, tag, agent, None, None, user, tenant)
    run(_export(_Where(profile=profile, config=config, as_json=as_json), chosen, file))


@asynccontextmanager
async def _opened(where: _Where) -> AsyncGenerator[Engine]:
    from engine.app import Engine  # noqa: PLC0415 - keeps --help light

    async with Engine.open(where.profile, config_file=where.config) as engine:
        yield engine


def _selection(
    words: str | None,
    tags: Sequence[str] | None,
    agent: str | None,
    version: str | None,
    older: str | None,
    user: str | None,
    tenant: str,
) -> Selection:
    from configs.kernel import Principal  # noqa: PLC0415 - keeps --help light
    from engine.cache.fingerprint import tenant_of, user_of  # noqa: PLC0415 - same
    from engine.cache.selection import Selection  # noqa: PLC0415 - same

    pairs = (tag.partition("=") for tag in tags or ())
    return Selection(
        tags={key: value for key, _, value in pairs},
        agent=agent,
        agent_version=version,
        older_than_s=None if older is None else _age_s(older),
        text=words or None,
        by=None if user is None else user_of(Principal(user_id=user, tenant_id=tenant)),
        tenant=None if user is not None or tenant == DEFAULT_TENANT else tenant_of(tenant),
    )


def _age_s(text: str) -> float:
    found = _AGE.fullmatch(text.strip().lower())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no age", param_hint="--older-than (90s, 30m, 12h, 7d)")
    return float(found[1]) * UNITS[found[2]]


async def _stats(where: _Where) -> None:
    from engine.cli.cache_view import stats_table  # noqa: PLC0415 - keeps --help light

    async with _opened(where) as engine:
        figures = await engine.cache.stats()
    if where.as_json:
        print_json(asdict(figures))
    else:
        out().print(stats_table(figures))


async def _search(where: _Where, selection: Selection, limit: int) -> None:
    from engine.cli.cache_view import as_plain, entries_table  # noqa: PLC0415 - keeps --help light

    async with _opened(where) as engine:
        found = [entry async for entry in engine.cache.entries(selection)]
    found.sort(key=lambda entry: -entry.answer.stored_at_s)
    if where.as_json:
        print_json([as_plain(entry) for entry in found[:limit]])
    elif not found:
        err().print("no such entry")
    else:
        out().print(entries_table(found[:limit], time.time()))
        if len(found) > limit:
            err().print(f"{len(found) - limit:,} more; --limit shows them")


async def _near(where: _Where, words: str, user: str, tenant: str, agent: str | None, limit: int) -> None:
    from engine.cli.cache_view import near_table  # noqa: PLC0415 - keeps --help light

    async with _opened(where) as engine:
        found = await engine.cached_near(words, limit=limit, user_id=user, tenant_id=tenant, agent=agent)
    if where.as_json:
        print_json([asdict(one) for one in found])
    elif not found:
        err().print("nothing is stored that this user's question could be compared with")
    else:
        out().print(near_table(found))


async def _explain(where: _Where, asked: str, stored: str) -> None:
    from engine.cli.cache_view import verdict_view  # noqa: PLC0415 - keeps --help light

    async with _opened(where) as engine:
        verdict = await engine.cache.explain(asked, stored)
    if where.as_json:
        print_json(asdict(verdict))
    else:
        out().print(verdict_view(verdict))


async def _invalidate(where: _Where, selection: Selection, *, dry_run: bool) -> None:
    from engine.cli.cache_view import as_plain, entries_table  # noqa: PLC0415 - keeps --help light

    async with _opened(where) as engine:
        done = await engine.cache.invalidate(selection, dry_run=dry_run, examples=SHOWN)
    if where.as_json:
        examples = [as_plain(entry) for entry in done.examples]
        print_json({"count": done.count, "dry_run": done.dry_run, "examples": examples})
        return
    if done.examples:
        out().print(entries_table(done.examples, time.time()))
    noun = "entry" if done.count == 1 else "entries"
    after = "would be forgotten; say --yes to do it" if dry_run else "forgotten"
    err().print(f"{done.count:,} {noun} {after}")


async def _export(where: _Where, selection: Selection, file: Path) -> None:
    from engine.cli.cache_view import as_plain  # noqa: PLC0415 - keeps --help light
    from engine.cli.whole_file import write_lines  # noqa: PLC0415 - same

    async with _opened(where) as engine:
        lines = [as_plain(entry) async for entry in engine.cache.entries(selection)]
    write_lines(file, lines)
    if where.as_json:
        print_json({"entries": len(lines), "file": str(file)})
    else:
        err().print(f"{len(lines):,} entries in {markup(str(file))}")
