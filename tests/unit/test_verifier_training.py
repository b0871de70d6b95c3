"""Training of the verifier: what follows from pairs, the fit, its thresholds. Vectors are bags of words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.cache.features import NAMES
from engine.cache.profile import profile
from engine.cache.verifier import Logistic
from engine.cache.verifier_file import SHIPPED, load_sheet
from engine.errors import TrainingRefused
from engine.evals.score import calibration_error
from engine.training import verifier_job
from engine.training.pairs.pair import Pair
from engine.training.pairs.read import read_pairs
from engine.training.verifier_card import model_card
from engine.training.verifier_figures import CLOSED, NEVER, Goal, Thresholds, choose, exceed, rate
from engine.training.verifier_fit import BY_LENGTH, OF_EDITS, UP, Examples, fit_parts, moved
from engine.training.verifier_job import (
    ACCEPTS,
    cleaned,
    closed_notes,
    fitted_verifier,
    learn_from,
    limits_of,
    log_odds,
    out_of_fold,
    own_files,
    probabilities,
    read_rows,
)
from engine.training.verifier_pairs import closed, families, strangers

TOPICS = (
    ("repair a bike chain", "mend the chain of a bicycle", "choose a bike chain"),
    ("bake rye bread", "make bread out of rye", "buy rye bread"),
    ("learn to swim", "get lessons in swimming", "teach a dog to swim"),
    ("paint a wooden door", "put paint on a door made of wood", "remove paint from a wooden door"),
    ("train for a marathon", "prepare to run a marathon", "watch a marathon"),
    ("plant tulips", "put tulip bulbs into the ground", "cut tulips"),
    ("write a will", "draw up a last will", "contest a will"),
    ("clean a camera lens", "wipe the lens of a camera", "sell a camera lens"),
    ("renew a passport", "get a new passport when the old one ends", "find a lost passport"),
    ("tune a piano", "bring a piano in tune", "move a piano"),
)
FRAMES = ("How do I {}?", "How can I {}?", "What is the best way to {}?")
SETTINGS = TrainSettings(verifier_edits=4, verifier_strangers=1, verifier_folds=3, verifier_negatives_min=1)


def _pair(a: str, b: str, *, duplicate: bool) -> Pair:
    return Pair(a=a, b=b, duplicate=duplicate, kind="rewording" if duplicate else "aspect", group=0)


def _pairs() -> list[Pair]:
    found: list[Pair] = []
    for asked, same, other in TOPICS:
        first = FRAMES[0].format(asked)
        found += [
            _pair(first, frame.format(text), duplicate=True)
            for frame, text in zip(FRAMES[1:], (asked, same), strict=True)
        ]
        found += [_pair(first, frame.format(other), duplicate=False) for frame in FRAMES]
    return found


def _encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Words as directions; a vector is their mean."""
    out = np.zeros((len(texts), 64), np.float32)
    for row, text in enumerate(texts):
        for word in profile(text).roots:
            out[row] += np.random.default_rng(sum(ord(c) * 31**at for at, c in enumerate(word)) % 2**32).normal(
                size=64
            )
    norms: NDArray[np.float32] = np.linalg.norm(out, axis=1, keepdims=True).astype(np.float32)
    return (out / np.maximum(norms, np.float32(1e-9))).astype(np.float32)


@pytest.mark.req("cache.verify")
def test_a_fit_to_thirty_pairs_knows_unseen_questions_better_than_chance() -> None:
    """Judged by folds that have not seen the question, duplicates come before others far more often than not."""
    learned = learn_from(_pairs(), (), SETTINGS, 3, _encode)
    odds = out_of_fold(learned, SETTINGS, 3)
    written = learned.judged & ~learned.examples.made & ~learned.examples.refused
    same, other = odds[written & learned.examples.same], odds[written & ~learned.examples.same]
    assert float((same[:, None] > other).mean()) > 0.75


@pytest.mark.req("cache.verify")
def test_the_same_pairs_and_seed_give_the_same_weights_to_the_bit() -> None:
    """Nothing in it depends on time, order of sets or the machine's mood."""
    first, second = (
        fit_parts(learn_from(_pairs(), (), SETTINGS, 3, _encode).examples, SETTINGS) for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        assert one.weights.tobytes() == other.weights.tobytes()
        assert one.bias == other.bias
    assert any(part.weights.any() for part in first)


@pytest.mark.req("cache.verify")
def test_no_weight_has_the_wrong_sign() -> None:
    """What speaks for a duplicate never counts against one, however the texts were written."""
    pairs = [Pair(a=p.a, b=p.b, duplicate=not p.duplicate, kind=p.kind, group=0) for p in _pairs()]
    for part in fit_parts(learn_from(pairs, (), SETTINGS, 3, _encode).examples, SETTINGS):
        assert all(part.weights[NAMES.index(name)] >= 0.0 for name in UP)


@pytest.mark.req("cache.verify")
def test_what_follows_from_pairs_is_added_and_nothing_else() -> None:
    """Rewordings of one question are each other's, and none of them is the question that is another."""
    pairs = [_pair("a", "b", duplicate=True), _pair("a", "c", duplicate=True), _pair("a", "x", duplicate=False)]
    assert {(frozenset((p.a, p.b)), p.duplicate) for p in closed(pairs)} == {
        (frozenset("bc"), True),
        (frozenset("bx"), False),
        (frozenset("cx"), False),
    }
    assert families([*pairs, _pair("q", "r", duplicate=True)]) == [0, 0, 0, 1]


@pytest.mark.req("cache.verify")
def test_strangers_are_near_questions_of_other_families() -> None:
    """The nearest of another family is one; one that is too near may be the same question, and is not."""
    pairs = [_pair("a", "a2", duplicate=True), _pair("b", "b2", duplicate=True), _pair("c", "c2", duplicate=True)]
    angles = {"a": 0.0, "a2": 0.0, "b": 0.1, "b2": 0.1, "c": 0.8, "c2": 0.8}
    vectors = {text: np.array([np.cos(v), np.sin(v)], np.float32) for text, v in angles.items()}
    found = {frozenset((p.a, p.b)) for p in strangers(pairs, vectors, 1)}
    assert found == {frozenset("ac"), frozenset("bc")}


@pytest.mark.req("cache.verify")
def test_thresholds_hold_the_share_of_false_hits_and_take_the_most_hits() -> None:
    """One false hit in ten is spent where it buys more hits; what a rule refused never gets in."""
    odds = np.array([5.0, 4.0, 3.0, 2.0, NEVER, 5.0, 1.0, 0.5, NEVER, NEVER, *[-3.0] * 8])
    same = np.array([True, True, False, True, True, False, True, True, False, True, *[False] * 8])
    edits = np.array([True] * 5 + [False] * 5 + [True] * 8)
    limits = choose(odds, same, edits, Goal(false_hits=0.1, passed_edits=0.5, known=1))
    accepted = exceed(odds, edits, limits)
    assert limits == Thresholds(edit=-3.0, rewording=5.0)
    assert int((accepted & ~same).sum()) == 1
    assert not accepted[odds == NEVER].any()


@pytest.mark.req("cache.verify")
def test_a_rate_comes_with_its_exact_interval() -> None:
    """One of twenty: .05 with the Clopper-Pearson ends of the tables; of nothing there is none."""
    accepted = np.array([True] + [False] * 19)
    found = rate("x", accepted, np.ones(20, dtype=bool))
    assert found["x"] == 0.05
    assert found["x.low"] == pytest.approx(0.001265, abs=1e-5)
    assert found["x.high"] == pytest.approx(0.248733, abs=1e-5)
    assert rate("x", accepted, np.zeros(20, dtype=bool)) == {}


@pytest.mark.req("cache.verify")
def test_pairs_that_contradict_each_other_are_dropped_and_said() -> None:
    """Both labels for one pair, in either order: neither is learned; repeats and self-pairs count once or not."""
    good = _pair("a", "b", duplicate=True)
    pairs = [good, _pair("b", "a", duplicate=True), _pair("c", "d", duplicate=True)]
    pairs += [_pair("d", "c", duplicate=False), _pair("e", "e", duplicate=True), _pair("a", "f", duplicate=False)]
    kept, notes = cleaned(pairs)
    assert [(p.a, p.b) for p in kept] == [("a", "b"), ("a", "f")]
    assert notes[0].startswith("1 pairs stand there with both labels")
    with pytest.raises(TrainingRefused) as refused:
        cleaned([good])
    assert refused.value.code == "data_single_class"


@pytest.mark.req("cache.verify")
def test_refused_pairs_are_not_learned_from() -> None:
    """The guard speaks first at run time, so what it refuses has no features and moves no weight."""
    numbers = [_pair(f"How do I run {n} km?", f"How do I run {n + 1} km?", duplicate=True) for n in range(5, 15)]
    with_them = learn_from(
        [*_pairs(), *numbers], (), SETTINGS.model_copy(update={"verifier_edits": 0}), 3, _encode
    )
    refused = with_them.examples.refused
    assert refused[
        [p.a.startswith("How do I run") and p.b.startswith("How do I run") for p in with_them.pairs]
    ].all()
    assert not refused.all()
    assert np.isfinite(log_odds(fit_parts(with_them.examples, SETTINGS), with_them.examples)).all()


@pytest.mark.req("cache.verify")
def test_a_part_with_too_few_pairs_that_differ_accepts_nothing() -> None:
    """Nothing refused tells where a threshold belongs; a budget for all of them opens nothing either."""
    odds = np.array([5.0, 4.0, 3.0, 2.0, 1.0, NEVER, NEVER])
    same = np.array([True, True, False, False, True, False, False])
    edits = np.array([False] * 5 + [True] * 2)
    for known, rewording in ((2, 3.0), (3, CLOSED)):
        limits = choose(odds, same, edits, Goal(false_hits=0.2, passed_edits=0.2, known=known))
        assert limits == Thresholds(edit=CLOSED, rewording=rewording)
    lavish = choose(odds, same, edits, Goal(false_hits=0.99, passed_edits=0.99, known=1))
    assert lavish.rewording == 2.0
    part = Logistic(weights=np.full(len(NAMES), 40.0), bias=9.0)
    rows = np.full((3, len(NAMES)), 50.0)
    assert (moved(part, CLOSED, 0.5).odds(rows) < -40.0).all()
    assert (moved(part, 3.0, 0.5).odds(rows) > 0.0).all()
    closed_parts = Thresholds(edit=CLOSED, rewording=CLOSED)
    assert [note.split(" is")[0] for note in closed_notes(closed_parts, SETTINGS)] == [
        "no small edit",
        "no rewording",
    ]
    assert closed_notes(lavish, SETTINGS)[0].startswith("no small edit")


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize("count", [12, 120])
def test_few_pairs_of_ones_own_never_make_a_verifier_that_takes_others_for_the_same(count: int) -> None:
    """Pairs that differ in a number alone, then of every kind: on the project's own pairs within the goal."""
    files, _ = own_files()
    written = read_pairs(files)
    held = [pair for pair in written[::20] if not pair.duplicate]
    seen = read_rows(held, _encode)
    numbers: list[Pair] = []
    for asked, same, _ in TOPICS:
        for n in range(2, 8):
            first = f"How do I {asked} {n} times?"
            numbers.append(_pair(first, f"How can I {same} {n} times?", duplicate=True))
            numbers.append(_pair(first, f"How do I {asked} {n + 1} times?", duplicate=False))
    settings = TrainSettings(verifier_edits=2, verifier_folds=2)
    for pairs in (numbers[:count], written[7 :: len(written) // count][:count]):
        verifier = fitted_verifier(learn_from(cleaned(pairs)[0], (), settings, 1, _encode), settings, 1)
        wrong = ~seen.refused & (verifier.judge_rows(seen.rows) >= verifier.accept)
        assert float(wrong.mean()) <= settings.verifier_false_hits
        assert not verifier.edit.weights.any()
        assert not verifier.rewording.weights.any()
    assert (~seen.refused).sum() > 50


@pytest.mark.req("cache.verify")
def test_a_fold_is_judged_by_what_was_fitted_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair is left out of a fit; each fit sees fewer than all and gets no family twice."""
    learned = learn_from(_pairs(), (), SETTINGS, 3, _encode)
    sizes: list[int] = []

    def spy(examples: Examples, settings: TrainSettings) -> tuple[Logistic, Logistic]:
        assert settings is SETTINGS
        sizes.append(len(examples.same))
        zero = Logistic(weights=np.zeros(len(NAMES)), bias=float(len(sizes)))
        return zero, zero

    monkeypatch.setattr(verifier_job, "fit_parts", spy)
    odds = out_of_fold(learned, SETTINGS, 3)
    assert len(sizes) == SETTINGS.verifier_folds
    within = (learned.families[:, 0] == learned.families[:, 1]) & ~learned.examples.refused
    for number, size in enumerate(sizes, 1):
        held = set(learned.families[within & (odds == number)].ravel().tolist())
        assert held
        assert size == sum(not held & set(pair) for pair in learned.families.tolist())


@pytest.mark.req("cache.verify")
def test_thresholds_and_what_they_are_called_come_from_the_pairs() -> None:
    """Limits by folds for the goal, the name that is calibrated best, both parts moved to it."""
    learned = learn_from(_pairs(), (), SETTINGS, 3, _encode)
    odds = out_of_fold(learned, SETTINGS, 3)
    on, examples = learned.judged, learned.examples
    goal = Goal(false_hits=0.3, passed_edits=0.3, known=1)
    wide = SETTINGS.model_copy(update={"verifier_false_hits": 0.3, "verifier_passed_edits": 0.3})
    limits = limits_of(odds, learned, wide)
    assert limits == choose(odds[on], examples.same[on], examples.edits[on], goal)
    assert limits != limits_of(odds, learned, SETTINGS)
    verifier = fitted_verifier(learned, wide, 3)
    passed = on & ~examples.refused
    errors = {
        accept: calibration_error(
            probabilities(odds[passed], examples.take(passed), limits, accept), examples.same[passed]
        )
        for accept in ACCEPTS
    }
    assert verifier.accept == min(errors, key=lambda accept: errors[accept])
    edit, rewording = fit_parts(examples, wide)
    assert verifier.edit.bias == moved(edit, limits.edit, verifier.accept).bias
    assert verifier.rewording.bias == moved(rewording, limits.rewording, verifier.accept).bias
    assert len({limits.edit, limits.rewording, 0.0}) == 3


@pytest.mark.req("cache.verify")
def test_each_part_learns_from_its_own_pairs_and_features() -> None:
    """Made edits move no weight of rewordings; some features are for one part only."""
    chance = np.random.default_rng(5)
    count = 240
    same = np.arange(count) % 2 == 0
    # Every feature says something in its allowed direction, so a weight is zero only where it has to be.
    signs = np.array([1.0 if name in UP else -1.0 for name in NAMES])
    rows = chance.normal(size=(count, len(NAMES))) + np.where(same, 0.5, -0.5)[:, None] * signs
    made = np.arange(count) % 3 == 0
    edits = np.arange(count) % 4 < 2
    whole = Examples(rows=rows, same=same, refused=np.zeros(count, dtype=bool), made=made, edits=edits)
    edit, rewording = fit_parts(whole, SETTINGS)
    zero = {
        part: {name for name, weight in zip(NAMES, fitted.weights.tolist(), strict=True) if weight == 0.0}
        for part, fitted in (("edit", edit), ("rewording", rewording))
    }
    assert zero["edit"] >= BY_LENGTH
    assert zero["rewording"] >= OF_EDITS
    assert OF_EDITS - zero["edit"]
    assert BY_LENGTH - zero["rewording"]
    without = fit_parts(whole.take(~made), SETTINGS)
    assert without[1].weights.tobytes() == rewording.weights.tobytes()
    assert without[0].weights.tobytes() != edit.weights.tobytes()


@pytest.mark.req("cache.verify")
def test_what_is_learned_from_holds_edits_strangers_and_what_follows() -> None:
    """Beside the written pairs; only those and made ones are judged."""
    learned = learn_from(_pairs(), (), SETTINGS, 3, _encode)
    kinds = {pair.kind for pair in learned.pairs}
    assert {"rewording", "aspect", "follows", "follows_not", "stranger", "number", "synonym"} & kinds >= {
        "rewording",
        "aspect",
        "follows",
        "follows_not",
        "stranger",
        "synonym",
    }
    for pair, judged in zip(learned.pairs, learned.judged, strict=True):
        assert judged == (pair.kind not in {"follows", "follows_not", "stranger"})


@pytest.mark.req("cache.verify")
def test_the_card_names_the_kinds_that_miss_the_goal_and_what_the_maker_remarks() -> None:
    """Worst first, those within the goal not at all; a remark is among the notes."""
    rates = {"modality": 0.2, "unit": 0.03, "number": 0.01}
    sheet = load_sheet(SHIPPED)
    metrics = {f"cross_validated.kind.{kind}.false_hit_rate": value for kind, value in rates.items()}
    page = model_card(sheet.model_copy(update={"metrics": metrics}), ("chosen by hand",))
    assert "1.6% of the different pairs: modality 20.0%, unit 3.0%." in page
    assert page.rstrip().endswith("- chosen by hand")
