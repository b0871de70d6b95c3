"""Files that appear when they are whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import ConfigError
from engine.cli.whole_file import write_lines

ROWS = [{"a": 1}, {"b": "\ud800"}]


@pytest.mark.req("serve.cli")
def test_lines_are_there_whole_for_their_writer_alone_and_a_link_is_followed(tmp_path: Path):
    """Also over an older file, and half a surrogate pair comes through."""
    target, link = tmp_path / "rows.jsonl", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    assert write_lines(link, ROWS) == 2
    assert link.is_symlink()
    assert [json.loads(line) for line in target.read_text().splitlines()] == ROWS
    assert target.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link", "rows.jsonl"]


@pytest.mark.req("serve.cli")
def test_a_pipe_stays_a_pipe_and_rows_that_break_off_leave_the_old_file(tmp_path: Path):
    """Refused by name; nothing half-written, nothing left beside it."""
    pipe, target = tmp_path / "pipe", tmp_path / "rows.jsonl"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="no regular file"):
        write_lines(pipe, ROWS)
    assert pipe.is_fifo()
    target.write_text("old")

    def broken() -> Iterator[dict[str, object]]:
        yield {"a": 1}
        raise OSError(28, "No space left on device")

    with pytest.raises(ConfigError, match="No space left"):
        write_lines(target, broken())
    assert target.read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pipe", "rows.jsonl"]
