"""Ids that try to be somebody else's: separators, patterns, length prefixes, look-alikes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest

from configs.kernel import Principal
from engine.cache.fingerprint import digest, tenant_of, user_of

PIECES = (
    *(":", "*", "?", "[", "]", "{", "}", "\0", "|", "\n", " ", "\\", "'", '"', "/", "..", "$", "%00", "a", "b"),
    *("é", "e\u0301", "\u200b", "\u202e", "\ufeff", "ａ", "а", "😀", "İ", "ß", "1", "\x01", "\x00\x00\x00\x01"),
    *("user", "shared", "a:b", "sg:x3:a:", "{a}", "00000000", "None", "true"),
)
IDS = 100_000


def ids() -> Iterator[str]:
    """Distinct ids of one to four pieces, the short ones first."""
    made = ("".join(parts) for size in (1, 2, 3, 4) for parts in itertools.product(PIECES, repeat=size))
    seen: set[str] = set()
    for one in made:
        if one not in seen:
            seen.add(one)
            yield one


@pytest.mark.req("cache.scope")
def test_a_hundred_thousand_hostile_ids_never_collide() -> None:
    """As users of a tenant, and as tenants beside them; nothing but hex digits comes out."""
    hostile = list(itertools.islice(ids(), IDS))
    users = {user_of(Principal(user_id=one)) for one in hostile}
    shared = {tenant_of(one) for one in hostile}
    assert (len(users), len(shared), len(users & shared)) == (IDS, IDS, 0)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in users | shared)


@pytest.mark.req("cache.scope")
def test_moving_the_border_between_tenant_and_user_makes_another_owner() -> None:
    """Every way to cut the same characters in two is somebody else."""
    texts = [one for one in itertools.islice(ids(), 1_500) if len(one) > 1]
    pairs = {(text[:cut], text[cut:]) for text in texts for cut in range(1, len(text))}
    owners = {user_of(Principal(tenant_id=tenant, user_id=user)) for tenant, user in pairs}
    assert len(owners) == len(pairs) > 2_000


@pytest.mark.req("cache.scope")
def test_without_length_prefixes_they_would_collide() -> None:
    """The twin: joined by any separator, two of these are one; digested as fields, they are not."""
    ours, theirs = ("a:b", "c"), ("a", "b:c")
    assert ":".join(ours) == ":".join(theirs)
    assert digest(ours) != digest(theirs)
    prefixed = ("\0" * 7 + "\1" + "a", ""), ("", "\0" * 7 + "\1" + "a")
    assert digest(prefixed[0]) != digest(prefixed[1])
