"""Which entries the options of ``switchgear cache`` mean, and finding them. Prints nothing.

What cannot be meant is refused before anything is opened.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from configs.kernel import DEFAULT_TENANT, Principal
from engine.cache.fingerprint import tenant_of, user_of
from engine.cache.selection import Selection
from engine.cli.lengths import seconds_of
from engine.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.cached import Entry

_HOW = "words, --tag, --agent, --agent-version, --older-than, --user or --tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Options as they were typed; ``None``: not at all."""

    words: str | None = None
    tags: Sequence[str] = ()
    agent: str | None = None
    version: str | None = None
    older: str | None = None
    user: str | None = None
    tenant: str | None = None
    everything: bool = False


def selection_of(choice: Choice) -> Selection:
    """What they select. Raises ``InvalidInput`` for a blank value, a bad age, and --everything beside a choice."""
    _refuse_blank(choice)
    pairs = (tag.partition("=") for tag in choice.tags)
    selection = Selection(
        tags={key: value for key, _, value in pairs},
        agent=choice.agent,
        agent_version=choice.version,
        older_than_s=None if choice.older is None else seconds_of(choice.older, "--older-than", "invalid_age"),
        text=choice.words,
        by=None if choice.user is None else user_of(_principal(choice.user, choice.tenant)),
        tenant=tenant_of(choice.tenant) if choice.user is None and choice.tenant is not None else None,
    )
    if not choice.everything:
        return selection
    if not selection.is_empty:
        raise InvalidInput(
            "--everything stands beside a choice", hint="drop one of the two", code="contradictory_selection"
        )
    return Selection(everything=True)


def refuse_empty(selection: Selection) -> None:
    """Raise ``InvalidInput`` when nothing says which entries are meant."""
    if selection.is_empty:
        raise InvalidInput(
            "nothing says which entries to forget",
            hint=f"name {_HOW}; --everything means all entries of all users",
            code="empty_selection",
        )


async def youngest(engine: Engine, selection: Selection, limit: int) -> tuple[int, list[Entry]]:
    """How many there are, and the last ``limit`` of them that were stored, youngest first.

    Raises ``UnknownName`` when there are none and nobody knows the agent.
    """
    kept: list[tuple[float, int, Entry]] = []
    count = 0
    async for entry in engine.cache.entries(selection):
        count += 1
        heapq.heappush(kept, (entry.answer.stored_at_s, count, entry))
        if len(kept) > limit:
            heapq.heappop(kept)
    if not count:
        refuse_unknown(engine, selection)
    return count, [entry for _, _, entry in sorted(kept, reverse=True)]


async def all_of(engine: Engine, selection: Selection) -> list[Entry]:
    """Every entry that is meant. Raises ``UnknownName`` as ``youngest`` does."""
    found = [entry async for entry in engine.cache.entries(selection)]
    if not found:
        refuse_unknown(engine, selection)
    return found


def refuse_unknown(engine: Engine, selection: Selection) -> None:
    """An agent may have gone and left answers; one that has none and is unknown is a typing error."""
    known = {agent.name for agent in engine.agents} | set(engine.elsewhere)
    if selection.agent is not None and selection.agent not in known:
        raise UnknownName("agent", selection.agent, known)


def _principal(user: str, tenant: str | None) -> Principal:
    return Principal(user_id=user, tenant_id=DEFAULT_TENANT if tenant is None else tenant)


def _refuse_blank(choice: Choice) -> None:
    """A variable that a script forgot to set must not widen what is forgotten."""
    blank = [name for name, value in _given(choice) if not value.strip()]
    if blank:
        raise InvalidInput(f"{blank[0]} is empty", hint="give it a value or leave it out", code="blank_selection")


def _given(choice: Choice) -> Iterable[tuple[str, str]]:
    named = {
        "the text": choice.words,
        "--agent": choice.agent,
        "--agent-version": choice.version,
        "--older-than": choice.older,
        "--user": choice.user,
        "--tenant": choice.tenant,
    }
    yield from ((name, value) for name, value in named.items() if value is not None)
    yield from (("--tag", tag.partition("=")[0]) for tag in choice.tags)
