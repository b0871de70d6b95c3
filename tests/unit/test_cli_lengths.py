"""Lengths of time, as every option takes them."""

from __future__ import annotations

import pytest

from configs.kernel import DEFAULT_TENANT, Principal
from engine.cache.fingerprint import user_of
from engine.cli.cache_choice import Choice, selection_of
from engine.cli.lengths import seconds_of
from engine.errors import InvalidInput


@pytest.mark.req("serve.cli")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("30m", 1_800.0),
        (" 1.5 h ", 5_400.0),
        ("7d", 604_800.0),
        ("4w", 2_419_200.0),
        ("5000w", 3.024e9),
    ],
)
def test_every_option_takes_the_same_units(text: str, seconds: float):
    """Also the age of entries to forget."""
    assert seconds_of(text, "--since", "invalid_since") == seconds
    assert selection_of(Choice(older=text)).older_than_s == seconds


@pytest.mark.req("serve.cli")
@pytest.mark.parametrize(
    "text", ["", "7", "d", "-1d", "7 days", "1M", "5x", "1e3s", "٧d", "nan", "9999w", "9" * 5_000]
)
def test_what_is_no_length_of_time_is_refused_by_option_and_code(text: str):
    """Nor longer than a century; ``1M`` is a minute to nobody."""
    with pytest.raises(InvalidInput, match=r"^--since ") as refused:
        seconds_of(text, "--since", "invalid_since")
    assert refused.value.code == "invalid_since"
    assert len(refused.value.message) < 80


@pytest.mark.req("serve.cli")
def test_who_names_no_tenant_is_of_the_same_one_everywhere():
    """A principal and the command line mean one tenant."""
    assert Principal(user_id="ada").tenant_id == DEFAULT_TENANT
    assert selection_of(Choice(user="ada")).by == user_of(Principal(user_id="ada"))
