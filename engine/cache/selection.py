"""Which entries an operator means: by tag, agent, version, age, text, user (cache.write: invalidation). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.cached import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Entries that meet every condition that is set; without any, none unless ``everything``."""

    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tags of the request that was answered; an empty value means any."""
    agent: str | None = None
    agent_version: str | None = None
    """Digest, or its beginning."""
    older_than_s: float | None = None
    text: str | None = None
    """Words of question or answer, any case."""
    by: str | None = None
    """32 hex digits (``user_of``) of the user whose request it answered, shared entries included."""
    tenant: str | None = None
    """32 hex digits of the tenant (``tenant_of``)."""
    everything: bool = False

    @property
    def is_empty(self) -> bool:
        """Nothing is set."""
        return self == Selection()


def selects(selection: Selection, entry: Entry, *, now_s: float) -> bool:
    """Whether ``entry`` is meant. ``now_s`` is Unix time."""
    answer, source = entry.answer, entry.answer.provenance
    age_s = now_s - answer.stored_at_s
    needle = None if selection.text is None else selection.text.casefold()
    tags: Mapping[str, str] = {} if source is None else source.tags
    agent = answer.decision.agent if source is None else source.agent
    conditions = (
        all(key in tags and value in ("", tags[key]) for key, value in selection.tags.items()),
        selection.agent is None or agent == selection.agent,
        selection.agent_version is None
        or (source is not None and source.agent_version.startswith(selection.agent_version)),
        selection.older_than_s is None or age_s > selection.older_than_s,
        needle is None or needle in answer.question.casefold() or needle in answer.text.casefold(),
        selection.by is None or (source is not None and source.by == selection.by),
        selection.tenant is None or (source is not None and source.tenant == selection.tenant),
    )
    return not selection.is_empty and all(conditions)
