"""How a registration is written down, so that any replica and the next release can read it. Pure.

JSON with a schema number. Fields at their defaults are left out: an entry that uses nothing new stays readable for
the release before.
"""

from __future__ import annotations

import json
from typing import Final, cast

from pydantic import ValidationError

from configs.catalogue import AgentCapability

SCHEMA: Final = 1


class EntryUnreadable(Exception):
    """Bytes that are no registration this release can read; the text says why."""


def encode(capability: AgentCapability) -> bytes:
    """A registration as UTF-8 JSON."""
    agent = capability.model_dump(mode="json", exclude_defaults=True)
    return json.dumps({"schema": SCHEMA, "agent": agent}, ensure_ascii=False, separators=(",", ":")).encode()


def decode(name: str, body: bytes) -> AgentCapability:
    """The registration that is stored under ``name``. Raises ``EntryUnreadable``."""
    try:
        document: object = json.loads(body)
    except ValueError:
        raise EntryUnreadable("it is not JSON") from None
    fields = cast("dict[str, object]", document) if isinstance(document, dict) else {}
    schema = fields.get("schema")
    if not isinstance(schema, int):
        raise EntryUnreadable("it has no schema number")
    if schema != SCHEMA:
        raise EntryUnreadable(f"it has schema {schema}, this release reads {SCHEMA}")
    try:
        capability = AgentCapability.model_validate(fields.get("agent"))
    except ValidationError as exc:
        wrong = ", ".join(sorted({".".join(map(str, error["loc"])) or "agent" for error in exc.errors()}))
        raise EntryUnreadable(f"fields it cannot read: {wrong}") from None
    if capability.name != name:
        raise EntryUnreadable(f"it is of another agent, {capability.name!r}")
    return capability


def same(name: str, body: bytes, capability: AgentCapability) -> bool:
    """Whether an entry is this agent: replicas that run the same code register the same; that is no conflict."""
    try:
        return decode(name, body) == capability
    except EntryUnreadable:
        return False
