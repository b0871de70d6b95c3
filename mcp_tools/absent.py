"""``Tools`` that are not built: every configured capability is known by name, and every call of one is refused.

Not a fake for tests only: it is what an engine without tools runs on, so that a model that asks for one is told
the truth instead of nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from configs.catalogue import ToolSettings
from configs.kernel import Deadline, Principal
from mcp_tools.contract import ToolCall, ToolRefusal
from mcp_tools.errors import UnknownCapability


class AbsentTools:
    """Deny-by-default twin of ``mcp_tools.contract.Tools``."""

    def __init__(self, tools: Iterable[ToolSettings]) -> None:
        self._names = tuple(tool.name for tool in tools)

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Every configured name, in order."""
        return self._names

    async def call(self, call: ToolCall, principal: Principal, deadline: Deadline) -> ToolRefusal:
        """Refuse, by name. Raises ``UnknownCapability``."""
        del principal, deadline
        if call.capability not in self._names:
            raise UnknownCapability(call.capability, self._names)
        return ToolRefusal(
            call_id=call.call_id,
            capability=call.capability,
            code="tools_not_built",
            reason=f"the tool {call.capability!r} is configured, but this release cannot call tools",
        )

    async def aclose(self) -> None:
        """Nothing to end."""
