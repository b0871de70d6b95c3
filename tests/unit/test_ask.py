"""What a caller passes, before it is a request."""

from __future__ import annotations

from typing import Any

import pytest

from configs.settings import Settings
from engine.ask import ask
from engine.errors import InvalidInput


@pytest.mark.req("admit.principal", "admit.limits")
@pytest.mark.parametrize("option", ["user_id", "tenant_id"])
@pytest.mark.parametrize("value", [None, 7, b"ada"])
async def test_an_id_that_is_no_text_is_refused_by_its_name(option: str, value: object):
    """Typed, with what it is instead; a text is taken."""
    options: Any = {option: value}
    with pytest.raises(InvalidInput, match=f"{option} must be a text, not {type(value).__name__}") as refused:
        await ask("hello", options, Settings(), ())
    assert refused.value.code == "invalid_option"
    taken = await ask("hello", {"user_id": "ada", "tenant_id": "acme"}, Settings(), ())
    assert (taken.principal.user_id, taken.principal.tenant_id) == ("ada", "acme")
