"""``switchgear report cache``: hits, savings, refusals and false hits; honest where nothing is known."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from configs.caching import BoundSettings
from configs.errors import ConfigError
from configs.load import load_settings
from configs.settings import RedisSettings
from engine.cache.redis_tally import RedisTallies
from engine.cache.tally import day_of
from engine.cache.verifier_file import generation_of
from engine.cli.cache_sums import (
    CacheReport,
    checks_of,
    cut_of,
    false_hits_of,
    lines_of,
    lookups_of,
    notes_of,
    refusals_of,
)
from engine.cli.report_cache import read_report, report_table, write_report
from engine.history.contract import HistoryQuery, HistoryRow
from engine.redis_client import connect
from engine.types import Source

RULES = BoundSettings(judge_min=100)
COUNTS: Mapping[tuple[str, str], int] = {
    ("python", "served.right"): 980,
    ("python", "served.wrong"): 20,
    ("python", "served.unsure"): 7,
    ("python", "high.right"): 980,
    ("python", "high.wrong"): 20,
    ("<rust>", "low.right"): 3,
    ("", "refused.antonym"): 4,
    ("python", "refused.bound"): 9,
    ("", "lookup.exact.hit"): 5,
}


def row(number: int, source: Source | None, agent: str = "python", cost: int = 0, key: str = "") -> HistoryRow:
    """One request that ended."""
    return HistoryRow(
        id=str(number),
        request_id=str(number),
        at_s=float(number),
        tenant="t",
        user="u",
        outcome="ok" if source else "all_routes_unavailable",
        answered_by=agent if source else "",
        source=source,
        fingerprint=key,
        cost_micros=cost,
    )


ROWS = [
    row(1, "model", cost=100, key="a"),
    row(2, "model", cost=300, key="b"),
    row(3, "exact_cache", key="b"),
    row(4, "semantic_cache", key="c"),
    row(5, "flight", key="a"),
    row(6, "exact_cache", "<rust>", key="d"),
    row(7, None),
]


def report(rows: list[HistoryRow], counts: Mapping[tuple[str, str], int], unreachable: str = "") -> CacheReport:
    """As the command makes it."""
    total, agents = lines_of(rows)
    false_hits = () if unreachable else false_hits_of(counts, RULES)
    return CacheReport(
        total=total,
        agents=agents,
        checks=checks_of(rows),
        delta=RULES.delta,
        confidence=RULES.confidence,
        window_days=RULES.window_days,
        false_hits=false_hits,
        refusals=refusals_of(counts),
        lookups=lookups_of(counts),
        notes=notes_of(total, false_hits, unreachable),
    )


def text_of(found: CacheReport) -> str:
    """What a terminal shows, without colours."""
    console = Console(width=160, record=True, file=io.StringIO())
    for table in report_table(found):
        console.print(table)
    return console.export_text()


@pytest.mark.req("cache.bound")
def test_hits_are_counted_by_tier_and_agent_and_priced_by_what_they_would_have_cost():
    """The row with the same fingerprint, else the agent's mean fresh answer, else nothing; and it says which."""
    total, (python, rust) = lines_of(ROWS)
    assert (python.agent, python.answers, python.exact, python.semantic, python.flight) == ("python", 5, 1, 1, 1)
    assert (python.saved_micros, python.guessed, python.unpriced) == (300 + 200 + 100, 1, 0)
    assert (rust.hit_rate, rust.saved_micros, rust.unpriced) == (1.0, 0, 1)
    assert (total.answers, total.hit_rate, total.saved_micros) == (6, 4 / 6, 600)
    notes = " ".join(report(ROWS, {}).notes)
    assert "1 hits are priced as" in notes
    assert "1 hits are not priced" in notes


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize("newest_first", [True, False])
def test_the_latest_price_of_a_question_is_what_a_hit_saves(newest_first: bool):
    """Whatever the order in which rows are read."""
    rows = [
        row(1, "model", cost=100, key="a"),
        row(2, "model", cost=900, key="a"),
        row(3, "exact_cache", key="a"),
    ]
    total, _ = lines_of(rows[::-1] if newest_first else rows)
    assert total.saved_micros == 900


@pytest.mark.req("cache.bound")
def test_a_limit_that_leaves_requests_out_says_since_when_the_rest_counts():
    """One more than the limit is enough to know; as many as the limit are all there are."""
    newest_first = [row(number, "model", cost=1) for number in range(90_000, 0, -30_000)]
    assert cut_of(newest_first, 3) == (newest_first, ())
    kept, (note,) = cut_of(newest_first, 2)
    assert [one.id for one in kept] == ["90000", "60000"]
    assert "latest 2 requests" in note
    assert "since 1970-01-01 16:40 UTC" in note
    assert "--limit" in note


@pytest.mark.req("cache.bound")
def test_the_report_asks_history_for_one_more_than_the_limit(
    tmp_path: Path, redis_state_url: str, monkeypatch: pytest.MonkeyPatch
):
    """So it knows that there are more, and counts no more than asked for."""

    def rows(_: object, query: HistoryQuery) -> list[HistoryRow]:
        return [row(number, "model") for number in range(9, 0, -1)][: query.limit]

    monkeypatch.setattr("engine.cli.report_cache.SqlHistory.rows", rows)
    settings = load_settings(None, None, {}).model_copy(update={"data_dir": tmp_path})
    redis = settings.redis.model_copy(update={"state_url": SecretStr(redis_state_url), "timeout_s": 20.0})
    settings = settings.model_copy(update={"redis": redis})
    for limit, cut in ((8, True), (9, False)):
        found = read_report(settings, {}, 60.0, limit)
        assert found.total.answers == limit
        assert any("--limit" in note for note in found.notes) == cut


@pytest.mark.req("cache.bound")
def test_checks_are_no_answers_and_what_they_have_cost_is_shown(tmp_path: Path):
    """Answered afresh or failed, they change no count and no hit rate; they tell what a hit would have cost."""
    checks = [
        replace(row(8, "model", cost=500, key="c"), cache="check"),
        replace(row(9, None, cost=7), cache="check"),
    ]
    plain, (python, _) = lines_of(ROWS)
    total, (checked, _) = lines_of([*ROWS, *checks])
    assert (total.answers, total.hit_rate, checked.answers) == (plain.answers, plain.hit_rate, python.answers)
    assert (checked.saved_micros, checked.guessed) == (300 + 500 + 100, 0)
    found = report([*ROWS, *checks], {})
    assert (found.checks.count, found.checks.cost_micros) == (2, 507)
    assert "0.0005" in text_of(found).split("checks, not among the answers")[1]
    write_report(tmp_path / "cache.html", found, "7d")
    assert "2 semantic hits were answered afresh as well" in (tmp_path / "cache.html").read_text(encoding="utf-8")
    assert report(ROWS, {}).checks.count == 0
    assert "afresh" not in text_of(report(ROWS, {}))


@pytest.mark.req("cache.bound")
def test_the_false_hit_rate_stands_there_with_its_interval_and_who_refused():
    """Of all, and of agents that can be judged by themselves; rules by how often they refused."""
    found = report(ROWS, COUNTS)
    assert [one.agent for one in found.false_hits] == ["all", "python"]
    assert (found.false_hits[0].rate, found.false_hits[0].unsure, found.false_hits[0].stance) == (
        0.02,
        7,
        "normal",
    )
    assert list(found.refusals.items()) == [("bound", 9), ("antonym", 4)]
    assert found.lookups == {"exact.hit": 5}
    shown = text_of(found)
    assert "2.00%" in shown
    assert "1.23% to 3.07%" in shown
    assert "antonym" in shown


@pytest.mark.req("cache.bound")
def test_nothing_known_is_said_and_not_shown_as_zero():
    """An empty history, no comparison, counters out of reach: notes, and no table of noughts."""
    empty = report([], {})
    assert text_of(empty) == ""
    assert [note.split(":")[0] for note in empty.notes] == [
        "No answer has been recorded since then",
        "No semantic hit has been compared with a fresh answer yet",
    ]
    gone = report(ROWS, {}, unreachable="redis.state is gone")
    assert gone.false_hits == ()
    assert any("not known: redis.state is gone" in note for note in gone.notes)


@pytest.mark.req("cache.bound")
def test_the_page_holds_the_same_and_no_markup_of_anybody_else(tmp_path: Path):
    """Names are escaped; a folder that is not there is an error with a code."""
    file = tmp_path / "cache.html"
    write_report(file, report(ROWS, COUNTS), "7d")
    page = file.read_text(encoding="utf-8")
    assert "&lt;rust&gt;" in page
    assert "<rust>" not in page
    assert "1.23 to 3.07 %" in page
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(tmp_path / "none" / "cache.html", report([], {}), "7d")


@pytest.mark.req("cache.bound")
def test_counters_come_from_the_shared_state_and_are_a_note_when_it_is_gone(
    tmp_path: Path, redis_state_url: str, monkeypatch: pytest.MonkeyPatch
):
    """A real Redis with counters of today; then a port that nobody listens on."""
    now_s = 7_000 * 86_400.0
    monkeypatch.setattr("engine.cli.report_cache.time.time", lambda: now_s)
    settings = load_settings(None, None, {}).model_copy(update={"data_dir": tmp_path})

    def at(url: str) -> CacheReport:
        redis = settings.redis.model_copy(update={"state_url": SecretStr(url), "timeout_s": 20.0})
        return read_report(settings.model_copy(update={"redis": redis}), {}, 60.0, 10)

    verifier = generation_of(None)

    async def counted() -> None:
        async with connect(redis_state_url, None, RedisSettings(timeout_s=20)) as client:
            tallies = RedisTallies(client, settings.cache.bound, timeout_s=20, generation=verifier)
            await tallies.add(day_of(now_s), COUNTS)

    asyncio.run(counted())
    found = at(redis_state_url)
    assert found.false_hits[0].compared == 1_000
    assert asdict(found)["refusals"] == {"bound": 9, "antonym": 4}
    gone = at("redis://127.0.0.1:1")
    assert gone.refusals == {}
    assert any("redis.state" in note for note in gone.notes)
