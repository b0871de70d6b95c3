"""Pair files: what is read, and what is refused naming file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import TrainingRefused
from engine.training.pairs.read import read_pairs


def written(folder: Path, name: str, text: str) -> Path:
    """A file with ``text``."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.tsv", "# ours\n\nenable it\tdisable it\tnot\tantonym\nenable it\tturn it on\tdup\tsynonym\n"),
        ("p.csv", "a,b,is_duplicate,kind\nenable it,disable it,false,antonym\nenable it,turn it on,1,synonym\n"),
        (
            "p.jsonl",
            (
                '{"a": "enable it", "b": "disable it", "is_duplicate": false, "kind": "antonym"}\n'
                '{"a": "enable it", "b": "turn it on", "is_duplicate": 1, "kind": "synonym"}\n'
            ),
        ),
    ],
)
def test_pairs_are_the_same_from_each_of_the_three_formats(tmp_path: Path, name: str, text: str) -> None:
    """TSV without a header, CSV with one, JSON by line; the same first text is one group."""
    pairs = read_pairs([written(tmp_path, name, text)])

    assert [(p.a, p.b, p.duplicate, p.kind, p.group) for p in pairs] == [
        ("enable it", "disable it", False, "antonym", 0),
        ("enable it", "turn it on", True, "synonym", 0),
    ]


def test_groups_go_through_all_files_and_see_past_case(tmp_path: Path) -> None:
    """A first text that two files have is one group; a kind need not be there."""
    one = written(tmp_path, "one.csv", "a,b,is_duplicate\nEnable it?,x,true\nother,x,0\n")
    two = written(tmp_path, "two.tsv", "enable it\ty\tdup\tsynonym\n")

    assert [(p.group, p.kind) for p in read_pairs([one, two])] == [(0, ""), (1, ""), (0, "synonym")]


@pytest.mark.parametrize(
    ("name", "text", "code", "where"),
    [
        ("p.tsv", "a\tb\tdup\tx\na\tb\tdup\n", "data_row", "p.tsv:2"),
        ("p.tsv", "a\tb\tmaybe\tx\n", "data_label", "p.tsv:1"),
        ("p.tsv", "a\t \tdup\tx\n", "data_row", "p.tsv:1"),
        ("p.tsv", f"a\t{'b' * 9000}\tdup\tx\n", "data_too_long", "p.tsv:1"),
        ("p.csv", "a,b\nx,y\n", "data_columns", "p.csv"),
        ("p.csv", "a,b,is_duplicate\nx,y\n", "data_row", "p.csv:2"),
        ("p.csv", 'a,b,is_duplicate\nx,"y,1\n', "data_row", "p.csv:2"),
        ("p.jsonl", '{"a": "x", "b": "y", "is_duplicate": true}\n{"a":\n', "data_row", "p.jsonl:2"),
        ("p.jsonl", "[1]\n", "data_row", "p.jsonl:1"),
        ("p.jsonl", '{"a": "x", "is_duplicate": true}\n', "data_columns", "p.jsonl:1"),
        ("p.jsonl", '{"a": 1, "b": "y", "is_duplicate": true}\n', "data_row", "p.jsonl:1"),
        ("p.txt", "a\tb\tdup\tx\n", "data_missing", "p.txt"),
    ],
)
def test_a_line_that_is_no_pair_is_refused_by_file_and_line(
    tmp_path: Path, name: str, text: str, code: str, where: str
) -> None:
    """The first bad line stops the reading, with a stable code."""
    with pytest.raises(TrainingRefused) as refused:
        read_pairs([written(tmp_path, name, text)])

    assert refused.value.code == code
    assert where in str(refused.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    """No traceback of the operating system reaches the caller."""
    binary = tmp_path / "p.tsv"
    binary.write_bytes(b"\xff\xfea\tb")

    with pytest.raises(TrainingRefused, match="none\\.tsv"):
        read_pairs([tmp_path / "none.tsv"])
    with pytest.raises(TrainingRefused, match=r"p\.tsv: not UTF-8"):
        read_pairs([binary])
