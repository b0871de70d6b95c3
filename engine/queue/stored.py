"""How a queued request is written down, so that any replica and the next release can run it.

JSON with a schema number. It holds what was asked and who asked, and no secret: keys and addresses of models stay
in the configuration of whoever runs it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Final, cast

from pydantic import TypeAdapter, ValidationError

from configs.kernel import Message, Principal
from engine.ticket import TicketError
from engine.types import Answer, CacheMode, DataClass, Priority

SCHEMA: Final = 2
READABLE: Final = frozenset({1, SCHEMA})
"""1 knew neither data classes nor regions: what it wrote has none. It leaves 2 to whoever keeps them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRequest:
    """``engine.types.Request`` without what belongs to one moment: the deadline is a length here."""

    id: str
    principal: Principal
    messages: tuple[Message, ...]
    deadline_s: float
    priority: Priority
    max_tokens: int | None = None
    temperature: float | None = None
    agent: str | None = None
    models: tuple[str, ...] = ()
    cache: CacheMode = "default"
    ttl_s: int
    tags: dict[str, str] = field(default_factory=dict[str, str])
    data_class: DataClass = "internal"
    region: str | None = None


class NotReadable(Exception):
    """Stored bytes that are not a request. ``newer``: written by a later release, so leave it to that."""

    def __init__(self, reason: str, *, newer: bool) -> None:
        super().__init__(reason)
        self.newer = newer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    schema: int
    request: QueuedRequest


_DOCUMENT = TypeAdapter(_Document)
_ANSWER = TypeAdapter(Answer)
_ERROR = TypeAdapter(TicketError)


def encode(request: QueuedRequest) -> bytes:
    """The request as UTF-8 JSON."""
    return _DOCUMENT.dump_json(_Document(schema=SCHEMA, request=request))


def decode(data: bytes) -> QueuedRequest:
    """The request. Raises ``NotReadable``."""
    try:
        return _DOCUMENT.validate_json(data).request if _schema(data) in READABLE else _refuse(_schema(data))
    except ValidationError as exc:
        raise NotReadable(f"{exc.error_count()} fields are wrong", newer=False) from None


def digest(request: QueuedRequest) -> str:
    """SHA-256 of what was asked, whoever's id it carries: equal for a repeat under the same idempotency key."""
    return hashlib.sha256(encode(replace(request, id=""))).hexdigest()


def scoped(principal: Principal, key: str) -> str:
    """An idempotency key as one digest with its owner: nobody meets another's ticket by guessing keys."""
    parts = (principal.tenant_id, principal.user_id, key)
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()


def encode_answer(answer: Answer) -> bytes:
    """An answer as UTF-8 JSON."""
    return _ANSWER.dump_json(answer)


def decode_answer(data: bytes) -> Answer | None:
    """The answer; ``None`` when this release cannot read it."""
    try:
        return _ANSWER.validate_json(data)
    except ValidationError:
        return None


def decode_error(data: bytes) -> TicketError:
    """The error, without what a later release added to it; one that cannot be read says so."""
    try:
        return _ERROR.validate_json(data)
    except ValidationError:
        return TicketError(
            code="error_unreadable", message="a release that writes errors otherwise wrote this one"
        )


def _schema(data: bytes) -> int:
    try:
        document: object = json.loads(data)
    except ValueError:
        raise NotReadable("it is not JSON", newer=False) from None
    number = cast("dict[str, object]", document).get("schema") if isinstance(document, dict) else None
    if not isinstance(number, int):
        raise NotReadable("it has no schema number", newer=False)
    return number


def _refuse(schema: int) -> QueuedRequest:
    raise NotReadable(f"schema {schema}, this release reads {SCHEMA}", newer=schema > SCHEMA)
