"""What lies on the disk of the words that a decision quotes, and of vectors; and rows that no driver can take."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from engine.history.contract import ALL_ROWS, HistoryRow
from engine.history.record import row_of
from engine.history.seal import KEY_FILE
from engine.history.store import RowStore
from engine.history.words import with_words, without_words, words_of
from memory.errors import BackendUnavailable
from tests.support.finished import DECISION, FINISHED, candidate
from tests.support.history import EMPTY, NOW_S, SETTINGS, row

CANARY = "xylophone-canary"
VECTOR = b"vector-canary-" * 40
QUOTING = replace(
    DECISION,
    reason=f"sql fits best and the question says '{CANARY}'.",
    strategy_why=f"'{CANARY}' is simple.",
    candidates=(replace(candidate("viz", 0.1), keyword_hits=(CANARY,)), candidate("sql", 0.9)),
)


def quoting(data_class: str) -> HistoryRow:
    """A row whose decision quotes the question."""
    made = row_of(replace(FINISHED, decision=QUOTING), row_id="row-1", now_s=NOW_S, embedding=VECTOR)
    assert made.decision.count(CANARY) == 3
    return replace(made, data_class=data_class)


def on_disk(folder: Path) -> bytes:
    """Everything in the files of SQLite, its log included."""
    files = sorted(folder.glob("history.db*"))
    assert files
    return b"".join(file.read_bytes() for file in files)


def execute(folder: Path, statement: str, *values: str) -> None:
    """Do something to the database behind the back of history."""
    with contextlib.closing(sqlite3.connect(folder / "history.db", isolation_level=None)) as connection:
        connection.execute(statement, values).close()


def stored(folder: Path, content: str) -> RowStore:
    """A store under this policy."""
    return RowStore(SETTINGS.model_copy(update={"content": content}), folder, EMPTY)


@pytest.mark.req("obs.privacy")
@pytest.mark.parametrize(
    ("content", "data_class", "on_it"),
    [
        ("none", "internal", False),
        ("encrypted", "internal", False),
        ("encrypted", "pii", False),
        ("plain", "phi", False),
        ("plain", "internal", True),
    ],
)
def test_words_of_the_question_are_nowhere_that_its_text_is_not(
    tmp_path: Path, content: str, data_class: str, on_it: bool
):
    """Neither as keyword nor quoted in a sentence, before or after forgetting; the twin is ``plain``."""
    store = stored(tmp_path, content)
    store.write([quoting(data_class)], NOW_S)
    assert (CANARY.encode() in on_disk(tmp_path)) is on_it
    (found,) = store.rows(ALL_ROWS)
    store.forget(found.user)
    assert CANARY.encode() not in on_disk(tmp_path)
    (bare,) = store.rows(ALL_ROWS)
    store.close()
    readable = data_class == "internal" and content != "none"
    assert found.decision.count(CANARY) == (3 if readable else 0)
    assert CANARY not in bare.decision
    assert [c["propensity"] for c in json.loads(bare.decision)["candidates"]] == [0.1, 0.9]


@pytest.mark.req("obs.privacy")
@pytest.mark.parametrize("content", ["none", "encrypted"])
def test_a_vector_is_sealed_and_ends_with_its_key(tmp_path: Path, content: str):
    """Under ``none`` too, which keeps it: the user's key opens it, a copy without that key does not."""
    store = stored(tmp_path, content)
    store.write([quoting("internal")], NOW_S)
    assert b"vector-canary" not in on_disk(tmp_path)
    (found,) = store.rows(ALL_ROWS)
    assert found.embedding == VECTOR
    execute(tmp_path, "DELETE FROM switchgear_user_keys")
    (keyless,) = store.rows(ALL_ROWS)
    assert keyless.embedding is None
    assert store.forget(found.user) == 1
    store.close()
    assert (tmp_path / KEY_FILE).exists()


@pytest.mark.req("obs.privacy")
@pytest.mark.parametrize("content", ["none", "encrypted", "plain"])
def test_no_vector_of_personal_data_is_kept(tmp_path: Path, content: str):
    """Whatever the policy."""
    store = stored(tmp_path, content)
    store.write([quoting("pii")], NOW_S)
    (found,) = store.rows(ALL_ROWS)
    store.close()
    assert (found.embedding, found.prompt) == (None, None)
    assert b"vector-canary" not in on_disk(tmp_path)


@pytest.mark.req("obs.privacy")
def test_a_database_of_the_first_schema_loses_the_words_it_holds(tmp_path: Path):
    """And the vectors of personal rows; candidates and the other vectors stay, and writing goes on."""
    store = stored(tmp_path, "plain")
    store.write([quoting("internal"), replace(quoting("internal"), id="row-2")], NOW_S)
    store.close()
    execute(tmp_path, "UPDATE switchgear_requests SET decision = ?", quoting("internal").decision)
    execute(tmp_path, "UPDATE switchgear_requests SET data_class = 'phi' WHERE id = 'row-2'")
    execute(tmp_path, "ALTER TABLE switchgear_requests DROP COLUMN words")
    execute(tmp_path, "UPDATE switchgear_history_version SET version_num = '0001'")
    again = stored(tmp_path, "plain")
    again.write([row(3)], NOW_S)
    internal, personal, newer = again.rows(ALL_ROWS)
    again.close()
    assert (CANARY in internal.decision, CANARY in personal.decision, newer) == (False, False, row(3))
    assert (internal.embedding, personal.embedding) == (VECTOR, None)
    assert len(json.loads(internal.decision)["candidates"]) == 2


@pytest.mark.req("obs.privacy")
@pytest.mark.parametrize("decision", ["", "[]", "null", "{", "[" * 100_000, '{"candidates": [1, null]}', "{}"])
def test_what_is_no_decision_has_no_words(decision: str):
    """Damage is never an error and nothing comes out of it."""
    assert words_of(decision) is None
    assert json.loads(without_words(decision)) in ({}, {"candidates": [1, None]})
    assert with_words(decision, "{") == decision


@pytest.mark.req("route.history")
@pytest.mark.parametrize(
    "field", [{"cost_micros": 2**70}, {"model": "\ud800"}, {"user": "\udcff"}, {"id": "\ud800"}]
)
@pytest.mark.parametrize("content", ["plain", "encrypted"])
def test_a_row_that_the_driver_cannot_take_keeps_no_other_out(
    tmp_path: Path, field: dict[str, object], content: str
):
    """A number of 70 bits, half a surrogate pair: refused and counted, its neighbours are there."""
    store = stored(tmp_path, content)
    assert store.write([row(1), row(2, **field), row(3)], NOW_S) == 1
    assert [one.id for one in store.rows(ALL_ROWS)] == ["row-1", "row-3"]
    store.close()


@pytest.mark.req("obs.privacy")
def test_an_error_of_the_database_shows_nothing_of_the_row(tmp_path: Path):
    """Nor does its cause, which a log prints along with it."""
    store = stored(tmp_path, "plain")
    store.open()
    execute(tmp_path, "DROP TABLE switchgear_requests")
    with pytest.raises(BackendUnavailable) as caught:
        store.write([row(1, answer=CANARY, model=CANARY)], NOW_S)
    store.close()
    assert "no such table" in str(caught.value.__cause__)
    assert CANARY not in str(caught.value.__cause__)
