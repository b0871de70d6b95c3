"""An artifact's folder: who may read it, and what becomes of one whose writer was killed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from engine.routing.artifact import load_artifact
from engine.training.folder import write_folder
from tests.support.minilm import shipped
from tests.support.trained import artifact_files, put_artifact, rows, train, write_rows


def _write(path: Path) -> None:
    write_folder(path, artifact_files(), lambda made: load_artifact(made, shipped().encoder))


@pytest.mark.req("route.train")
def test_only_the_owner_may_read_what_was_learned_from_peoples_questions(tmp_path: Path) -> None:
    """The folder and every file in it, written first and written over."""
    path = tmp_path / "router"
    for _ in range(2):
        _write(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()} == {0o600}


@pytest.mark.req("route.train")
def test_an_artifact_that_a_killed_writer_set_aside_is_put_back(tmp_path: Path) -> None:
    """Even when the next writer's own work is refused; beside a folder in its place it is removed."""
    path, aside = tmp_path / "router", tmp_path / ".router.old"
    put_artifact(aside)

    def refuse(_made: Path) -> None:
        raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"):
        write_folder(path, artifact_files(), refuse)
    assert load_artifact(path, shipped().encoder).path == path
    put_artifact(aside)
    _write(path)
    assert list(tmp_path.iterdir()) == [path]


def test_texts_without_a_word_are_noted(tmp_path: Path) -> None:
    """Emoji alone: nothing can be learned from them, and whoever trains hears it; without them nothing is said."""
    found = rows(6)
    odd = [{"text": text, "agent": "sql"} for text in ("🦀", "🙂🙂")]
    trained = train(write_rows(tmp_path / "a.jsonl", [*found, *odd]), tmp_path / "a")
    assert [note for note in trained.notes if note.startswith("2 texts have no word")]
    plain = train(write_rows(tmp_path / "b.jsonl", found), tmp_path / "b")
    assert not [note for note in plain.notes if "no word" in note]
