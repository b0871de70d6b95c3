"""Who is on which arm: shares, stickiness, independence, and how few move when a share changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from configs.splits import Arm, Experiment, Step
from engine.splits.assign import arm_at, effective_shares, layout, place, point_of, share_at
from engine.types import Decision, Leg
from tests.support.splits import arm, asked, experiment

PEOPLE = 100_000
SQL = ("sql", frozenset({"m"}))
AGES = {"trial": 1.0}
Shares = st.lists(st.integers(0, 1000), min_size=1, max_size=5).map(
    lambda parts: [part / max(1000, sum(parts)) for part in parts]
)


def points(trial: Experiment, count: int = PEOPLE) -> list[float]:
    """Where users 0, 1, … lie."""
    return [point_of(trial, ("acme", str(number))) for number in range(count)]


@pytest.mark.req("route.split")
def test_of_many_users_each_arm_has_its_share_within_one_percent():
    """Over 10⁵ ids, with three arms and control."""
    shares = (0.05, 0.2, 0.4)
    counts = Counter(arm_at(shares, point) for point in points(experiment()))
    found = [counts[index] / PEOPLE for index in (0, 1, 2, None)]
    assert found == pytest.approx([*shares, 0.35], abs=0.01)


@pytest.mark.req("route.split")
def test_two_experiments_and_two_salts_are_independent():
    """Whoever is on the arm of one is on that of the other as often as anybody else."""
    first, second, salted = experiment(), experiment(name="other"), experiment(salt="2")
    ours = points(first, 20_000)
    for other in (second, salted):
        both = Counter((x < 0.5, y < 0.3) for x, y in zip(ours, points(other, 20_000), strict=True))
        assert both[True, True] / 20_000 == pytest.approx(0.15, abs=0.01)
        assert both[False, True] / 20_000 == pytest.approx(0.15, abs=0.01)


@pytest.mark.req("route.split")
def test_a_larger_share_moves_only_requests_from_control():
    """From 10 % to 30 %: a fifth moves, into that arm; the other arm keeps everybody."""
    before, after = (0.1, 0.2), (0.3, 0.2)
    moves = Counter((arm_at(before, point), arm_at(after, point)) for point in points(experiment(), 20_000))
    changed = {move: count for move, count in moves.items() if move[0] != move[1]}
    assert changed.keys() == {(None, 0)}
    assert changed[None, 0] / 20_000 == pytest.approx(0.2, abs=0.01)


@pytest.mark.req("route.split")
@given(Shares)
def test_arms_never_overlap_and_have_exactly_their_share(shares: list[float]):
    """Whatever the shares are, up to all of the traffic."""
    parts = sorted(part for arm_parts in layout(shares) for part in arm_parts)
    assert all(before[1] <= after[0] + 1e-12 for before, after in pairwise(parts))
    assert all(0.0 <= start <= end <= 1.0 + 1e-12 for start, end in parts)
    for share, own in zip(shares, layout(shares), strict=True):
        assert sum(end - start for start, end in own) == pytest.approx(share)


@pytest.mark.req("route.split")
@given(st.integers(1, 5), st.data())
def test_while_arms_fit_their_sectors_a_change_moves_no_more_than_itself(count: int, data: st.DataObject):
    """Nobody changes from one arm to another."""
    within = st.integers(0, 1000 // count).map(lambda part: part / 1000)
    before = data.draw(st.lists(within, min_size=count, max_size=count))
    index = data.draw(st.integers(0, count - 1))
    after = [*before[:index], data.draw(within), *before[index + 1 :]]
    for point in (step / 97 for step in range(97)):
        old, new = arm_at(before, point), arm_at(after, point)
        assert old == new or {old, new} == {index, None}


@pytest.mark.req("route.split")
@pytest.mark.parametrize(
    ("by", "same", "other"),
    [
        ("user", asked(request_id="2"), asked(tenant="b")),
        ("tenant", asked(user="bob", request_id="2"), asked(tenant="b")),
        ("request", asked(user="bob", tenant="b"), asked(request_id="2")),
    ],
)
def test_requests_that_belong_together_stay_on_one_arm(by: str, same: object, other: object):
    """By user, tenant or request; with ever smaller shares the others part company."""
    parted = 0
    for salt in range(60):
        trial = experiment(by=by, salt=str(salt))
        first, again, elsewhere = (place([trial], {}, AGES, who, SQL) for who in (asked(), same, other))
        assert first == again
        parted += first != elsewhere
    assert 15 < parted < 45


@pytest.mark.req("route.split")
def test_an_arm_changes_what_it_names_and_nothing_else():
    """The agent before the chain is made, models in it; one that would stand there twice stands there once."""
    everybody = experiment(arm(share=1.0, agents={"sql": "viz"}, models={"a": "b"}))
    placed = place([everybody], {}, AGES, asked(), SQL)
    assert placed is not None
    assert (placed.label, placed.agent("sql"), placed.agent("rust")) == ("trial/new", "viz", "rust")
    chain = [("sql", "a"), ("sql", "b"), ("sql", "c"), ("own", None)]
    legs = tuple(Leg(agent=agent, model=model) for agent, model in chain)
    decision = placed.applied(Decision(agent="viz", strategy="single", confidence=1.0, reason="", legs=legs), {})
    assert [(leg.agent, leg.model) for leg in decision.legs] == [("sql", "b"), ("sql", "c"), ("own", None)]
    assert (decision.arm, decision.agent) == ("trial/new", "viz")


@pytest.mark.req("route.split")
def test_the_control_group_is_labelled_and_left_alone():
    """Its requests are counted, so they carry the experiment's name."""
    placed = place([experiment(arm(share=0.0))], {}, AGES, asked(), SQL)
    assert placed is not None
    assert (placed.label, placed.agent("sql")) == ("trial/control", "sql")


@pytest.mark.req("route.split")
def test_a_request_belongs_to_the_first_experiment_that_could_change_it():
    """Not to one that is switched off or about something else; by a model of its chain as well as by its agent."""
    off = experiment(name="off", enabled=False)
    elsewhere = experiment(arm(agents={"rust": "viz"}), name="elsewhere")
    models = experiment(arm(models={"m": "n"}), name="models")
    ages = dict.fromkeys(("off", "elsewhere", "models", "trial"), 1.0)
    placed = place([off, elsewhere, models, experiment()], {}, ages, asked(), SQL)
    assert placed is not None
    assert placed.experiment == "models"
    assert place([off, elsewhere], {}, ages, asked(), SQL) is None


@pytest.mark.req("route.split")
def test_what_a_caller_names_is_not_replaced():
    """A named agent is in no experiment about agents, named models in none about models."""
    agents, models = experiment(), experiment(arm(models={"m": "n"}))
    named, chosen = replace(asked(), agent="sql"), replace(asked(), models=("m",))
    found = [[place([trial], {}, AGES, who, SQL) for who in (named, chosen)] for trial in (agents, models)]
    assert [[one is None for one in pair] for pair in found] == [[True, False], [False, True]]


@pytest.mark.req("route.split")
def test_a_halted_arm_has_no_traffic_and_the_others_keep_theirs():
    """What it had goes to control."""
    trial = experiment(arm("a", 0.3), arm("b", 0.3))
    full, less = effective_shares(trial, 0.0, ()), effective_shares(trial, 0.0, {"a"})
    moves = {(arm_at(full, point), arm_at(less, point)) for point in points(trial, 2_000)}
    assert moves == {(0, None), (1, 1), (None, None)}


@pytest.mark.req("route.split")
def test_before_the_shared_state_is_known_everybody_is_in_control():
    """A replica that has just started may not know of a roll-back."""
    placed = place([experiment(arm(share=1.0))], {}, {}, asked(), SQL)
    assert placed is not None
    assert placed.label == "trial/control"


@pytest.mark.req("route.split")
def test_a_rollout_grows_with_the_age_of_the_experiment():
    """Each step until its time, then the full share; whoever is on the arm stays there."""
    steps = (Step(until_s=10, share=0.01), Step(until_s=20, share=0.1))
    young = arm(share=0.5, rollout=steps)
    assert [share_at(young, age_s) for age_s in (0, 9.9, 10, 19.9, 20, 1e9)] == [0.01, 0.01, 0.1, 0.1, 0.5, 0.5]
    for point in points(experiment(young), 2_000):
        on = [arm_at([share_at(young, age_s)], point) == 0 for age_s in (0, 10, 20)]
        assert on == sorted(on)


@pytest.mark.req("route.split")
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "control", "share": 0.1, "agents": {"a": "b"}}, "cannot be called control"),
        ({"name": "a", "share": 0.1}, "would change nothing"),
        ({"name": "a", "share": 0.1, "agents": {"a": "b"}, "rollout": [(1, 0.2)]}, "larger share"),
        ({"name": "a", "share": 0.1, "agents": {"a": "b"}, "rollout": [(2, 0.1), (2, 0.1)]}, "must be later"),
        ({"name": "a", "share": 1.1, "agents": {"a": "b"}}, "less than or equal to 1"),
    ],
)
def test_an_arm_that_makes_no_sense_is_refused(fields: dict[str, object], reason: str):
    """With what is wrong about it."""
    steps = [Step(until_s=until_s, share=share) for until_s, share in fields.pop("rollout", [])]
    with pytest.raises(ValidationError, match=reason):
        Arm.model_validate({**fields, "rollout": steps})


@pytest.mark.req("route.split")
def test_arms_of_one_name_or_of_more_than_all_traffic_are_refused():
    """Two of 60 %, two called new; three thirds are fine."""
    with pytest.raises(ValidationError, match="same name"):
        experiment(arm(share=0.1), arm(share=0.1))
    with pytest.raises(ValidationError, match="exceed 1"):
        experiment(arm("a", 0.6), arm("b", 0.6))
    assert len(experiment(*(arm(name, 1 / 3) for name in "abc")).arms) == 3
