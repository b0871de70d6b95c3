"""Which requests may share an answer: one hash over everything the answer depends on (cache.scope).

Pure. Fields are length-prefixed before hashing, so no two different requests can spell the same input
(a separator inside a field cannot move a border), and ids of any text never appear in a key.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

from configs.kernel import Message
from engine.types import PERSONAL, Request

SCHEMA = "x2"
"""Bumped when what is hashed or stored changes; old entries are then never read again."""


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


def scope_key(tenant_id: str, user_id: str) -> str:
    """The hard partition: 16 hex digits of the owner's hash, the first part of every key."""
    return digest(("scope", tenant_id, user_id))[:16]


def fingerprint(request: Request, *, policy: str) -> str:
    """The cache key of ``request`` under ``policy``.

    ``policy`` is the digest of everything the engine would answer with: agents, prompts, model chains, guard.
    Shape: ``sg:x2:<scope>:<digest>``.
    """
    principal = request.principal
    fields = [
        SCHEMA,
        policy,
        principal.tier.value,
        *_optional(request.agent),
        *_counted(request.models),
        *_optional(request.max_tokens),
        *_optional(request.temperature),
        *_optional(request.region),
        "personal" if request.data_class in PERSONAL else "any",
        *_counted(_flatten(request.messages)),
    ]
    return f"sg:{SCHEMA}:{scope_key(principal.tenant_id, principal.user_id)}:{digest(fields)}"


def _optional(value: object) -> tuple[str, ...]:
    """``None`` apart from every value, also from an empty one."""
    return ("none",) if value is None else ("some", repr(value))


def _counted(items: Iterable[str]) -> list[str]:
    listed = list(items)
    return [str(len(listed)), *listed]


def _flatten(messages: Iterable[Message]) -> Iterable[str]:
    for message in messages:
        yield message.role
        yield normalise(message.content)
