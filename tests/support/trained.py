"""A small router trained on examples of the shipped agents, once per test process, and rows to train one from."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from engine.routing.artifact import Card
from engine.training.job import Job, Trained, train_router
from engine.training.source import Columns, FileRows
from tests.support.minilm import shipped

AGENTS = ("python", "sql", "viz")
PER_AGENT = 12
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def rows(per_agent: int = PER_AGENT, agents: Sequence[str] = AGENTS) -> list[dict[str, str]]:
    """Examples of shipped agents as rows, taken in turn."""
    examples = {agent.name: agent.examples for agent in shipped().agents}
    return [{"text": examples[name][i], "agent": name} for i in range(per_agent) for name in agents]


def write_rows(path: Path, found: Sequence[dict[str, str]]) -> Path:
    """``found`` as JSONL."""
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in found), encoding="utf-8")
    return path


def train(data: Path, out: Path, **options: bool | str) -> Trained:
    """The whole job, without a terminal."""
    settings = shipped()
    job = Job(source=FileRows(data, Columns(), settings.train), out=out, seed=0, **options)  # type: ignore[arg-type] - options of Job
    return train_router(job, settings, lambda _step, _done, _total: None, NOW)


@functools.cache
def artifact_files() -> dict[str, bytes]:
    """Every file of a small artifact."""
    with tempfile.TemporaryDirectory() as folder:
        data = write_rows(Path(folder) / "rows.jsonl", rows())
        train(data, Path(folder) / "router", licence="CC0")
        return {path.name: path.read_bytes() for path in (Path(folder) / "router").iterdir()}


def put_artifact(folder: Path, **changed: bytes) -> Path:
    """The small artifact in ``folder``; ``changed`` by name, with ``_`` for the dot, under a card of theirs."""
    files = dict(artifact_files())
    if changed:
        files |= {name.replace("_", "."): data for name, data in changed.items()}
        files["card.json"] = resealed(files)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def resealed(files: dict[str, bytes], /, **values: object) -> bytes:
    """The card of ``files`` as somebody would write it who knows how: digests and seal are right."""
    from engine.training.folder import digests  # noqa: PLC0415 - beside its only use

    card = Card.model_validate_json(files["card.json"])
    kept = {name: data for name, data in files.items() if name != "card.json"}
    changed = {"files": digests(kept)} | values
    return card.model_copy(update=changed).sealed().model_dump_json().encode()
