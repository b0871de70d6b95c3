"""The decision: intent, factors, order and reason, on vectors small enough to read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from configs.catalogue import AgentCapability, CostTier
from configs.routing import RoutingSettings
from engine.routing.contract import Reading
from engine.routing.decide import Shortlist, match
from engine.routing.select import Ranking, rank
from engine.routing.table import AgentTable, anchor_texts, profile, stack
from engine.types import Averages

PLAIN = RoutingSettings(
    example_weight=0.5,
    cue_bonus=0.4,
    keyword_bonus=0.1,
    keyword_hits_max=2,
    out_of_scope=0.3,
    cue_margin=0.1,
    weight_success=0.5,
    weight_cost=0.0,
    weight_latency=0.0,
)


def _agent(
    name: str,
    *anchors: Sequence[float],
    cues: Sequence[str] = (),
    keywords: Sequence[str] = (),
    cost_tier: CostTier = "free",
    avg_latency_ms: float = 1.0,
) -> tuple[AgentCapability, Sequence[Sequence[float]]]:
    capability = AgentCapability(
        name=name,
        description="d",
        cues=tuple(cues),
        keywords=tuple(keywords),
        cost_tier=cost_tier,
        avg_latency_ms=avg_latency_ms,
    )
    return capability, anchors


def _table(
    *agents: tuple[AgentCapability, Sequence[Sequence[float]]], settings: RoutingSettings = PLAIN
) -> AgentTable:
    profiles = [profile(c, np.array(a, dtype=np.float32), settings) for c, a in agents]
    return stack(profiles, settings.general_agent)


def _reading(*vector: float, familiarity: float = 1.0) -> Reading:
    return Reading(vector=np.array(vector, dtype=np.float32), familiarity=familiarity)


def _decide(
    table: AgentTable,
    reading: Reading,
    question: str = "",
    settings: RoutingSettings = PLAIN,
    **success: float,
) -> Ranking:
    averages = {name: Averages(success=ema) for name, ema in success.items()}
    return rank(match(table, reading, question, settings), averages, settings)


LEFT = _agent("left", (1, 0, 0, 0), (0.6, 0.8, 0, 0), cues=("port",), keywords=("harbour", "quay", "pier"))
RIGHT = _agent("right", (0, 0, 1, 0), cues=("starboard",), keywords=("light",))
GENERAL = _agent("general", (0, 0, 0, 1))


@pytest.mark.req("route.score")
def test_similarity_is_half_nearest_text_and_half_centre() -> None:
    """Nearest cosine 1, centre (0.8, 0.4)/√0.8 with cosine √0.8."""
    ranking = _decide(_table(LEFT, RIGHT, GENERAL), _reading(1, 0, 0, 0))
    assert ranking.agent == "left"
    assert ranking.candidates[0].similarity == pytest.approx(0.5 + 0.5 * 0.8**0.5)


@pytest.mark.req("route.score")
def test_the_record_holds_every_factor_of_every_candidate() -> None:
    """Cosine 0.6 twice, one keyword, a quarter of successes, half price, three quarters of speed: by hand."""
    settings = PLAIN.model_copy(
        update={
            "weight_cost": 1.0,
            "weight_latency": 1.0,
            "cost_factors": {"medium": 0.5},
            "latency_half_ms": 300.0,
        }
    )
    agent = _agent("left", (1, 0), keywords=("quay",), cost_tier="medium", avg_latency_ms=100.0)
    ranking = _decide(_table(agent, settings=settings), _reading(0.6, 0.8), "quay", settings, left=0.25)
    only = ranking.candidates[0]
    assert (only.agent, only.keyword_hits, only.success, only.cost) == ("left", ("quay",), 0.25, 0.5)
    assert (only.similarity, only.intent, only.latency) == pytest.approx((0.6, 0.7, 0.75))
    assert only.score == pytest.approx(0.7 * 0.25**0.5 * 0.5 * 0.75)


def test_keywords_add_up_to_their_limit_and_a_cue_counts_once() -> None:
    """Three keywords count as two, two cues as one."""
    agent = _agent("left", (1, 0), cues=("port", "larboard"), keywords=("harbour", "quay", "pier"))
    ranking = _decide(_table(agent), _reading(0, 1), "port larboard harbour quay pier")
    assert ranking.candidates[0].intent == pytest.approx(0.4 + 2 * 0.1)


@pytest.mark.req("route.strategy")
def test_what_no_specialist_is_near_goes_to_the_general_agent() -> None:
    """Below the bar the nearest specialist is named, but does not answer."""
    ranking = _decide(_table(LEFT, RIGHT, GENERAL), _reading(0, 0, 0.2, 0.1))
    assert ranking.agent == "general"
    assert ranking.reason == (
        "No specialist reaches intent 0.30 (the nearest, right, has 0.20), so general answers."
    )


def test_at_the_bar_a_specialist_answers() -> None:
    """Intent equal to the bar ties with the general agent's; a hair above wins."""
    table = _table(_agent("zebra", (1, 0)), _agent("general", (0, 1)))
    assert _decide(table, _reading(0.301, 0.0)).agent == "zebra"
    assert _decide(table, _reading(0.299, 0.0)).agent == "general"


def test_without_a_general_agent_the_nearest_answers() -> None:
    """There is always an answer when there is an agent."""
    assert _decide(_table(LEFT, RIGHT), _reading(0, 0, 0.1, 0)).agent == "right"


def test_a_cue_outranks_likeness() -> None:
    """The question is nearer to «right» but says «port»."""
    reading = _reading(0.3, 0, 0.5, 0)
    assert _decide(_table(LEFT, RIGHT, GENERAL), reading, "which light?").agent == "right"
    assert _decide(_table(LEFT, RIGHT, GENERAL), reading, "which port?").agent == "left"


def test_a_cue_that_is_a_homonym_does_not_count() -> None:
    """«port» in talk about wine: a general text is nearer by more than the margin."""
    table = _table(LEFT, RIGHT, GENERAL)
    wine = _decide(table, _reading(0.3, 0, 0, 0.45), "a glass of port")
    assert wine.agent == "general"
    assert [c.keyword_hits for c in wine.candidates if c.agent == "left"] == [()]
    assert _decide(table, _reading(0.3, 0, 0, 0.35), "a glass of port").agent == "left"


@pytest.mark.req("serve.python")
def test_in_an_unknown_language_only_cues_count() -> None:
    """Neither likeness nor an English keyword that may be a word of that language."""
    table = _table(LEFT, RIGHT, GENERAL)
    foreign = _reading(1, 0, 0, 0, familiarity=0.5)
    quay = _decide(table, foreign, "harbour quay", PLAIN.model_copy(update={"keyword_bonus": 0.4}))
    assert quay.agent == "general"
    assert quay.reason == (
        "The encoder does not know this language and no cue names an agent, so general answers."
    )
    assert _decide(table, foreign, "starboard").agent == "right"


def test_an_unreadable_question_is_decided_by_cues() -> None:
    """All zeros is what remains of a vector that was NaN (fault 45)."""
    table = _table(LEFT, RIGHT, GENERAL)
    assert _decide(table, _reading(0, 0, 0, 0), "anything").agent == "general"
    assert _decide(table, _reading(0, 0, 0, 0), "starboard").agent == "right"


@pytest.mark.req("route.score")
def test_a_failing_agent_sinks_and_returns() -> None:
    """Equal intent: the healthy one answers; without a record both count as healthy and the name decides."""
    table = _table(_agent("a", (1, 0)), _agent("b", (1, 0)))
    assert _decide(table, _reading(1, 0), a=0.3).agent == "b"
    assert _decide(table, _reading(1, 0), a=1.0).agent == "a"
    assert _decide(table, _reading(1, 0)).agent == "a"


def test_ties_fall_to_the_name_that_sorts_first() -> None:
    """In whichever order agents were registered."""
    one, two = _agent("beta", (1, 0)), _agent("alpha", (1, 0))
    assert _decide(_table(one, two), _reading(1, 0)).agent == "alpha"
    assert _decide(_table(two, one), _reading(1, 0)).agent == "alpha"


def test_the_order_of_a_shortlist_does_not_matter() -> None:
    """Ranking sorts by itself: equal scores by name."""
    both = match(_table(_agent("a", (1, 0)), _agent("b", (1, 0))), _reading(1, 0), "", PLAIN)
    turned = Shortlist(matches=both.matches[::-1], familiar=True)
    assert [c.agent for c in rank(turned, {}, PLAIN).candidates] == ["a", "b"]


def test_confidence_is_the_share_of_the_winner() -> None:
    """Equal scores share; a lead of one temperature gives e to 1."""
    settings = PLAIN.model_copy(update={"temperature": 0.5})
    equal = _table(_agent("a", (1, 0)), _agent("b", (1, 0)))
    assert _decide(equal, _reading(1, 0), settings=settings).confidence == pytest.approx(0.5)
    apart = _table(_agent("a", (1, 0)), _agent("b", (0, 1)))
    share = _decide(apart, _reading(0.5, 0.0), settings=settings).confidence
    assert share == pytest.approx(np.e / (np.e + 1))


@pytest.mark.req("route.scale")
def test_a_shortlist_keeps_the_best_and_the_general_agent() -> None:
    """Of a hundred agents the three best and «general» are compared in full and listed."""
    settings = PLAIN.model_copy(update={"shortlist": 3})
    many = [_agent(f"agent-{n:02}", (np.cos(n / 70), np.sin(n / 70)), keywords=(f"word{n}",)) for n in range(100)]
    table = _table(*many, _agent("general", (-1, 0)), settings=settings)
    ranking = _decide(table, _reading(1, 0), settings=settings)
    assert [c.agent for c in ranking.candidates] == ["agent-00", "agent-01", "agent-02", "general"]
    named = _decide(table, _reading(1, 0), "word55", settings)
    assert "agent-55" not in [c.agent for c in named.candidates]
    assert "agent-30" in [c.agent for c in _decide(table, _reading(1, 0), "word30", settings).candidates]


def test_the_reason_says_what_was_said_and_who_came_second() -> None:
    """One sentence with the numbers."""
    ranking = _decide(_table(LEFT, RIGHT, GENERAL), _reading(0, 0, 1, 0), "starboard light")
    assert ranking.reason == (
        "right fits best: similarity 1.00 and the question says 'starboard', 'light', score 1.50, "
        "before general with 0.30."
    )


def test_an_agent_with_few_examples_is_known_by_its_phrases_and_keywords() -> None:
    """With enough examples the description's sentences and the examples stand for it, each once."""
    few = AgentCapability(
        name="tides",
        description="Tells tides, currents and winds. Knows moons.",
        keywords=("ebb",),
        cues=("tide",),
    )
    assert anchor_texts(few, PLAIN) == (
        "Tells tides, currents and winds.",
        "Knows moons.",
        *("Tells tides", "currents", "winds", "Knows moons", "tide", "ebb", "How do I tide?", "How do I ebb?"),
    )
    enough = few.model_copy(update={"examples": ("When is ebb?", "Is it flood?", "When is ebb?")})
    assert anchor_texts(enough, PLAIN) == (
        "Tells tides, currents and winds.",
        "Knows moons.",
        "When is ebb?",
        "Is it flood?",
    )


def test_forms_of_one_word_are_one_term() -> None:
    """«table» and «tables» would otherwise count twice; a cue keeps its rank over an equal keyword."""
    agent = _agent("left", (1, 0), cues=("port",), keywords=("ports", "table", "tables"))
    ranking = _decide(_table(agent), _reading(0, 1), "a port with a table")
    assert ranking.candidates[0].keyword_hits == ("port", "table")


def test_texts_that_cancel_out_leave_the_first_as_centre() -> None:
    """A centre of length zero would make every cosine NaN."""
    made = profile(_agent("a")[0], np.array([(1, 0), (-1, 0)], dtype=np.float32), PLAIN)
    assert made.centre.tolist() == [1.0, 0.0]
