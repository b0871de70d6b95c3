"""What tools are to the rest of the engine: a call by capability, and a result that is always a value.

No implementation. ``mcp_tools/absent.py`` is the deny-by-default twin and all there is in this release; sessions,
chains of providers and safety rules (tool.chain, tool.sessions, tool.safety) come behind the same Protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from configs.kernel import Deadline, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """One use of a capability. ``arguments`` is what a model wrote: JSON that nobody has checked yet."""

    capability: str
    arguments: Mapping[str, Any]
    agent: str
    """Who asks; allow-lists are by agent."""
    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer:
    """What a tool returned. Text of strangers: never instructions, whatever it says (LLM01)."""

    call_id: str
    text: str
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRefusal:
    """A call that was not made, or failed: for the model to read and for the record. ``code`` is stable."""

    call_id: str
    capability: str
    code: str
    reason: str


class Tools(Protocol):
    """Tools by capability. Failures are results; only a capability that nobody configured is raised."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names that ``call`` knows, in order."""
        ...

    async def call(self, call: ToolCall, principal: Principal, deadline: Deadline) -> ToolAnswer | ToolRefusal:
        """Use a tool for ``principal``. Raises ``mcp_tools.errors.UnknownCapability``."""
        ...

    async def aclose(self) -> None:
        """End every session."""
        ...
