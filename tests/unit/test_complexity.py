"""How much work a question asks for: traits, head, fitting, and the head that is shipped."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.load import load_settings
from configs.routing import TrainSettings
from engine.errors import ArtifactRefused, TrainingRefused
from engine.routing.complexity import ARRAYS, CARD, LEVELS, SHIPPED, ComplexityHead, level, load_complexity
from engine.routing.encoder import load_encoder
from engine.routing.traits import CHARS, TRAITS, trait_rows, traits
from engine.training.fit_complexity import cross_judged, fit_complexity, macro_f1
from engine.types import Complexity

EASY = ("Print the word hello", "What is the capital of Norway?", "Write a SQL query that lists all cities")
HARD = (
    "Design and implement a booking system in Python with a database, user roles and tests, then document it",
    "Clean the data, build three models that predict the demand, compare them step by step and write a report",
    "Build a multiplayer game in JavaScript with a server, reconnect, a score board, tests and a settings page",
)
PIECES = (
    "write",
    "a function",
    "then",
    "group by",
    "each",
    "'x_y'",
    "17",
    "```",
    "and,",
    "of the",
    "ü",
    "東京",
    "?",
)
WORDS = st.sampled_from(PIECES)


def unit(rows: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Random unit vectors."""
    found = np.random.default_rng(seed).normal(size=(rows, 384)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def made() -> tuple[np.ndarray[Any, np.dtype[np.float32]], list[str], list[Complexity]]:
    """Rows whose texts give their level away: complex is rare."""
    texts: list[str] = []
    labels: list[Complexity] = []
    for n in range(60):
        kind: Complexity = "complex" if n % 10 == 0 else "medium" if n % 2 else "simple"
        body = {
            "simple": "print it",
            "medium": "group the rows by day and sort them",
            "complex": " ".join(HARD[:1]),
        }
        texts.append(f"{body[kind]} {n}")
        labels.append(kind)
    return unit(len(texts)), texts, labels


@pytest.mark.req("route.strategy")
def test_a_row_gets_the_same_answer_alone_and_in_a_batch() -> None:
    """Judged one at a time or all at once, to the last bit."""
    head, texts = load_complexity(), [*EASY, *HARD]
    vectors = unit(len(texts))
    together = head.judge(vectors, texts)
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(head.judge(vectors[row : row + 1], [text])[0], together[row])
    np.testing.assert_allclose(together.sum(axis=1), 1.0, atol=1e-5)
    assert head.judge(unit(0), []).shape == (0, 3)


@pytest.mark.req("route.strategy")
def test_vectors_that_are_not_of_the_texts_are_refused() -> None:
    """One vector too many is a mistake of the caller, not a guess."""
    with pytest.raises(ValueError, match="2 texts need vectors"):
        load_complexity().judge(unit(3), ["a", "b"])


@pytest.mark.req("route.strategy")
def test_the_shipped_head_tells_a_chore_from_a_project() -> None:
    """Texts it was not fitted on: none of the easy ones looks complex, none of the projects simple."""
    encoder = load_encoder(load_settings(environ={}).encoder)
    texts = [*EASY, *HARD]
    found = [level(row) for row in load_complexity().judge(encoder.encode(texts), texts)]
    assert found[: len(EASY)] == ["simple"] * len(EASY)
    assert found[len(EASY) :] == ["complex"] * len(HARD)


@pytest.mark.req("route.strategy")
def test_the_shipped_head_is_small_and_says_what_it_was_made_from() -> None:
    """At most 100 kB, sixty texts of each level, our own."""
    card = json.loads((SHIPPED / CARD).read_text(encoding="utf-8"))
    assert (SHIPPED / ARRAYS).stat().st_size <= 100_000
    assert set(card["rows"]) == set(LEVELS)
    assert min(card["rows"].values()) >= 60
    assert card["licence"].startswith("CC0")


def damaged(folder: Path, name: str, data: bytes) -> Path:
    """A copy of the shipped head in which one file holds ``data``."""
    for each in (ARRAYS, CARD):
        shutil.copy(SHIPPED / each, folder)
    (folder / name).write_bytes(data)
    return folder


@pytest.mark.req("route.strategy")
def test_a_head_that_differs_from_its_card_is_refused(tmp_path: Path) -> None:
    """One byte changed, a card without a digest, a card that is not JSON, a file too large, none at all."""
    whole = (SHIPPED / ARRAYS).read_bytes()
    for name, data in (
        (ARRAYS, whole[:-1] + bytes([whole[-1] ^ 1])),
        (ARRAYS, bytes(2_000_000)),
        (CARD, b"{}"),
        (CARD, b"[" * 100_000),
    ):
        with pytest.raises(ArtifactRefused) as refused:
            load_complexity(damaged(tmp_path, name, data))
        assert refused.value.code == "artifact_damaged"
    (tmp_path / ARRAYS).unlink()
    with pytest.raises(ArtifactRefused) as missing:
        load_complexity(tmp_path)
    assert missing.value.code == "artifact_missing"


@pytest.mark.req("route.strategy")
@pytest.mark.parametrize("kind", ["pickled", "text", "shape", "nan", "spread", "traits", "missing"])
def test_arrays_that_are_no_head_are_refused_although_the_digest_is_right(tmp_path: Path, kind: str) -> None:
    """A card can be written anew; what it vouches for must still be a head, and nothing of it is run."""
    arrays = load_complexity().to_arrays()
    changes: dict[str, dict[str, Any]] = {
        "pickled": {"weights": np.array([{"a": 1}], dtype=object)},
        "text": {"bias": np.array(["a", "b", "c"])},
        "shape": {"weights": np.zeros((3, 3), dtype=np.float32)},
        "nan": {"bias": np.array([0.0, np.nan, 0.0], dtype=np.float32)},
        "spread": {"spread": np.zeros(len(TRAITS), dtype=np.float32)},
        "traits": {"traits": np.array(TRAITS[::-1])},
    }
    arrays |= changes.get(kind, {})
    if kind == "missing":
        del arrays["bias"]
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=True, **arrays)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    damaged(tmp_path, CARD, json.dumps({"sha256": digest}).encode())
    (tmp_path / ARRAYS).write_bytes(buffer.getvalue())
    with pytest.raises(ArtifactRefused) as refused:
        load_complexity(tmp_path)
    assert refused.value.code == "artifact_damaged"


@pytest.mark.req("route.strategy")
def test_a_head_survives_its_arrays() -> None:
    """To arrays and back, it judges the same."""
    head = load_complexity()
    again = ComplexityHead.from_arrays(head.to_arrays())
    np.testing.assert_array_equal(again.judge(unit(6), [*EASY, *HARD]), head.judge(unit(6), [*EASY, *HARD]))


@pytest.mark.req("route.strategy")
def test_a_fitted_head_tells_the_levels_of_new_rows() -> None:
    """Judged by heads that have not seen the row, the rare level included."""
    vectors, texts, labels = made()
    found = [level(row) for row in cross_judged(vectors, texts, labels, TrainSettings(), seed=3)]
    assert macro_f1(labels, found) > 0.95
    assert macro_f1(labels, found[::-1]) < 0.7


@pytest.mark.req("route.strategy")
def test_the_order_of_the_rows_and_the_seed_change_nothing() -> None:
    """The loss is convex: one answer, whatever the start."""
    vectors, texts, labels = made()
    first = fit_complexity(vectors, texts, labels, TrainSettings(), seed=0)
    back = fit_complexity(vectors[::-1], texts[::-1], labels[::-1], TrainSettings(), seed=9)
    np.testing.assert_allclose(first.judge(vectors, texts), back.judge(vectors, texts), atol=5e-3)


@pytest.mark.req("route.strategy")
def test_weight_for_rare_levels_finds_more_of_them() -> None:
    """With balance 1 no row is less likely to be complex than with balance 0, and most are more so."""
    vectors, texts, labels = made()
    plain, even = (
        fit_complexity(vectors, texts, labels, TrainSettings(complexity_balance=b), seed=0) for b in (0.0, 1.0)
    )
    new = unit(40, seed=5)
    said = [f"note {n}" for n in range(40)]
    assert (even.judge(new, said)[:, 2] > plain.judge(new, said)[:, 2]).mean() > 0.9


@pytest.mark.req("route.strategy")
def test_rows_without_one_of_the_levels_are_refused_by_name() -> None:
    """And so are vectors of other rows, and no rows at all."""
    vectors, texts, labels = made()
    flat: list[Complexity] = ["simple" if name == "complex" else name for name in labels]
    with pytest.raises(TrainingRefused, match="complex missing"):
        fit_complexity(vectors, texts, flat, TrainSettings(), seed=0)
    with pytest.raises(TrainingRefused, match="vectors and labels missing"):
        fit_complexity(vectors[1:], texts, labels, TrainSettings(), seed=0)
    with pytest.raises(TrainingRefused, match="simple, medium, complex missing"):
        fit_complexity(unit(0), [], [], TrainSettings(), seed=0)


@pytest.mark.req("route.strategy")
def test_macro_f1_counts_every_level_the_same() -> None:
    """Worked by hand: 1, 2/3 and 0 for a level that was never found."""
    labels: list[Complexity] = ["simple", "simple", "medium", "complex"]
    found: list[Complexity] = ["simple", "simple", "medium", "medium"]
    assert macro_f1(labels, found) == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert macro_f1(labels, labels) == 1.0


@pytest.mark.req("route.strategy")
@given(st.lists(WORDS, max_size=60).map(" ".join))
@settings(max_examples=60, deadline=None)
def test_any_text_has_finite_traits_of_the_same_number(text: str) -> None:
    """Any words, signs and scripts; the middle of a very long text is not looked at."""
    found = traits(text)
    assert len(found) == len(TRAITS)
    assert np.isfinite(found).all()
    long = f"{text} {'x' * 3 * CHARS} {text}"
    assert len(traits(long)) == len(TRAITS)


@pytest.mark.req("route.strategy")
@pytest.mark.parametrize(
    ("text", "has", "lacks"),
    [
        ("Implemented three classes in Rust", ("build", "class", "rust"), ("python", "sql")),
        ("How many orders for each customer?", ("count", "for_each", "question"), ("quote", "code")),
        ('Bars where the code is "NOISE", sorted', ("quote", "order"), ("identifier", "fence")),
        ("Show team_name in 2014", ("identifier", "year"), ("possessive", "question")),
    ],
)
def test_traits_see_what_is_there(text: str, has: tuple[str, ...], lacks: tuple[str, ...]) -> None:
    """Word forms, pairs of words and signs; nothing that is not there."""
    found = dict(zip(TRAITS, trait_rows([text])[0].tolist(), strict=True))
    assert {name: found[name] for name in has} == dict.fromkeys(has, 1.0)
    assert {name: found[name] for name in lacks} == dict.fromkeys(lacks, 0.0)


def test_the_levels_are_those_of_the_record() -> None:
    """One order, everywhere."""
    assert get_args(Complexity) == LEVELS
