"""Which requests share an answer, and that no two others ever do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.kernel import Message, Principal
from configs.settings import Settings
from engine.cache.fingerprint import Under, digest, lookup_of
from engine.cached import Place
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


def place_of(request: Request, policy: str = "p") -> Place:
    """Where the user's own answer lies."""
    return lookup_of(request, Under(policy=policy, language="en", live=False, shareable=False)).own


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
    assert place_of(replace(request, **change)) != place_of(request)


@pytest.mark.req("cache.scope")
def test_another_policy_changes_the_key():
    """New prompts, models or agents never read answers of the old ones."""
    assert place_of(base(), "p").scope != place_of(base(), "q").scope


@pytest.mark.req("cache.exact")
@pytest.mark.parametrize("text", ["What is 41 + 17?", "What is 41 + 17? \r\n", "What is 41 + 17?\n"])
def test_a_repeat_shares_the_key_whatever_its_edges(text: str):
    """Another request id, deadline, tag, or white space at the ends does not change the question."""
    request = replace(base(), id="other", tags={"a": "b"}, messages=(Message("user", text),))
    assert place_of(request) == place_of(base())


@pytest.mark.req("cache.scope")
def test_the_question_changes_the_key_and_nothing_else_changes_within_a_scope():
    """Paraphrases are looked for in a scope: another question stays, another history or language leaves it."""
    asked, other = base(), replace(base(), messages=(Message("user", "Why?"),))
    assert place_of(asked).scope == place_of(other).scope
    assert place_of(asked).key != place_of(other).key
    after = replace(base(), messages=(Message("assistant", "Hi."), *base().messages))
    now = lookup_of(asked, Under(policy="p", language="en", live=True, shareable=False)).own
    german = lookup_of(asked, Under(policy="p", language="de", live=False, shareable=False)).own
    assert len({place_of(asked).scope, place_of(after).scope, german.scope, now.scope}) == 4


@pytest.mark.req("cache.scope")
def test_users_of_a_tenant_share_a_place_only_where_that_is_allowed():
    """Own places differ, the common one is the same within the tenant and no other."""
    bob = replace(base(), principal=Principal(user_id="bob"))
    elsewhere = replace(base(), principal=Principal(user_id="bob", tenant_id="other"))
    common = [
        lookup_of(request, Under(policy="p", language="en", live=False, shareable=True))
        for request in (base(), bob, elsewhere)
    ]
    assert common[0].own != common[1].own
    assert common[0].shared == common[1].shared
    assert common[1].shared != common[2].shared
    assert lookup_of(base(), Under(policy="p", language="en", live=False, shareable=False)).shared is None


@pytest.mark.req("cache.scope")
def test_ids_never_appear_in_a_key():
    """User and tenant ids are hashed before they enter a key."""
    request = replace(base(), principal=Principal(user_id="ada@example.org", tenant_id="acme{x}"))
    place = place_of(request)
    assert len(place.owner) == 32
    assert len(place.scope) == len(place.key) == 64
    assert set(place.owner + place.scope + place.key) <= set("0123456789abcdef")
