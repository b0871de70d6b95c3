"""Which requests share an answer, and that no two others ever do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.kernel import Message, Principal
from configs.settings import Settings
from engine.cache.fingerprint import digest, fingerprint
from engine.gateway.admit import Options, build_request
from engine.types import Request

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
AWKWARD = st.sampled_from(
    ["", ":", "*", "?", "[a]", "{t}", "a:b", "é", "e\u0301", " ", "1", "11", "%00", "\u200b"]
)
PIECE = st.one_of(TEXT, AWKWARD)


def base() -> Request:
    """A plain request of user ada."""
    return build_request(
        "What is 41 + 17?", Principal(user_id="ada"), Options(), Settings(), request_id="r", now_s=0.0
    )


@pytest.mark.req("cache.scope")
@given(st.lists(PIECE, max_size=6), st.lists(PIECE, max_size=6))
def test_different_fields_never_share_a_digest(left: list[str], right: list[str]):
    """Length prefixes make the encoding injective: separators inside a field cannot move a border."""
    assert (digest(left) == digest(right)) == (left == right)


@pytest.mark.req("cache.scope")
@pytest.mark.parametrize(
    "change",
    [
        {"principal": Principal(user_id="bob")},
        {"principal": Principal(user_id="ada", tenant_id="other")},
        {"principal": Principal(user_id="default", tenant_id="ada")},
        {"agent": "python"},
        {"agent": ""},
        {"agent": "none"},
        {"models": ("smollm2",)},
        {"max_tokens": 512},
        {"temperature": 0.0},
        {"messages": (Message("user", "What is 41 + 18?"),)},
        {"messages": (Message("system", "be brief"), Message("user", "What is 41 + 17?"))},
        {"messages": (Message("assistant", "What is 41 + 17?"),)},
        {"messages": (Message("user", "what is 41 + 17?"),)},
        {"messages": (Message("user", "    What is 41 + 17?"),)},
    ],
)
def test_anything_the_answer_depends_on_changes_the_key(change: dict[str, object]):
    """Owner, agent, models, parameters, history and text all partition the cache."""
    request = base()
    assert fingerprint(replace(request, **change), policy="p") != fingerprint(request, policy="p")


@pytest.mark.req("cache.scope")
def test_another_policy_changes_the_key():
    """New prompts, models or agents never read answers of the old ones."""
    assert fingerprint(base(), policy="p") != fingerprint(base(), policy="q")


@pytest.mark.req("cache.exact")
@pytest.mark.parametrize("text", ["What is 41 + 17?", "What is 41 + 17? \r\n", "What is 41 + 17?\n"])
def test_a_repeat_shares_the_key_whatever_its_edges(text: str):
    """Another request id, deadline, tag, or white space at the ends does not change the question."""
    request = replace(base(), id="other", tags={"a": "b"}, messages=(Message("user", text),))
    assert fingerprint(request, policy="p") == fingerprint(base(), policy="p")


@pytest.mark.req("cache.scope")
def test_ids_never_appear_in_a_key():
    """User and tenant ids are hashed before they enter a key."""
    request = replace(base(), principal=Principal(user_id="ada@example.org", tenant_id="acme{x}"))
    key = fingerprint(request, policy="p")
    assert "ada" not in key
    assert "acme" not in key
    assert set(key) <= set("sgx1:0123456789abcdef")
