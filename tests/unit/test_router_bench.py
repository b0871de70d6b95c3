"""``bench router``: every figure by name, and the losses it states are those of the rows it was given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.bench import router, router_scale
from tests.support.minilm import minilm, shipped, ten_agents


@pytest.mark.req("route.scale")
def test_bench_router_prints_every_figure_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sizes, memory, routes, registrations and the crowd; without evaluation sets a note instead of losses."""
    for name, few in (("DECISIONS", 100), ("ROUTES", 10), ("CROWD_ROUTES", 40), ("REGISTRATIONS", 3)):
        monkeypatch.setattr(router, name, few)
    monkeypatch.setattr(router, "load_encoder", lambda *_, **__: minilm())
    monkeypatch.setattr(router, "agent_table", lambda *_: ten_agents())
    monkeypatch.setattr(router, "SIZES", (10, 150, len(ten_agents().names) + 40))
    monkeypatch.setenv("SWITCHGEAR_EVAL_DATA", str(tmp_path))
    steps: list[str] = []
    agents = tuple(a.model_copy(update={"examples": a.examples[:3]}) for a in shipped().agents)
    few = shipped().model_copy(update={"agents": agents[:2]})
    report = router.run(few, steps.append)
    assert set(report.figures) == {
        *(f"decide.agents_{n}.p95_ms" for n in (10, 150, len(ten_agents().names) + 40)),
        *("route.p50_ms", "beyond_embedding.p50_ms", "route_beyond_embedding.p50_ms"),
        *("register.p50_ms", "register.agents_1000.p50_ms"),
        *(f"concurrency_100.{name}" for name in ("throughput_ratio", "loop_stall_p99_ms", "loop_stall_max_ms")),
        "memory.agents_1000_mb",
    }
    assert all(value > 0 for value in report.figures.values())
    assert report.notes[0].startswith("no prototypes.* without the evaluation sets")
    assert len(steps) == 7


def test_a_crowd_has_its_size_and_keeps_the_configured_agents() -> None:
    """The ten are in it, the rest are made up."""
    table = router_scale.crowd(ten_agents().profiles, 150, shipped().routing)
    assert len(table.names) == 150
    assert set(ten_agents().names) <= set(table.names)
    assert table.general is not None


@pytest.mark.req("route.scale")
def test_the_memory_of_a_thousand_agents_is_that_of_their_vectors_and_words() -> None:
    """Ten texts and a centre of 384 floats each are 17 MB; words and names may add half as much."""
    vectors_mb = 1_000 * (10 + 1) * 384 * 4 / 1e6
    assert vectors_mb < router_scale.crowd_mb(1_000, shipped().routing) < 1.5 * vectors_mb


def _rows(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.req("route.scale")
def test_what_the_shortlist_loses_is_measured_on_intents_as_agents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two intents that nobody mixes up: all are right, and the centre alone loses nothing."""
    topics = {"weather": "Will it rain in Bern on day", "pizza": "Please bring me a pizza with topping number"}
    rows = [
        {"text": f"{text} {n}", "intent": intent, "split": "train"}
        for intent, text in topics.items()
        for n in range(14)
    ]
    odd = {"text": "never read", "intent": "oos", "split": "train"}
    _rows(tmp_path / "intent_clinc.jsonl", [*rows, odd, {**odd, "intent": "held back", "split": "val"}])
    raw = json.dumps({**odd, "text": "one\u2028row"}, ensure_ascii=False)
    (tmp_path / "intent_banking77.jsonl").write_text(f"\ufeff{raw}\n", encoding="utf-8")
    tasks = [{"text": "SELECT the oldest cabinets", "agent": "sql", "origin": "authored"}]
    _rows(tmp_path / "task_routing.jsonl", tasks)
    monkeypatch.setenv("SWITCHGEAR_EVAL_DATA", str(tmp_path))
    monkeypatch.setattr(router_scale, "agent_table", lambda *_: ten_agents())
    figures, notes = router_scale.prototype_losses(shipped(), minilm())
    assert notes == ()
    assert figures == {
        "prototypes.agents": 2.0,
        "prototypes.accuracy": 1.0,
        "prototypes.accuracy_loss": 0.0,
        "prototypes.centre_only.accuracy_loss": 0.0,
        "prototypes.task_routing.centre_only.accuracy_loss": 0.0,
    }
