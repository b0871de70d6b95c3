"""Tools that are not built are refused by name, as values; nothing pretends to have been done."""

from __future__ import annotations

import pytest

from configs.catalogue import ToolSettings
from configs.kernel import Deadline, Principal
from mcp_tools.absent import AbsentTools
from mcp_tools.contract import ToolCall, ToolRefusal, Tools
from mcp_tools.errors import UnknownCapability

WHO = Principal(user_id="ada")
LATER = Deadline(float("inf"))


def tools(*names: str) -> Tools:
    """The twin, with these capabilities configured."""
    return AbsentTools(ToolSettings(name=name, description="a tool", providers=("one",)) for name in names)


def call(capability: str) -> ToolCall:
    """A call of it, with arguments as a model writes them."""
    return ToolCall(capability=capability, arguments={"q": [1, None]}, agent="web_search", call_id="c1")


@pytest.mark.parametrize("name", ["web_search", "database"])
async def test_a_configured_tool_is_refused_by_name(name: str) -> None:
    """A result with a stable code, for the model and the record; read-only or not makes no difference."""
    assert await tools("web_search", "database").call(call(name), WHO, LATER) == ToolRefusal(
        call_id="c1",
        capability=name,
        code="tools_not_built",
        reason=f"the tool '{name}' is configured, but this release cannot call tools",
    )


async def test_an_unknown_tool_names_the_nearest() -> None:
    """A name that nobody configured is a mistake, not a missing feature."""
    with pytest.raises(UnknownCapability) as caught:
        await tools("web_search", "database").call(call("websearch"), WHO, LATER)
    assert (caught.value.code, caught.value.hint) == ("unknown_tool", "did you mean 'web_search'?")


async def test_an_engine_without_tools_knows_none() -> None:
    """No capability, and every call is an unknown one; closing is always possible."""
    absent = tools()
    assert absent.capabilities == ()
    with pytest.raises(UnknownCapability, match="web_search"):
        await absent.call(call("web_search"), WHO, LATER)
    await absent.aclose()


def test_capabilities_are_listed_as_configured() -> None:
    """In order."""
    assert tools("b", "a").capabilities == ("b", "a")
