"""Rows for training: what is read, what is refused and why, what is dropped, how they are split."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.history import HistorySettings
from configs.kernel import Message
from configs.routing import TrainSettings
from engine.errors import TrainingRefused
from engine.history.contract import HistoryQuery, HistoryRow
from engine.history.inmemory import InMemoryHistory
from engine.training.history import history_rows
from engine.training.rows import Dataset, gather, unknown_agents
from engine.training.source import Columns, FileRows, NoHistory, Row
from engine.training.split import SPLIT_MIN, split_rows

SETTINGS = TrainSettings()


class Rows:
    """Rows held in memory."""

    name = "rows"

    def __init__(self, *rows: tuple[str, str]) -> None:
        self._rows = rows

    def rows(self) -> Iterator[Row]:
        """All of them."""
        return (Row(text=text, label=label) for text, label in self._rows)


def _gathered(*rows: tuple[str, str], settings: TrainSettings = SETTINGS) -> Dataset:
    return gather(Rows(*rows), settings, 0)


def _file(folder: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _read(path: Path, columns: Columns | None = None, settings: TrainSettings = SETTINGS) -> list[tuple[str, str]]:
    return [(row.text, row.label) for row in FileRows(path, columns or Columns(), settings).rows()]


def _refusal(path: Path, columns: Columns | None = None) -> TrainingRefused:
    with pytest.raises(TrainingRefused) as caught:
        _read(path, columns)
    assert caught.value.hint
    return caught.value


@pytest.mark.req("route.train")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'text,label\nAdd two numbers,python\n"Draw, then print",viz\n'),
        ("a.csv", "\ufefftext;Label\r\nAdd two numbers;python\r\nDraw, then print;viz\r\n"),
        ("a.tsv", "id\ttext\tagent\n1\tAdd two numbers\tpython\n\n2\tDraw, then print\tviz"),
        ("a.txt", 'intent,text\npython,Add two numbers\nviz,"Draw, then print"\n'),
        (
            "a.txt",
            '{"text": "Add two numbers", "agent": "python"}\n\n{"label": "viz", "text": " Draw, then print"}\n',
        ),
        (
            "a.jsonl",
            '{"text": "Add two numbers", "agent": "python"}\n{"agent": "viz", "text": "Draw, then print"}',
        ),
    ],
)
def test_csv_and_jsonl_of_every_spelling_give_the_same_rows(tmp_path: Path, name: str, content: str) -> None:
    """Comma, semicolon or tab; a byte order mark; label, agent or intent; blank lines; an odd suffix."""
    assert _read(_file(tmp_path, content, name)) == [("Add two numbers", "python"), ("Draw, then print", "viz")]


@pytest.mark.req("route.train")
def test_columns_may_have_any_name(tmp_path: Path) -> None:
    """Named columns win over the usual ones that are there too."""
    path = _file(tmp_path, "text,label,Question,team\nx,y,Add two numbers,python\n")
    assert _read(path, Columns(text="question", label="team")) == [("Add two numbers", "python")]


@pytest.mark.req("route.train")
@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("a.csv", "texts,labels\na,b\n", "data_columns", "a.csv:1"),
        ("a.jsonl", '{"text": "a", "label": "b"}\n{"txt": "a"}\n', "data_columns", "a.jsonl:2"),
        ("a.csv", "text,label\na,b\nc\n", "data_row", "a.csv:3"),
        ("a.csv", 'text,label\na,b\n"c,d\n', "data_row", "a.csv:3"),
        ("a.jsonl", '{"text": "a", "label": "b"}\nnot json\n', "data_row", "a.jsonl:2"),
        ("a.json", '[{"text": "a", "label": "b"}]\n', "data_row", "a.json:1"),
        ("a.jsonl", "[" * 100_000, "data_row", "a.jsonl:1"),
        ("a.jsonl", '{"text": 5, "label": "b"}\n', "data_not_text", "int"),
        ("a.jsonl", '{"text": "a", "label": null}\n', "data_not_text", "NoneType"),
        ("a.jsonl", '{"text": ["a"], "label": "b"}\n', "data_not_text", "list"),
        ("a.csv", b"text,label\na,b\ncaf\xe9,b\n", "data_encoding", "a.csv:3"),
        ("a.csv", "text,label\na,b\n".encode("utf-16"), "data_encoding", "UTF-16"),
        ("a.csv", b"text,label\na\0,b\n", "data_nul", "a.csv:2"),
        ("a.jsonl", '{"text": "a\\u0000", "label": "b"}', "data_nul", "a.jsonl:1"),
        ("a.csv", "text,label\n" + "x" * 131_073 + ",b\n", "data_too_long", "a.csv:2"),
        ("a.jsonl", json.dumps({"text": "x" * 131_073, "label": "b"}), "data_too_long", "131,073"),
        ("a.jsonl", json.dumps({"text": "a", "label": "x" * 201}), "data_too_long", "label of 201"),
        ("a.csv", "text,label\ra,b\rc,d\r", "data_row", "CR alone"),
        ("a.csv", "x" * 131_073 + ",label\na,b\n", "data_too_long", "a.csv:1"),
        ("a.csv", "text,label,Label\na,b,c\n", "data_columns", "more than one column 'label'"),
        ("a.csv", "text,label\na,b\x07c\n", "data_label", "a.csv:2"),
        ("a.jsonl", '{"text": "a", "label": "b\\nc"}', "data_label", "control character"),
        ("a.csv", "text,label\n" + "x" * 2_000_000, "data_too_long", "a line of more than"),
    ],
)
def test_what_is_no_row_is_refused_where_it_stands(
    tmp_path: Path, name: str, content: str | bytes, code: str, said: str
) -> None:
    """Each kind of bad input has its code, its line or value, and says what to do."""
    refused = _refusal(_file(tmp_path, content, name))
    assert (refused.code, said in refused.message) == (code, True), refused


@pytest.mark.req("route.train")
def test_a_missing_column_names_those_there_are_and_the_nearest(tmp_path: Path) -> None:
    """The person who typed the header sees what was meant."""
    refused = _refusal(_file(tmp_path, "txet,label\na,b\n"))
    assert "txet, label" in refused.message
    assert "--text txet" in refused.hint


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder and a path to nothing."""
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(TrainingRefused, match=r"is (a folder|not there)") as caught:
            FileRows(path, Columns(), SETTINGS)
        assert caught.value.code == "data_missing"


def test_half_a_character_becomes_a_question_mark(tmp_path: Path) -> None:
    """JSON can spell half a surrogate pair, which nothing could write again."""
    path = _file(tmp_path, '{"text": "a \\ud83d b", "label": "x"}', "a.jsonl")
    assert _read(path) == [("a ? b", "x")]


@pytest.mark.req("route.train")
@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "data_empty"),
        ("text,label\n", "data_empty"),
        ("text,label\n,b\na,\n", "data_empty"),
        ("text,label\na,b\nc,b\n", "data_single_class"),
        ("text,label\na,oos\nc,b\n", "data_single_class"),
        ("text,label\na,b\na,c\n", "data_single_class"),
    ],
)
def test_rows_that_tell_nothing_apart_are_refused(tmp_path: Path, content: str, code: str) -> None:
    """No row at all, only blank ones, one label, one label beside out-of-scope, one text with two labels."""
    with pytest.raises(TrainingRefused) as caught:
        gather(FileRows(_file(tmp_path, content), Columns(), SETTINGS), SETTINGS, 0)
    assert caught.value.code == code


@pytest.mark.req("route.train")
def test_repeats_count_once_and_contradictions_go_by_majority() -> None:
    """Two of three say python: it stays. One against one: both go. Case and space make no other text."""
    data = _gathered(
        *(("Add numbers", "python"), ("add  Numbers ", "python"), ("ADD NUMBERS", "sql")),
        *(("draw", "viz"), ("draw", "sql"), ("count", "sql"), ("", "sql"), ("x", "")),
    )
    assert list(zip(data.texts, data.labels, strict=True)) == [("Add numbers", "python"), ("count", "sql")]
    found = data.findings
    assert (found.read, found.blank, found.duplicates, found.used) == (8, 2, 1, 2)
    assert (found.contradicting_texts, found.contradicting_rows) == (2, 3)


@given(st.lists(st.tuples(st.sampled_from(["a", "A ", "b", "c", "d", ""]), st.sampled_from(["x", "y", "z", ""]))))
def test_every_row_is_accounted_for(rows: list[tuple[str, str]]) -> None:
    """Read = blank + repeated + contradicting + used; a text stays with the label most of its rows have."""
    votes: dict[str, Counter[str]] = {}
    for text, label in rows:
        if text and label:
            votes.setdefault(text.strip().casefold(), Counter())[label] += 1
    wanted = {}
    for text, count in votes.items():
        ranked = count.most_common()
        if len(ranked) == 1 or ranked[0][1] > ranked[1][1]:
            wanted[text] = ranked[0][0]
    if len(set(wanted.values())) < 2:
        with pytest.raises(TrainingRefused):
            _gathered(*rows)
        return
    data = _gathered(*rows)
    found = data.findings
    assert {t.strip().casefold(): lab for t, lab in zip(data.texts, data.labels, strict=True)} == wanted
    assert found.read == found.blank + found.duplicates + found.contradicting_rows + found.used


@pytest.mark.req("route.train")
def test_of_too_many_rows_a_share_of_every_label_is_used() -> None:
    """A tenth of 1,000 and of 20, one of the label that has two; the same ones for the same seed."""
    rows = [(f"text {i}", "a" if i < 1000 else "b" if i < 1020 else "c") for i in range(1022)]
    few = SETTINGS.model_copy(update={"rows_max": 103})
    data = _gathered(*rows, settings=few)
    assert data.counts == {"a": 100, "b": 2, "c": 1}
    assert data.findings.left_out == 1022 - 103
    assert data == _gathered(*rows, settings=few)
    assert data.texts != gather(Rows(*rows), few, 1).texts


def test_more_labels_than_anyone_has_are_the_wrong_column() -> None:
    """The limit is a setting; at it all is well."""
    rows = [(f"text {i}", f"label {i}") for i in range(6)]
    assert len(_gathered(*rows, settings=SETTINGS.model_copy(update={"labels_max": 6})).counts) == 6
    with pytest.raises(TrainingRefused) as caught:
        _gathered(*rows, settings=SETTINGS.model_copy(update={"labels_max": 5}))
    assert (caught.value.code, "--label" in caught.value.hint) == ("data_labels", True)


def test_a_file_that_changes_between_the_passes_is_refused() -> None:
    """What was counted is what is used, or nothing is."""

    class Changing(Rows):
        passes = 0

        def rows(self) -> Iterator[Row]:
            self.passes += 1
            return Rows(*self._rows[: 3 if self.passes == 1 else 2]).rows()

    with pytest.raises(TrainingRefused) as caught:
        gather(Changing(("a", "x"), ("b", "y"), ("c", "x")), SETTINGS, 0)
    assert caught.value.code == "data_changed"


def test_labels_that_are_no_agent_come_with_the_nearest_one() -> None:
    """Out-of-scope is no agent and no mistake."""
    found = unknown_agents(["python", "pyton", "oos", "billing"], ["python", "sql"], {"oos"})
    assert found == {"billing": "", "pyton": "python"}


def test_without_a_history_training_from_it_says_why() -> None:
    """Denied until somebody keeps one, never an empty answer."""
    with pytest.raises(TrainingRefused, match="no content is kept") as caught:
        list(NoHistory("no content is kept (history.content: none)").rows())
    assert (caught.value.code, "DATA" in caught.value.hint) == ("train_no_history", True)


def _asked(number: int, question: str, agent: str, **values: Any) -> HistoryRow:
    prompt = (Message(role="system", content="be brief"), Message(role="user", content=question))
    row = HistoryRow(
        id=str(number),
        request_id=str(number),
        at_s=float(number),
        tenant="t",
        user="u",
        outcome="ok",
        agent=agent,
        answered_by=agent,
        prompt=prompt,
    )
    return replace(row, **values)


@pytest.mark.req("route.train")
def test_history_gives_the_questions_that_the_chosen_agent_answered() -> None:
    """Not those that failed, that another one or the cache answered, that were tried out, or that came late."""
    kept = HistorySettings(content="plain")
    history = InMemoryHistory(kept)
    for row in (
        *(_asked(1, "Add two\0 numbers ", "python"), _asked(2, "Draw a line", "viz")),
        *(_asked(3, "x", "sql", outcome="timeout"), _asked(4, "x", "sql", answered_by="general")),
        *(_asked(5, "x", "sql", source="exact_cache"), _asked(6, "x", "sql", explored=True)),
        *(_asked(7, "x", "sql", arm="trial/new"), _asked(9, "x", "sql")),
    ):
        history.put(row)
    source = history_rows(history, kept, SETTINGS, 9.0 + kept.batch_s + kept.timeout_s)
    data = gather(source, SETTINGS, 0)
    assert list(zip(data.texts, data.labels, strict=True)) == [
        ("Add two  numbers", "python"),
        ("Draw a line", "viz"),
    ]
    assert data.name == "history"


@pytest.mark.req("route.train")
def test_rows_that_an_engine_is_still_writing_are_left_for_the_next_training() -> None:
    """One that ended a moment ago may be written between the passes; the twin is older than a batch and a lock."""
    kept = HistorySettings(content="plain")
    history = InMemoryHistory(kept)
    now_s = 100.0
    settled = now_s - kept.batch_s - kept.timeout_s
    history.put(_asked(1, "old", "python", at_s=settled - 0.01))
    history.put(_asked(2, "new", "viz", at_s=settled))
    assert [one.text for one in history_rows(history, kept, SETTINGS, now_s).rows()] == ["old"]


@pytest.mark.req("route.train")
def test_a_history_that_changes_between_the_passes_says_so_in_its_own_words() -> None:
    """No file is spoken of: somebody was forgotten, or old rows were deleted."""
    kept = HistorySettings(content="plain")

    class Forgetting(InMemoryHistory):
        passes = 0

        def rows(self, query: HistoryQuery) -> Iterator[HistoryRow]:
            self.passes += 1
            found = list(super().rows(query))
            return iter(found if self.passes == 1 else found[:-1])

    history = Forgetting(kept)
    for number, agent in enumerate(("python", "viz", "sql")):
        history.put(_asked(number, f"question {number}", agent))
    with pytest.raises(TrainingRefused) as caught:
        gather(history_rows(history, kept, SETTINGS, 100.0), SETTINGS, 0)
    assert (caught.value.code, "forgotten" in caught.value.hint) == ("data_changed", True)
    assert "file" not in caught.value.hint


@pytest.mark.req("route.train")
@pytest.mark.parametrize("settings", [HistorySettings(content="none"), HistorySettings(enabled=False)])
def test_a_history_that_keeps_no_text_refuses_with_the_reason(settings: HistorySettings) -> None:
    """Content none and no history at all are named; neither trains on nothing."""
    history = InMemoryHistory(settings)
    history.put(_asked(1, "Add two numbers", "python"))
    with pytest.raises(TrainingRefused, match=r"history\.(content|enabled)") as caught:
        list(history_rows(history, settings, SETTINGS, 9.0).rows())
    assert caught.value.code == "train_no_history"


@pytest.mark.req("route.train")
@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), min_size=1), st.integers(0, 3))
def test_every_row_is_in_one_part_and_every_label_is_trained_on(counts: dict[str, int], seed: int) -> None:
    """A label of three rows or more is tested, a smaller one only trained on; the same seed splits the same."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    split = split_rows(labels, SETTINGS, seed, calibration=True)
    parts = (split.train.tolist(), split.calibration.tolist(), split.test.tolist())
    assert sorted(parts[0] + parts[1] + parts[2]) == list(range(len(labels)))
    assert {labels[i] for i in parts[0]} == set(labels)
    assert {labels[i] for i in parts[2]} == {label for label, count in counts.items() if count >= SPLIT_MIN}
    again = split_rows(labels, SETTINGS, seed, calibration=True)
    assert [p.tolist() for p in (again.train, again.calibration, again.test)] == list(parts)
    assert not len(split_rows(labels, SETTINGS, seed, calibration=False).calibration)
