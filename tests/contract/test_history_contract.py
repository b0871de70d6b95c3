"""One suite for every history: the list twin, SQLite and PostgreSQL. Order, filters, policies, forgetting."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.history.contract import HistoryQuery, user_of
from tests.support.history import NOW_S, HistoryLab, history_lab, row

KINDS = ["memory", "sqlite", "postgresql"]


@pytest.fixture(params=KINDS)
async def lab(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> AsyncIterator[HistoryLab]:
    """Each implementation in turn, with the default policy: encrypted."""
    async with history_lab(request.param, tmp_path, postgres_url) as made:
        yield made


@pytest.mark.req("route.history")
async def test_a_row_comes_back_as_it_was_put(lab: HistoryLab):
    """Every field, texts with NUL, emoji and half a surrogate pair included."""
    full = row(3, prompt=row().prompt)
    bare = row(
        4, source=None, complexity=None, embedding=None, prompt=None, answer=None, fingerprint="", degraded=()
    )
    await lab.put(bare, full)
    assert await lab.read() == [full, bare]


@pytest.mark.req("route.history")
async def test_rows_come_in_time_order_whatever_order_they_came_in(lab: HistoryLab):
    """Over several pages, with equal times among them; and backwards the same."""
    numbers = [3, 1, 4, 0, 2, 6, 5]
    await lab.put(*(row(n, at_s=NOW_S + n // 3) for n in numbers))
    names = [one.id for one in await lab.read()]
    assert names == [f"row-{n}" for n in range(7)]
    backwards = await lab.read(HistoryQuery(newest_first=True))
    assert [one.id for one in backwards] == names[::-1]


@pytest.mark.req("route.history")
async def test_a_query_names_time_agent_arm_user_and_number(lab: HistoryLab):
    """Each filter keeps what it names and nothing else."""
    other = user_of("acme", "bob")
    await lab.put(row(0), row(1, agent="viz"), row(2, arm="trial/control"), row(3, user=other), row(4))
    queries = {
        "234": HistoryQuery(since_s=NOW_S + 2),
        "01": HistoryQuery(until_s=NOW_S + 2),
        "1": HistoryQuery(agent="viz"),
        "2": HistoryQuery(arm="trial/control"),
        "3": HistoryQuery(user=other),
        "012": HistoryQuery(limit=3),
        "43": HistoryQuery(limit=2, newest_first=True),
        "": HistoryQuery(limit=0),
    }
    for expected, query in queries.items():
        assert "".join(one.id[-1] for one in await lab.read(query)) == expected


@pytest.mark.req("route.history")
async def test_a_row_put_twice_is_one(lab: HistoryLab):
    """A write that is repeated after a lost reply changes nothing."""
    await lab.put(row(1), row(2))
    await lab.put(row(1))
    assert [one.id for one in await lab.read()] == ["row-1", "row-2"]


@pytest.mark.req("obs.privacy")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", ["none", "plain", "encrypted"])
async def test_the_policy_says_what_is_kept(kind: str, content: str, tmp_path: Path, postgres_url: str):
    """``none`` keeps embedding, token counts and fingerprint; the others keep the texts too."""
    async with history_lab(kind, tmp_path, postgres_url, content=content) as lab:
        await lab.put(row(1))
        expected = replace(row(1), prompt=None, answer=None) if content == "none" else row(1)
        assert await lab.read() == [expected]


@pytest.mark.req("obs.privacy")
@pytest.mark.parametrize("data_class", ["pii", "phi"])
async def test_personal_and_health_data_are_never_kept(lab: HistoryLab, data_class: str):
    """Their texts go whatever the policy says; an internal one stays."""
    await lab.put(row(1, data_class=data_class), row(2, data_class="internal"))
    personal, internal = await lab.read()
    assert (personal.prompt, personal.answer, personal.question) == (None, None, None)
    assert internal.question == "question 2"


@pytest.mark.req("route.history")
async def test_a_forgotten_user_has_amounts_and_no_content(lab: HistoryLab):
    """Only that user of that tenant; rows put before count, and a later one can be read again."""
    namesake = row(3, user=user_of("other", "ada"))
    await lab.put(row(1))
    lab.history.put(row(2))
    lab.history.put(namesake)
    assert await lab.history.forget("acme", "ada") == 2
    assert await lab.history.forget("acme", "ada") == 0
    empty = {"prompt": None, "answer": None, "embedding": None, "fingerprint": ""}
    assert await lab.read() == [replace(row(1), **empty), replace(row(2), **empty), namesake]
    await lab.put(row(4))
    assert (await lab.read())[-1] == row(4)


@pytest.mark.req("route.history")
async def test_forgetting_somebody_unknown_changes_nothing(lab: HistoryLab):
    """No row of anybody else is touched."""
    await lab.put(row(1))
    assert await lab.history.forget("acme", "nobody") == 0
    assert await lab.read() == [row(1)]


@pytest.mark.req("obs.privacy")
async def test_words_that_a_decision_quotes_come_back_until_they_are_forgotten(lab: HistoryLab):
    """Half a surrogate pair among them; of personal data they never do, and what was decided always stays."""
    bare = '{"agent":"sql","reason":"","candidates":[{"agent":"sql","keyword_hits":[]},{"agent":"viz"}]}'
    said = (
        '{"agent":"sql","reason":"\\ud800","candidates":[{"agent":"sql","keyword_hits":["owl"]},{"agent":"viz"}]}'
    )
    await lab.put(row(1, decision=said), row(2, decision=said, data_class="phi"))
    assert [json.loads(one.decision) for one in await lab.read()][1] == json.loads(bare)
    assert "owl" in (await lab.read())[0].decision
    assert "\\ud800" in (await lab.read())[0].decision
    await lab.history.forget("acme", "ada")
    assert [json.loads(one.decision) for one in await lab.read()] == [json.loads(bare)] * 2
