"""One run of the encoder's model per request, whoever asks for the vector, and none for an exact hit."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.app import Engine
from engine.routing.encoder import MiniLm
from engine.routing.known import key_of, load_known
from tests.support.engines import engine_settings
from tests.support.provider import ScriptedProvider

QUESTION = "Which of these three relays would you keep, and why that one?"


class _Runs:
    """Texts that went through the model, as numbers of rows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        run = MiniLm._run

        def counted(encoder: MiniLm, ids: NDArray[np.int64]) -> object:
            self.rows += len(ids)
            return run(encoder, ids)

        monkeypatch.setattr(MiniLm, "_run", counted)


@pytest.mark.req("route.embed", "cache.exact")
async def test_a_request_runs_the_model_once_and_a_hit_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whole requests, counted at the model: miss 1, exact hit 0, the same question from somebody else 0 more."""
    runs = _Runs(monkeypatch)
    async with (
        ScriptedProvider() as provider,
        Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine,
    ):
        assert key_of(QUESTION) not in await asyncio.to_thread(load_known, engine.settings.encoder)
        await engine.preload()
        before = runs.rows
        missed = await engine.execute(QUESTION, user_id="ada")
        after_miss = runs.rows
        hit = await engine.execute(QUESTION, user_id="ada")
        after_hit = runs.rows
        other = await engine.execute(QUESTION, user_id="bob")
    assert (missed.source, hit.source, other.source) == ("model", "exact_cache", "model")
    assert (after_miss - before, after_hit - after_miss, runs.rows - after_hit) == (1, 0, 0)
