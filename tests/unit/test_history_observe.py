"""The observer between a finished request and history."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.history.contract import ALL_ROWS
from engine.history.inmemory import InMemoryHistory
from engine.history.observe import observer_of, packed, unpacked
from engine.types import Decision
from tests.support.finished import ANSWER, FAILED, FINISHED, QUESTION
from tests.support.history import NOW_S, SETTINGS

VECTOR = np.array([1.0, -0.5, 0.25, 3.0], dtype=np.float32)


def known(question: str) -> NDArray[np.float32] | None:
    """Somebody has read this one question."""
    return VECTOR if question == QUESTION else None


@pytest.mark.req("route.history")
def test_every_finished_request_becomes_a_row_of_its_own():
    """The same request twice is two rows; with the cache's fingerprint and the vector that was there anyway."""
    history = InMemoryHistory(SETTINGS)
    observe = observer_of(
        history, now_s=lambda: NOW_S, fingerprint=lambda request: f"f-{request.id}", vector=known
    )
    observe(FINISHED)
    observe(FINISHED)
    first, second = history.rows(ALL_ROWS)
    assert first.id != second.id
    assert (first.request_id, first.fingerprint, first.at_s) == ("r1", "f-r1", NOW_S)
    assert first.embedding is not None
    assert unpacked(first.embedding).tolist() == VECTOR.tolist()


@pytest.mark.req("route.history")
def test_a_question_that_nobody_read_has_no_vector():
    """Nothing is computed for history's sake."""
    history = InMemoryHistory(SETTINGS)
    observe = observer_of(history, now_s=lambda: NOW_S, fingerprint=lambda _: "", vector=lambda _: None)
    observe(FINISHED)
    assert next(history.rows(ALL_ROWS)).embedding is None


@pytest.mark.req("route.history")
def test_text_that_is_no_text_raises_nothing():
    """Half a surrogate pair in an error or a reason, as some provider may send it."""
    decision = Decision(agent="sql", strategy="single", confidence=0.5, reason="\ud800")
    attempt = replace(FAILED, error="\udcff")
    history = InMemoryHistory(SETTINGS)
    observe = observer_of(history, now_s=lambda: NOW_S, fingerprint=lambda _: "", vector=known)
    observe(replace(FINISHED, decision=decision, attempts=(attempt,), answer=replace(ANSWER, text="\ud800")))
    (found,) = history.rows(ALL_ROWS)
    assert json.loads(found.decision)["reason"] == "\ud800"
    assert json.loads(found.attempts)[0]["error"] == "\udcff"


@pytest.mark.req("route.history")
def test_a_unit_vector_survives_packing():
    """Half the size, the same direction."""
    vector = np.random.default_rng(0).standard_normal(384).astype(np.float32)
    vector /= np.linalg.norm(vector)
    data = packed(vector)
    assert len(data) == 768
    again = unpacked(data)
    assert float(again @ vector / np.linalg.norm(again)) > 0.9999
