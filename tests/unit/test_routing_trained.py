"""A trained head in the decision: what it adds, whom it knows, when it is not asked. On a few numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from configs.catalogue import AgentCapability
from configs.routing import RoutingSettings
from engine.routing.contract import Reading, Vectors
from engine.routing.decide import Shortlist, Trained, bind, match, sureness
from engine.routing.head import DIMENSIONS, SIGNALS, STEP, Head, Weights
from engine.routing.table import AgentTable, digest_of, profile, stack

PLAIN = RoutingSettings(
    example_weight=0.5,
    cue_bonus=0.4,
    cue_margin=1.0,
    out_of_scope=0.3,
    head_weight=0.1,
    head_floor=0.001,
    own_head_weight=0.05,
    own_head_floor=0.001,
    temperature=0.5,
    temperature_trained=0.25,
)
NONE = np.empty(0, np.int64)


def _vector(*values: float) -> Vectors:
    return np.array([*values, *[0.0] * (DIMENSIONS - len(values))], dtype=np.float32)


def _head(shares: Mapping[str, float], blend: Sequence[float] = (1, 0, 0, 0), reject_below: float = 0.0) -> Head:
    """Says the same of every text, unless ``blend`` weighs its vector or the cue «oak» of the first label."""
    count = len(shares)
    centres = np.stack([_vector(*[0.0] * i, 1.0) for i in range(count)])
    weights = Weights(
        linear=np.zeros((DIMENSIONS, count), np.float32),
        bias=np.log(np.array(list(shares.values()), np.float32)),
        words=np.empty((0, count), np.float32),
        rarity=np.empty(0, np.float32),
        examples=(centres * STEP).astype(np.int8),
        starts=np.arange(count + 1),
        centres=centres,
        terms=np.array(["oak"]),
        term_labels=np.zeros(1, np.int64),
        term_cues=np.ones(1, np.int64),
        blend=np.array(blend, np.float64),
        sharpness=np.array(5.0),
        scope=np.stack([np.zeros(SIGNALS), np.ones(SIGNALS), np.zeros(SIGNALS)]),
        scope_bias=np.array(0.0),
        reject_below=np.array(reject_below),
    )
    return Head(list(shares), weights)


def _capability(name: str, cues: Sequence[str] = ()) -> AgentCapability:
    return AgentCapability(name=name, description="d", cues=tuple(cues))


LEFT, RIGHT, GENERAL = _capability("left", ["port"]), _capability("right"), _capability("general")
AT: Mapping[str, Vectors] = {
    "left": _vector(1.0),
    "right": _vector(0.0, 1.0),
    "general": _vector(0.0, 0.0, 1.0),
    "newcomer": _vector(0.0, 0.0, 0.0, 1.0),
}


def _table(*agents: AgentCapability) -> AgentTable:
    return stack([profile(a, AT[a.name][None], PLAIN) for a in agents], PLAIN.general_agent)


THREE = _table(LEFT, RIGHT, GENERAL)
DIGESTS = {a.name: digest_of(a) for a in (LEFT, RIGHT, GENERAL)}


def _ask(
    table: AgentTable, head: Trained | None, *vector: float, question: str = "", familiarity: float = 1.0
) -> Shortlist:
    return match(table, Reading(vector=_vector(*vector), familiarity=familiarity), question, PLAIN, head=head)


def _intents(found: Shortlist) -> dict[str, float]:
    return {m.agent: m.intent for m in found.matches}


def _best(found: Shortlist) -> str:
    return max(found.matches, key=lambda m: m.intent).agent


@pytest.mark.req("route.quality")
def test_a_head_takes_from_whom_it_doubts_and_gives_to_none() -> None:
    """Likeness plus a tenth of the log of the head's probability, by hand; without the head «left» wins."""
    head = bind(THREE, _head({"left": 0.05, "right": 0.9, "general": 0.05}), DIGESTS)
    found = _ask(THREE, head, 0.7, 0.6)
    wanted = {"left": 0.7 + 0.1 * math.log(0.05), "right": 0.6 + 0.1 * math.log(0.9)}
    assert _intents(found) == pytest.approx({**wanted, "general": 0.3 + 0.1 * math.log(0.05)})
    assert {m.agent: m.probability for m in found.matches} == pytest.approx(
        {"left": 0.05, "right": 0.9, "general": 0.05}
    )
    assert (_best(found), found.trained) == ("right", True)
    plain = _ask(THREE, None, 0.7, 0.6)
    assert (_best(plain), plain.trained) == ("left", False)


@pytest.mark.req("route.train")
def test_a_head_of_ones_own_decides_among_the_agents_it_knows() -> None:
    """«left» is far nearer, but named is «right»: by hand. The shipped head does not outweigh such a lead."""
    shares = {"left": 0.38, "right": 0.57, "general": 0.05}
    found = _ask(THREE, bind(THREE, _head(shares)), 0.8, 0.2)
    intents = _intents(found)
    wanted = {
        "right": 0.8,
        "left": 0.8 + 0.05 * math.log(0.38 / 0.57),
        "general": 0.8 + 0.05 * math.log(0.05 / 0.57),
    }
    assert intents == pytest.approx(wanted, abs=1e-6)
    assert sureness([intents[n] for n in shares], found, PLAIN) == pytest.approx(list(shares.values()), abs=1e-6)
    assert _best(_ask(THREE, bind(THREE, _head(shares), DIGESTS), 0.8, 0.2)) == "left"


def test_a_general_agent_that_ones_own_head_does_not_know_wins_what_is_far_nearer_to_it() -> None:
    """By more than the margin of a homonym, 0.2; less is not enough, nor is it for one that the head knows."""
    settings = PLAIN.model_copy(update={"cue_margin": 0.2})
    two, three = {"left": 0.9, "right": 0.1}, {"left": 0.9, "right": 0.05, "general": 0.05}

    def best(shares: Mapping[str, float], near: float) -> str:
        reading = Reading(vector=_vector(0.35, 0.0, near), familiarity=1.0)
        return _best(match(THREE, reading, "", settings, head=bind(THREE, _head(shares))))

    assert [best(two, 0.6), best(two, 0.5), best(three, 0.6)] == ["general", "left", "left"]


def test_among_many_agents_whom_a_head_of_ones_own_names_is_compared() -> None:
    """One place beside the general agent's: «right» has it, which the head names, though «left» is nearer."""
    settings = PLAIN.model_copy(update={"shortlist": 1})
    head = bind(THREE, _head({"left": 0.04, "right": 0.95, "general": 0.01}))
    reading = Reading(vector=_vector(0.9, 0.1), familiarity=1.0)
    assert [m.agent for m in match(THREE, reading, "", settings, head=head).matches] == ["general", "right"]


@pytest.mark.req("route.discover")
def test_an_agent_the_head_does_not_know_keeps_its_intent_and_wins_its_questions() -> None:
    """A newcomer at 0.8; the head is sure that it is «left»'s, whose texts are at 0.5."""
    table = _table(LEFT, RIGHT, GENERAL, _capability("newcomer"))
    head = bind(table, _head({"left": 0.98, "right": 0.01, "general": 0.01}))
    found = _ask(table, head, 0.5, 0.0, 0.0, 0.8)
    assert _best(found) == "newcomer"
    assert _intents(found)["newcomer"] == pytest.approx(0.8)
    assert [m.probability for m in found.matches if m.agent == "newcomer"] == [None]


def test_an_agent_that_has_changed_since_is_a_stranger_to_the_head() -> None:
    """Its digest differs, so it is compared by its texts alone; its twin, unchanged, is doubted."""
    shares = {"left": 0.05, "right": 0.9, "general": 0.05}
    digests = {a.name: digest_of(a) for a in (LEFT, RIGHT, GENERAL)}
    changed = _table(_capability("left", ["port", "larboard"]), RIGHT, GENERAL)
    found = _ask(changed, bind(changed, _head(shares), digests), 0.7, 0.6)
    assert (_best(found), _intents(found)["left"]) == ("left", pytest.approx(0.7))
    assert _best(_ask(THREE, bind(THREE, _head(shares), digests), 0.7, 0.6)) == "right"


@pytest.mark.req("route.quality", "route.strategy")
def test_what_a_head_of_ones_own_turns_away_is_nobodys() -> None:
    """Its scope is one half for every text: below its threshold all it knows lose, but not newcomers nor cues."""
    shares = {"left": 0.9, "right": 0.05, "general": 0.05}
    table = _table(LEFT, RIGHT, GENERAL, _capability("newcomer"))
    strict, mild = bind(table, _head(shares, reject_below=0.9)), bind(table, _head(shares, reject_below=0.1))
    away, kept = _ask(table, strict, 0.7, 0.0, 0.2), _ask(table, mild, 0.7, 0.0, 0.2)
    assert (_best(away), away.out_of_scope) == ("general", True)
    assert _intents(away)["general"] == pytest.approx(0.3)
    assert _intents(away)["left"] == pytest.approx(0.3 + 0.05 * math.log(1 / 9), abs=1e-6)
    assert (_best(kept), kept.out_of_scope) == ("left", False)
    assert _best(_ask(table, strict, 0.7, 0.0, 0.0, 0.6)) == "newcomer"
    assert _best(_ask(table, strict, 0.7, 0.0, 0.2, question="the port")) == "left"
    shipped = _ask(table, bind(table, _head(shares, reject_below=0.9), DIGESTS), 0.7, 0.0, 0.2)
    assert (_best(shipped), shipped.out_of_scope) == ("left", False)


def test_a_head_for_other_agents_is_not_asked_at_all() -> None:
    """No name in common: there is nothing to bind, with or without digests."""
    assert bind(THREE, _head({"up": 0.5, "down": 0.5})) is None
    assert bind(THREE, _head({"left": 0.5, "right": 0.5}), {}) is None
    assert bind(THREE, _head({"left": 0.5, "right": 0.5})) is not None


def test_what_the_head_gives_to_an_agent_that_is_gone_goes_to_the_general_agent() -> None:
    """Nine tenths for «gone»: all others are doubted alike, and nobody is near, so the question is nobody's."""
    shares = {"gone": 0.9, "left": 0.03, "right": 0.03, "general": 0.04}
    for digests in (DIGESTS, None):
        found = _ask(THREE, bind(THREE, _head(shares), digests), 0.2, 0.1)
        assert (_best(found), found.out_of_scope) == ("general", True)
    own = _ask(THREE, bind(THREE, _head(shares)), 0.7, 0.1)
    assert (_best(own), own.out_of_scope) == ("general", True)


def test_a_cue_outweighs_a_head_that_is_mistaken() -> None:
    """«left» gets nothing, which counts as a thousandth: 6.9 times the weight less; the cue is worth 0.4 more."""
    for digests, near in ((DIGESTS, 0.9), (None, 0.1)):
        head = bind(THREE, _head({"left": 1e-9, "right": 0.6, "general": 0.4}), digests)
        assert _best(_ask(THREE, head, near, 0.3, question="which light?")) == "right"
        assert _best(_ask(THREE, head, near, 0.3, question="which port?")) == "left"


@pytest.mark.req("serve.python")
def test_in_a_language_the_encoder_does_not_know_the_head_is_not_asked() -> None:
    """Its vector means nothing there; the same vector in English is judged."""
    head = bind(THREE, _head({"left": 0.9, "right": 0.05, "general": 0.05}))
    foreign = _ask(THREE, head, 1.0, familiarity=0.2)
    assert ({m.probability for m in foreign.matches}, foreign.trained) == ({None}, False)
    assert (_best(foreign), foreign.out_of_scope) == ("general", True)
    assert _best(_ask(THREE, head, 1.0)) == "left"


@pytest.mark.req("route.strategy")
def test_a_question_is_out_of_scope_when_nobody_is_near_and_not_when_somebody_is() -> None:
    """Nobody above the bar; a specialist above it; the general agent above it by its own texts."""
    assert _ask(THREE, None, 0.2, 0.1).out_of_scope
    assert not _ask(THREE, None, 0.5, 0.1).out_of_scope
    own = _ask(THREE, None, 0.2, 0.1, 0.6)
    assert (_best(own), own.out_of_scope) == ("general", False)
    assert not _ask(_table(LEFT, RIGHT), None, 0.2, 0.1).out_of_scope


def test_sureness_has_its_own_temperature_where_a_head_took_part() -> None:
    """A lead of 0.25: one temperature with a head, e to 1; half of one without."""
    matches = _ask(THREE, None, 0.5).matches
    with_head = Shortlist(matches=matches, familiar=True, trained=True)
    without = Shortlist(matches=matches, familiar=True)
    assert sureness([0.75, 0.5], with_head, PLAIN)[0] == pytest.approx(math.e / (math.e + 1))
    assert sureness([0.75, 0.5], without, PLAIN)[0] == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert sum(sureness([0.3, 0.9, 0.1], without, PLAIN)) == pytest.approx(1.0)


def test_among_many_agents_the_head_has_a_say_in_who_is_compared_in_full() -> None:
    """Two places: «left» is nearest but doubted, so «right» and the general agent have them."""
    settings = PLAIN.model_copy(update={"shortlist": 2})
    reading = Reading(vector=_vector(0.62, 0.6, 0.55), familiarity=1.0)
    head = bind(THREE, _head({"left": 0.01, "right": 0.49, "general": 0.5}))
    assert [m.agent for m in match(THREE, reading, "", settings, head=head).matches] == ["general", "right"]
    assert "left" in [m.agent for m in match(THREE, reading, "", settings).matches]


@pytest.mark.parametrize("blend", [(1, 0, 0, 0), (1, 2, 0, 0), (0.7, 0, 0.5, 1.5), (1, 2, 0.5, 1.5)])
def test_one_text_gets_the_same_with_its_scope_and_without(blend: tuple[float, ...]) -> None:
    """Whatever parts have a weight, the quick way and ``judge`` agree."""
    head = _head({"left": 0.2, "right": 0.7, "general": 0.1}, blend)
    for text, vector in (("an oak", _vector(0.6, 0.8)), ("a fir", _vector(0.0, 0.0, 1.0))):
        judged = head.judge(vector[None], [text]).probabilities[0]
        assert head.probabilities(vector, text) == pytest.approx(judged)
