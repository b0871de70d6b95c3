"""Which threshold the two tiers go by: the user's for the judge, the verifier's own for the bound."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from configs.caching import CacheSettings
from configs.settings import Settings
from engine.answer_cache import OpenCache
from engine.cache import verifier_file
from engine.cache.inmemory import InMemoryAnswerCache
from engine.cache.question import Question
from engine.errors import ArtifactRefused
from engine.routing.contract import Reading
from engine.tiers import TierNeeds, make_tiers
from engine.types import Verdict
from tests.support.answer_caches import answer, at_angle, entry, lookup, place
from tests.support.clock import FakeClock
from tests.support.paraphrases import Verifies

STORED, ASKED = "How do I enable 2FA?", "How can I enable 2FA?"


async def aread(text: str) -> Reading:
    """Any text lies in the same direction."""
    del text
    return Reading(vector=at_angle(0.0), familiarity=1.0)


async def verdict_of(folder: Path, **cache: Any) -> Verdict:
    """What is said of ``ASKED`` beside the stored question."""
    settings = Settings(data_dir=folder, cache=CacheSettings.model_validate(cache))
    store = InMemoryAnswerCache(settings.cache, now_s=FakeClock())
    await store.put(entry(place(STORED), replace(answer("so"), question=STORED), degrees=0.0))
    opened = cast("OpenCache", SimpleNamespace(store=store, leases=None))
    needs = SimpleNamespace(
        reader=SimpleNamespace(aread=aread, aencode=None),
        state=SimpleNamespace(tallies=None),
        lookup_of=None,
        again=None,
        ask=None,
        degraded={},
    )
    async with AsyncExitStack() as stack:
        tiers = make_tiers(settings, opened, cast("TierNeeds", needs), stack).tiers
        assert tiers is not None
        assert tiers.paraphrases is not None
        match = await tiers.paraphrases.find(lookup(ASKED), ASKED)
    assert match.verdict is not None
    return match.verdict


@pytest.mark.req("cache.verify", "cache.bound")
@pytest.mark.parametrize(
    ("cache", "rule", "threshold"),
    [
        ({}, "verifier", 0.85),
        ({"semantic": {"accept": 0.6}}, "bound", 0.85),
        ({"semantic": {"accept": 0.6}, "bound": {"start": 0.65}}, "accepted", 0.65),
        ({"bound": {"start": 0.65}}, "verifier", 0.85),
        ({"semantic": {"accept": 0.8}, "bound": {"start": 0.65}}, "verifier", 0.8),
    ],
)
async def test_the_bound_begins_at_the_verifiers_own_threshold_whatever_the_user_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: dict[str, Any], rule: str, threshold: float
):
    """Of .7: the higher of what the user accepts and where the bound begins; only ``bound.start`` moves that."""

    def load(*_: object) -> Verifies:
        return Verifies(0.7, accept=0.85)

    monkeypatch.setattr(verifier_file, "load_verifier", load)
    found = await verdict_of(tmp_path, **cache)
    assert (found.rule, found.accepted) == (rule, rule == "accepted")
    assert found.threshold == pytest.approx(threshold)


@pytest.mark.req("cache.verify")
async def test_without_a_verifier_vectors_of_two_encoders_are_compared_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """They are of different lengths: as far apart as can be, and no error; of one length it is their cosine."""

    def refuse(*_: object) -> Verifies:
        raise ArtifactRefused("it is broken", hint="train another", code="verifier_broken")

    monkeypatch.setattr(verifier_file, "load_verifier", refuse)
    needs = SimpleNamespace(degraded={}, state=None, lookup_of=None)
    async with AsyncExitStack() as stack:
        judge = await make_tiers(Settings(data_dir=tmp_path), None, cast("TierNeeds", needs), stack).desk.judge()
    asked = Question(text=ASKED, vector=at_angle(0.0))
    other = Question(text=STORED, vector=np.ones(3, dtype=np.float32))
    alike = Question(text=STORED, vector=at_angle(60.0))
    assert (judge(asked, other).similarity, judge(asked, other).rule) == (-1.0, "verifier")
    assert judge(asked, alike).similarity == pytest.approx(0.5, abs=1e-5)
