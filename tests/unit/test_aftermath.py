"""What a request that ended is counted for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from engine.aftermath import Aftermath
from engine.fleet import Fleet
from engine.types import SHADOW
from tests.support.finished import FINISHED


@pytest.mark.req("cache.bound", "route.split")
async def test_a_check_of_a_cached_answer_is_kept_and_learned_from_but_is_nobodys_part_in_an_experiment():
    """Its user was counted with the request that it checks; that one itself counts for all three."""
    heard: dict[str, list[Any]] = {"splits": [], "learned": [], "kept": []}
    fleet = SimpleNamespace(
        splits=SimpleNamespace(observe=heard["splits"].append),
        learned=SimpleNamespace(record=heard["learned"].append),
    )
    aftermath = Aftermath(cast("Fleet", fleet), heard["kept"].append, in_context=False)
    one = FINISHED
    aftermath.observe(one)
    aftermath.observe(replace(one, request=replace(one.request, tags={SHADOW: one.request.id})))
    await asyncio.sleep(0)
    assert [len(heard[name]) for name in ("splits", "learned", "kept")] == [1, 2, 2]
