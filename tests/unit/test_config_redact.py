"""What of a value may be shown."""

from __future__ import annotations

import pytest

from configs.redact import holds_secret, is_secret_key, is_utf8, shown


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("ttl_s", 5, "5"),
        ("ttl_s", True, "true"),
        ("ttl_s", None, "nothing"),
        ("ttl_s", {"a": 1}, "a mapping"),
        ("ttl_s", [1], "a list"),
        ("role", "code", "'code'"),
        ("description", "x" * 90, f"'{'x' * 80}'…"),
        (
            "description",
            "a text with spaces and 1 number in it",
            "'a text with spaces and 1 number in it'",
        ),
        ("password", "x", "(hidden)"),
        ("role", "a1b2c3d4e5f6a1b2c3d4e5f6", "(hidden)"),
        ("role", "sk-abcdefghijklmnopqrstuvw7", "(hidden)"),
        ("base_url", "https://user:pass@host/v1", "(hidden)"),
    ],
)
def test_a_value_is_shown_short_and_hidden_when_it_may_be_a_secret(key: str, value: object, told: str) -> None:
    """By its key, by its shape, or because it is one long word of letters and digits."""
    assert shown(key, value) == told


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("api_key", True),
        ("apikey", True),
        ("API-Key", True),
        ("openai_api_key", True),
        ("password", True),
        ("client_secret", True),
        ("auth_token", True),
        ("api_key_env", False),
        ("max_tokens", False),
        ("first_token_s", False),
        ("keywords", False),
        ("monkey", False),
    ],
)
def test_a_key_says_that_its_value_is_a_credential(key: str, secret: bool) -> None:
    """Settings about tokens and variables are not credentials."""
    assert is_secret_key(key) is secret


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("redis://:hunter2@cache:6379/0", True),
        ("postgresql://app:hunter2@db/app", True),
        ("Authorization: Bearer abcdef0123456789abcdef", True),
        ("AKIAABCDEFGHIJKLMNOP", True),
        ("-----BEGIN RSA PRIVATE KEY-----", True),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", True),
        ("redis://cache:6379/0", False),
        ("http://[::1]:8000/v1", False),
        ("write to ada@example.org: soon", False),
        ("Bearer authentication explained", False),
        ("sk-learn-pipelines-for-beginners", False),
    ],
)
def test_a_text_holds_a_secret_or_does_not(text: str, secret: bool) -> None:
    """Known shapes only: a file is refused for them."""
    assert holds_secret(text) is secret


def test_remains_of_bytes_are_no_text() -> None:
    """Lone surrogates cannot be stored, sent or shown."""
    assert is_utf8("schön")
    assert not is_utf8("\udcff")
