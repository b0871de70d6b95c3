"""Which entries an operator means when some are to be forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.cache.selection import Selection, selects
from engine.cached import Entry, Provenance
from tests.support.answer_caches import ANSWER, digits, entry, place

NOW_S = 10_000.0
ANN, TENANT = digits("ann", length=32), digits("tenant", length=32)


def stored(**changes: object) -> Entry:
    """An answer of agent sql to ann, an hour old, tagged; ``changes`` to its provenance."""
    source = Provenance(
        by=ANN,
        tenant=TENANT,
        agent="sql",
        agent_version="abcdef",
        request_id="r",
        tags={"team": "red", "note": ""},
    )
    said = replace(
        ANSWER,
        text="Use a Window function.",
        question="Wie heißt das?",
        stored_at_s=NOW_S - 3_600.0,
        provenance=replace(source, **changes),
    )
    return entry(place("?"), said)


def means(selection: Selection, one: Entry | None = None) -> bool:
    """Whether ``one``, or the entry above, is selected."""
    return selects(selection, stored() if one is None else one, now_s=NOW_S)


@pytest.mark.req("cache.write")
@pytest.mark.parametrize(
    ("hit", "miss"),
    [
        (Selection(tags={"team": "red"}), Selection(tags={"team": "blue"})),
        (Selection(tags={"team": ""}), Selection(tags={"crew": ""})),
        (Selection(tags={"team": "red", "note": ""}), Selection(tags={"team": "red", "other": ""})),
        (Selection(agent="sql"), Selection(agent="python")),
        (Selection(agent_version="abcdef"), Selection(agent_version="bcd")),
        (Selection(agent_version="abc"), Selection(agent_version="abcdefg")),
        (Selection(older_than_s=3_599.0), Selection(older_than_s=3_600.0)),
        (Selection(text="WINDOW"), Selection(text="windows")),
        (Selection(text="HEISST"), Selection(text="heiß nicht")),
        (Selection(by=ANN), Selection(by=digits("bob", length=32))),
        (Selection(tenant=TENANT), Selection(tenant=digits("other", length=32))),
        (Selection(agent="sql", text="window", by=ANN), Selection(agent="sql", text="window", by=TENANT)),
        (Selection(everything=True), Selection()),
    ],
)
def test_every_condition_that_is_set_has_to_hold(hit: Selection, miss: Selection):
    """Each condition beside its twin that does not; none at all means nothing."""
    assert (means(hit), means(miss)) == (True, False)


@pytest.mark.req("cache.write")
def test_only_a_selection_without_any_condition_is_empty():
    """Everything is a condition, too."""
    assert Selection().is_empty
    for chosen in (Selection(everything=True), Selection(tags={"a": ""}), Selection(older_than_s=0.0)):
        assert not chosen.is_empty


@pytest.mark.req("cache.write")
def test_a_shared_entry_is_its_writers_too():
    """Forgetting a user reaches what the tenant shares because of them, and nobody else's."""
    shared = replace(stored(), place=place("?", owner="tenant"))
    assert means(Selection(by=ANN), shared)
    assert not means(Selection(by=digits("bob", length=32)), shared)


@pytest.mark.req("cache.write")
def test_an_entry_without_provenance_is_found_by_what_it_says_and_by_nothing_else():
    """Its decision names the agent; whose it was and under which tags nobody knows."""
    bare = entry(place("?"), replace(ANSWER, question="boo?", provenance=None))
    assert means(Selection(agent=ANSWER.decision.agent), bare)
    for unknown in (
        Selection(by=ANN),
        Selection(agent_version=""),
        Selection(tenant=TENANT),
        Selection(tags={"team": ""}),
    ):
        assert not means(unknown, bare)
