"""``switchgear report router``: the table out of the history, other policies, the page, an empty history."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from configs.history import HistorySettings
from configs.kernel import Money, Outcome
from engine.cli.lengths import seconds_of
from engine.cli.main import main
from engine.cli.report import evaluated
from engine.cli.report_page import write_page
from engine.cli.report_rows import RecordedDecisions, decision_row
from engine.errors import InvalidInput
from engine.history.contract import HistoryRow
from engine.history.inmemory import InMemoryHistory
from engine.history.record import _ATTEMPTS, _DECISION  # pyright: ignore[reportPrivateUsage] - rows as they are written
from engine.learning.results import result_of, results_of
from engine.learning.table import quantile, summary
from engine.types import Attempt, Candidate, Decision


def attempt(agent: str, outcome: Outcome, model: str | None = "mini", **more: bool) -> Attempt:
    """One of 100 ms and 5 micro-dollars."""
    called = more.get("called", True)
    return Attempt(agent=agent, model=model, outcome=outcome, called=called, latency_ms=100.0, cost=Money(5))


def candidate(agent: str, intent: float, propensity: float) -> Candidate:
    """One without any other factor."""
    return Candidate(
        agent=agent,
        score=intent,
        similarity=intent,
        keyword_hits=(),
        intent=intent,
        success=1.0,
        cost=1.0,
        latency=1.0,
        propensity=propensity,
    )


def recorded(
    number: int, agent: str = "python", ok: bool = True, arm: str = "", explored: bool = False
) -> HistoryRow:
    """One request, as history keeps it."""
    candidates = (candidate("python", 0.8, 0.9), candidate("<rust>", 0.5, 0.1))
    decision = Decision(agent=agent, strategy="single", confidence=0.85, reason="", candidates=candidates)
    attempts = (attempt(agent, Outcome.OK if ok else Outcome.FAIL),)
    return HistoryRow(
        id=f"{number:04}",
        request_id=f"r{number}",
        at_s=float(number),
        tenant="t",
        user="u",
        outcome="ok" if ok else "all_routes_unavailable",
        agent=agent,
        source="model" if ok else None,
        confidence=0.85,
        arm=arm,
        explored=explored,
        wanted="cascade" if number % 2 else "single",
        decision=_DECISION.dump_json(decision).decode(),
        attempts=_ATTEMPTS.dump_json(attempts).decode(),
    )


def history(rows: Sequence[HistoryRow]) -> RecordedDecisions:
    """A reader over these."""
    kept = InMemoryHistory(HistorySettings(content="none"))
    for row in rows:
        kept.put(row)
    return RecordedDecisions(kept)


MIXED = [
    *(recorded(n) for n in range(14)),
    *(recorded(n, ok=False, arm="new/a") for n in range(14, 18)),
    *(recorded(n, "<rust>", explored=True) for n in range(18, 20)),
]


@pytest.mark.req("route.learn")
def test_the_table_counts_shares_success_and_exploration_per_agent():
    """18 requests of one agent, 14 of them good; two probes of another."""
    table = summary(list(history(MIXED).rows(0.0, 100)))
    python, rust = table.agents
    assert (python.name, python.requests, python.share, python.success) == ("python", 18, 0.9, 14 / 18)
    assert python.success_low < 14 / 18 < python.success_high
    assert (python.latency_p50_ms, python.cost_micros, python.explored, rust.explored) == (100.0, 5.0, 0.0, 1.0)
    assert [(line.name, line.requests, line.success) for line in table.arms] == [("new/a", 4, 0.0)]
    assert table.wanted == {"single": 10, "cascade": 10}
    assert [(b.low, b.rows, b.success) for b in table.reliability] == [(0.8, 20, 0.8)]
    assert table.calibration_error == pytest.approx(0.05)


@pytest.mark.req("route.learn")
def test_only_the_latest_rows_since_then_are_read_oldest_first():
    """``since`` and ``limit`` hold."""
    assert [row.at_s for row in history(MIXED).rows(5.0, 3)] == [17.0, 18.0, 19.0]
    assert len(list(history(MIXED).rows(18.0, 100))) == 2


@pytest.mark.req("route.learn")
@pytest.mark.parametrize(
    "change", [{"agent": ""}, {"source": "exact_cache"}, {"cache": "check"}, {"decision": '{"agent": 1}'}]
)
def test_rows_that_say_nothing_about_routing_are_left_out(change: dict[str, str]):
    """Refused before routing, out of the cache, a check of that, or written by another release."""
    assert decision_row(replace(recorded(1), **change)) is None  # pyright: ignore[reportArgumentType] - source
    assert decision_row(recorded(1)) is not None


@pytest.mark.req("route.learn")
def test_other_policies_are_estimated_from_the_recorded_probabilities():
    """The truth of this log: ``intent`` asks python always, which succeeds in 14 of 18."""
    estimates, note = evaluated(list(history(MIXED).rows(0.0, 100)))
    assert (estimates["intent"].value, estimates["intent"].covered, note) == (pytest.approx(14 / 18), 1.0, "")


@pytest.mark.req("route.learn")
def test_decisions_without_probabilities_are_named_and_left_out():
    """Some: they are counted. All: there is no estimate, and a sentence instead."""
    rows = list(history(MIXED).rows(0.0, 100))
    bare = [replace(r, options=tuple(replace(o, propensity=0.0) for o in r.options)) for r in rows]
    assert evaluated([*rows, *bare])[1].startswith("20 decisions without")
    estimates, note = evaluated(bare)
    assert estimates == {}
    assert "cannot be evaluated" in note


@pytest.mark.req("route.learn")
@pytest.mark.parametrize(
    ("outcomes", "ok"),
    [
        ([Outcome.OK], True),
        ([Outcome.FAIL, Outcome.OK], True),
        ([Outcome.FAIL], False),
        ([Outcome.FAIL, Outcome.CANCEL], False),
        ([Outcome.CANCEL], None),
        ([Outcome.CALLER], None),
        ([Outcome.THROTTLE], None),
    ],
)
def test_an_agent_is_judged_by_whether_it_answered(outcomes: list[Outcome], ok: bool | None):
    """Neutral outcomes say nothing; one model that failed before another answered is no failure of the agent."""
    attempts = [attempt("python", outcome) for outcome in outcomes]
    assert result_of("python", attempts).ok is ok


@pytest.mark.req("route.learn")
def test_attempts_teach_about_agents_and_models_apart():
    """The agent that fell back failed, its model too; who stepped in did well; refusals say nothing."""
    attempts = (
        attempt("python", Outcome.REFUSED, "big", called=False),
        attempt("python", Outcome.FAIL, "mini"),
        attempt("general", Outcome.OK, None),
    )
    found = [(r.subject, r.ok, r.context) for r in results_of(attempts, (1.0, 0.5))]
    assert found == [("agent:python", False, (1.0, 0.5)), ("agent:general", True, ()), ("model:mini", False, ())]


@pytest.mark.req("route.learn")
def test_the_page_is_self_contained_and_escapes_names(tmp_path: Path):
    """No script, no address to load, both drawings, and a name with markup as text."""
    rows = list(history(MIXED).rows(0.0, 100))
    estimates, note = evaluated(rows)
    write_page(tmp_path / "router.html", summary(rows), estimates, note, "7d")
    page = (tmp_path / "router.html").read_text()
    assert page.count("<svg") == 2
    assert "&lt;rust&gt;" in page
    assert "<rust>" not in page
    assert "<script" not in page
    assert "What other policies would have achieved" in page


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in an empty folder: exit code, stdout, stderr."""
    monkeypatch.setenv("SWITCHGEAR_HOME", str(tmp_path / "home"))

    def run(*args: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["report", "router", *args])
        printed = capsys.readouterr()
        return int(left.value.code or 0), printed.out, printed.err

    return run


@pytest.mark.req("route.learn")
def test_an_empty_history_says_what_to_do(command: Run, tmp_path: Path):
    """Exit 0 and a sentence; the JSON and the page are there all the same."""
    code, printed, said = command("--html", str(tmp_path / "empty.html"))
    assert (code, printed) == (0, "")
    assert "switchgear ask" in said
    assert "switchgear ask" in (tmp_path / "empty.html").read_text()
    code, printed, _ = command("--json")
    assert code == 0
    assert json.loads(printed)["total"]["requests"] == 0


@pytest.mark.req("route.learn")
def test_a_page_makes_no_folders(command: Run, tmp_path: Path):
    """A mistyped path is refused by name, and nothing of it exists afterwards."""
    code, _, said = command("--html", str(tmp_path / "mistyped" / "page.html"))
    assert (code, "cannot be written" in said) == (2, True)
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.req("route.learn")
@pytest.mark.parametrize("since", ["", "7", "d", "-1d", "7 days", "9999999d"])
def test_a_length_of_time_that_is_none_is_refused(command: Run, since: str):
    """Exit 2 and an example; the twin is read."""
    code, _, said = command("--since", since)
    assert code == 2
    assert "7d" in said
    with pytest.raises(InvalidInput):
        seconds_of(since, "--since", "invalid_since")
    assert seconds_of("90m", "--since", "invalid_since") == 5_400.0


@pytest.mark.req("route.learn")
def test_a_quantile_is_a_value_that_was_seen():
    """Nearest rank."""
    assert [quantile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.5, 0.75, 0.95, 1.0)] == [1, 2, 3, 4, 4]
    assert quantile([], 0.5) is None
