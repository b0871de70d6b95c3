"""What a caller may pass, and what is refused before it costs anything."""

from __future__ import annotations

import pytest

from configs.errors import SwitchgearError
from configs.kernel import Message, Principal
from configs.settings import Settings
from engine import errors
from engine.errors import InvalidInput, NotBuilt
from engine.gateway.admit import Options, build_request
from engine.types import SHADOW

ADA = Principal(user_id="ada")


def build(prompt: object, **options: object):
    """A request built at second 100 of the clock."""
    return build_request(prompt, ADA, Options(**options), Settings(), request_id="r1", now_s=100.0)


@pytest.mark.req("admit.limits")
@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("", "empty_prompt"),
        (" \n\t", "empty_prompt"),
        ([], "empty_prompt"),
        ([{"role": "system", "content": "be brief"}], "empty_prompt"),
        ("x" * 10_000_000, "prompt_too_large"),
        ([{"role": "user", "content": "hi"}] * 1_001, "prompt_too_large"),
        (None, "not_text"),
        (42, "not_text"),
        (b"bytes", "not_text"),
        (["bare text"], "not_text"),
        ("a\0b", "nul_byte"),
        ("lone \ud800 surrogate", "invalid_utf8"),
        ([{"role": "root", "content": "hi"}], "invalid_message"),
        ([{"content": "hi"}], "invalid_message"),
        ([{"role": ["user"], "content": "hi"}], "invalid_message"),
        ([{"role": {"user": 1}, "content": "hi"}], "invalid_message"),
        ([{"role": 10**5_000, "content": "hi"}], "invalid_message"),
        ([Message("user", 5)], "unsupported_content"),  # pyright: ignore[reportArgumentType]
        ([{"role": "user", "content": [{"type": "image_url"}]}], "unsupported_content"),
    ],
)
def test_bad_prompt_is_refused_with_its_own_code(prompt: object, code: str):
    """Each kind of bad prompt has one stable code and a message without the prompt in it."""
    with pytest.raises(InvalidInput) as caught:
        build(prompt)
    assert caught.value.code == code
    assert len(str(caught.value)) < 300


@pytest.mark.req("admit.limits")
@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": 10**9},
        {"max_tokens": "many"},
        {"ttl_s": -1},
        {"deadline_s": 0},
        {"deadline_s": float("nan")},
        {"deadline_s": float("inf")},
        {"temperature": 3},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": 10**400},
        {"deadline_s": 10**400},
        {"models": "smollm2"},
        {"models": []},
        {"models": [1]},
        {"models": [""]},
        {"models": ["\ud800"]},
        {"models": ["x" * 257]},
        {"agent": ""},
        {"agent": "\ud800"},
        {"agent": "x" * 257},
        {"cache": 10**5_000},
        {"tags": {"\ud800": "a"}},
        {"tags": {"a": "\ud800"}},
        {"cache": "sometimes"},
        {"tags": {"a": 1}},
        {"tags": ["a"]},
        {"tags": {str(i): "" for i in range(33)}},
        {"agent": 7},
        {"strategy": "magic"},
        {"strategy": "x" * 3_000_000},
        {"strategy": 10**5_000},
        {"data_class": "secret"},
        {"data_class": 10**5_000},
        {"region": ""},
        {"region": 7},
    ],
)
def test_bad_option_is_refused(options: dict[str, object]):
    """An impossible value never becomes a request, and a huge one not a huge message."""
    with pytest.raises(InvalidInput) as caught:
        build("hello", **options)
    assert len(str(caught.value)) < 300
    str(caught.value).encode()


@pytest.mark.req("admit.limits")
def test_a_caller_cannot_set_the_engines_own_tags():
    """A request that says it only checks a hit would be nobody's; names that are like ours are the caller's."""
    for name in (SHADOW, "switchgear.", "switchgear.later"):
        with pytest.raises(InvalidInput) as caught:
            build("hello", tags={"team": "a", name: "x"})
        assert caught.value.code == "invalid_option"
    mine = {"switchgear": "x", "my.switchgear.shadow": "x", "Team": "switchgear.shadow"}
    assert build("hello", tags=mine).tags == mine


@pytest.mark.req("admit.limits")
def test_unknown_name_is_cut_before_it_is_compared(monkeypatch: pytest.MonkeyPatch):
    """Comparing takes time with the length: megabytes would stop the loop for seconds."""
    compared: list[str] = []

    def compare(name: str, choices: list[str], n: int) -> list[str]:
        del choices, n
        compared.append(name)
        return []

    monkeypatch.setattr(errors, "get_close_matches", compare)
    refused = errors.UnknownName("agent", "x" * 3_000_000, ["sql"])
    assert compared == ["x" * errors.NAME_CHARS]
    assert len(str(refused)) < errors.NAME_CHARS + 100
    assert refused.code == "unknown_agent"


@pytest.mark.req("serve.python")
@pytest.mark.parametrize(
    ("options", "feature"),
    [
        ({"thread_id": "t"}, "thread_id"),
        ({"team": "code"}, "team"),
        ({"max_cost_usd": 1.0}, "max_cost_usd"),
        ({"response_schema": {}}, "response_schema"),
        ({"strategy": "parallel"}, "parallel"),
        ({"strategy": "consensus"}, "consensus"),
    ],
)
def test_parameter_of_a_later_release_is_refused_by_name(options: dict[str, object], feature: str):
    """A promise that cannot be kept yet is refused, never ignored."""
    with pytest.raises(NotBuilt) as caught:
        build("hello", **options)
    assert feature in caught.value.feature
    assert caught.value.requirement in caught.value.hint


@pytest.mark.req("admit.limits")
@pytest.mark.parametrize(
    "prompt",
    ["hi", "日本語 ok", "a\nb\tc", "x" * 200_000, [{"role": "user", "content": "hi"}], [Message("user", "hi")]],
)
def test_good_prompt_is_taken_unchanged(prompt: object):
    """The twin of the refusals: what is legal arrives as it was sent."""
    request = build(prompt)
    assert request.question == (prompt if isinstance(prompt, str) else "hi")
    assert request.principal is ADA


@pytest.mark.req("admit.limits")
def test_defaults_come_from_settings_and_the_deadline_is_absolute():
    """Options left out take the settings' values; the deadline counts from the clock that was passed."""
    request = build("hello")
    settings = Settings()
    assert request.max_tokens is None
    assert request.deadline.at_s == 100.0 + settings.request.deadline_s
    assert request.ttl_s == settings.cache.ttl_s
    chosen = build("hello", max_tokens=7, deadline_s=2, ttl_s=9, temperature=0, models=("b", "a", "b"))
    assert (chosen.max_tokens, chosen.deadline.at_s, chosen.ttl_s) == (7, 102.0, 9)
    assert chosen.temperature == 0.0
    assert chosen.models == ("b", "a")


@pytest.mark.req("admit.principal")
@pytest.mark.parametrize("user_id", ["", "x" * 257, "\ud800"])
def test_principal_refuses_ids_that_cannot_be_stored(user_id: str):
    """Ids are 1 to 256 bytes of UTF-8."""
    with pytest.raises(ValueError, match="user_id"):
        Principal(user_id=user_id)


@pytest.mark.req("admit.limits")
def test_every_refusal_is_in_the_one_tree():
    """A caller can catch everything with one name."""
    assert issubclass(InvalidInput, SwitchgearError)
    assert issubclass(NotBuilt, SwitchgearError)
