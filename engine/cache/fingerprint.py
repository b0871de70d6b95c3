"""Which requests may share an answer: hashes over everything the answer depends on (cache.scope).

Pure. Fields are length-prefixed before hashing, so no two different requests can spell the same input
(a separator inside a field cannot move a border), and ids of any text never appear in a key.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from configs.kernel import Message, Principal
from engine.cached import Lookup, Place
from engine.types import Request

SCHEMA = "x3"
"""Bumped when what is hashed or stored changes; old entries are then never read again."""
OWNER_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Under:
    """What the engine brings to a request's scope."""

    policy: str
    """Digest of everything it would answer with: agents, prompts, tools, model chains, guard."""
    language: str
    """Of the question: paraphrases are looked for within one language."""
    live: bool
    """The question is about now: it never shares an answer with one that is not."""
    shareable: bool
    """Somebody who is ``context_free`` may answer, so the tenant's common entries are looked at, too."""
    common: bool = False
    """Nobody else can answer."""
    remembers: bool = False
    """The engine has memory."""


def digest(fields: Iterable[str]) -> str:
    """SHA-256 over length-prefixed UTF-8 fields, as 64 hex digits. Injective up to hash collisions."""
    sha = hashlib.sha256()
    for field in fields:
        data = field.encode()
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.hexdigest()


def normalise(text: str) -> str:
    """NFC, one kind of line end, no trailing space. Case and other space stay: they can carry meaning."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).rstrip()


def user_of(principal: Principal) -> str:
    """The partition of one user, 32 hex digits."""
    return digest(("user", principal.tenant_id, principal.user_id))[:OWNER_DIGITS]


def tenant_of(tenant_id: str) -> str:
    """The partition of what a tenant's users share, 32 hex digits."""
    return digest(("shared", tenant_id))[:OWNER_DIGITS]


def lookup_of(request: Request, under: Under) -> Lookup:
    """Where the answer to ``request`` may lie: with its user and, where that is allowed, with the tenant."""
    principal = request.principal
    fields = tuple(_fields(request, under))
    question = normalise(request.question)
    own = _place(user_of(principal), fields, question)
    shared = _place(tenant_of(principal.tenant_id), fields, question) if under.shareable else None
    return Lookup(own=own, shared=shared, common=under.common, remembers=under.remembers)


def _place(owner: str, fields: tuple[str, ...], question: str) -> Place:
    scope = digest((owner, *fields))
    return Place(owner=owner, scope=scope, key=digest((scope, question)))


def _fields(request: Request, under: Under) -> Iterable[str]:
    """Everything but the owner and the question."""
    yield SCHEMA
    yield under.policy
    yield under.language
    yield request.principal.tier.value
    yield from _optional(request.agent)
    yield from _counted(request.models)
    yield from _optional(request.max_tokens)
    yield from _optional(request.temperature)
    yield from _optional(request.region)
    yield "now" if under.live else "any time"
    yield request.data_class
    yield from _counted(_context(request.messages))


def _context(messages: tuple[Message, ...]) -> Iterable[str]:
    """System prompt and history, and where among them the question stands."""
    asked = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
    for at, message in enumerate(messages):
        yield message.role
        yield "" if at == asked else normalise(message.content)


def _optional(value: object) -> tuple[str, ...]:
    """``None`` apart from every value, also from an empty one."""
    return ("none",) if value is None else ("some", repr(value))


def _counted(items: Iterable[str]) -> list[str]:
    listed = list(items)
    return [str(len(listed)), *listed]
