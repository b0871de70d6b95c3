"""How outcomes move averages: gains, doubt, probation, fading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.routing import LearnSettings
from engine.learning.averages import aged, fresh, kept, marks, replay, step
from engine.learning.contract import RouteResult, Tally

RULES = LearnSettings()
FAILED, WORKED = RouteResult(subject="a", ok=False), RouteResult(subject="a", ok=True)


def after(*results: RouteResult) -> Tally:
    """What is known when nobody was known before."""
    tally = replay(None, results, RULES, 0.0)
    assert tally is not None
    return tally


@pytest.mark.req("route.learn")
@given(seconds=st.floats(0, 1e7))
def test_fading_is_a_power_of_one_half(seconds: float):
    """The series without a library's ``pow`` is exact to nine digits."""
    assert kept(RULES, seconds) == pytest.approx(0.5 ** min(64.0, seconds / RULES.half_life_s), rel=1e-9)


@pytest.mark.req("route.learn")
def test_five_failures_in_a_row_put_an_agent_on_probation_and_four_do_not():
    """The odds of failing pass 3,000 with the fifth."""
    assert not after(*[FAILED] * 4).held
    assert after(*[FAILED] * 5).held


@pytest.mark.req("route.learn")
def test_probation_ends_after_five_good_probes_and_two_failures_bring_it_back():
    """Let go near the mark, so that a few lucky probes of a failing agent cost little."""
    held = [FAILED] * 9
    assert after(*held, *[WORKED] * 4).held
    assert not after(*held, *[WORKED] * 5).held
    assert after(*held, *[WORKED] * 5, FAILED, FAILED).held
    assert not after(*held, *[WORKED] * 20, FAILED, FAILED).held


@pytest.mark.req("route.learn")
def test_a_probe_weighs_more_than_another_outcome():
    """Outcomes on probation are few: 0.3 instead of 0.1 of the way."""
    held = after(*[FAILED] * 5)
    assert step(held, WORKED, RULES, 0.0).success == pytest.approx(held.success + 0.3 * (1 - held.success))
    assert after(FAILED).success == pytest.approx(0.9)


@pytest.mark.req("route.learn")
@given(st.lists(st.sampled_from([FAILED, WORKED]), max_size=60), st.floats(0, 1e6))
def test_averages_stay_within_their_bounds(results: list[RouteResult], later_s: float):
    """Whatever happens: success in [0, 1], doubt between nothing and its mark, evidence no more than outcomes."""
    tally = aged(replay(fresh(RULES, 0.0), results, RULES, 0.0) or fresh(RULES, 0.0), RULES, later_s)
    assert 0.0 <= tally.success <= 1.0
    assert 0.0 <= tally.doubt <= marks(RULES).held
    assert 0.0 <= tally.evidence <= len(results)


@pytest.mark.req("route.learn")
def test_a_clock_that_goes_back_changes_nothing():
    """After a failover the server's time may be earlier."""
    late = step(None, FAILED, RULES, 100.0)
    assert aged(late, RULES, 50.0) == late
    assert step(late, FAILED, RULES, 50.0).at_s == 100.0


@pytest.mark.req("route.learn")
@pytest.mark.parametrize("wrong", [{"failing": 0.9}, {"sound": 1.0}, {"release_odds": 1e6}, {"probe_share": 0.5}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]):
    """Each of them would hold nobody, or everybody, or probe beyond the bound."""
    with pytest.raises(ValueError, match=r"must be below|must not exceed"):
        LearnSettings.model_validate(wrong)
