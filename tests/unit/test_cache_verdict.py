"""Verdicts on stored questions, the verifier behind them, and its file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from configs.settings import EncoderSettings
from engine.cache.features import NAMES, compare, is_small_edit
from engine.cache.profile import WORDS_MAX, profile
from engine.cache.question import Question
from engine.cache.verdict import judge
from engine.cache.verifier import Logistic, Verifier
from engine.cache.verifier_file import FILE, SHIPPED, Fitted, Sheet, load_sheet, load_verifier
from engine.errors import ArtifactRefused


def _at(cosine: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    vector = np.zeros(384, np.float32)
    vector[:2] = cosine, (1.0 - cosine**2) ** 0.5
    return vector


def _by_cosine(threshold: float) -> Logistic:
    weights = np.zeros(len(NAMES))
    weights[NAMES.index("cosine")] = 100.0
    return Logistic(weights=weights, bias=-100.0 * threshold)


VERIFIER = Verifier(edit=_by_cosine(0.85), rewording=_by_cosine(0.95), accept=0.5, version="test")


def _rule(asked: str, stored: str, cosine: float = 0.96) -> str:
    verdict = judge(
        Question(text=asked, vector=_at(1.0)),
        Question(text=stored, vector=_at(cosine)),
        VERIFIER,
        threshold=0.5,
        grey=0.2,
        floor=0.7,
    )
    assert verdict.accepted == (verdict.rule == "accepted")
    assert verdict.question == stored
    return verdict.rule


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize(
    ("asked", "stored", "rule"),
    [
        ("enable 2FA for my account", "disable 2FA for my account", "antonym"),
        ("convert 5 kg to pounds", "convert 50 kg to pounds", "number"),
        ("How do I fly from Rome to Oslo?", "How do I fly from Oslo to Rome?", "direction"),
        ("How do I change my wiki password?", "How can I change my wiki password?", "accepted"),
        ("How do I change my wiki password?", "Which password should I choose?", "accepted"),
    ],
)
def test_a_refusal_names_the_rule_that_fired(asked: str, stored: str, rule: str) -> None:
    """The guard's rules come before the verifier, and speak whoever asked first."""
    assert _rule(asked, stored) == rule
    assert _rule(stored, asked) == rule


@pytest.mark.req("cache.verify")
def test_cosine_and_verifier_refuse_by_their_own_names() -> None:
    """Too far is `similarity`, unlikely is `verifier`; a small edit needs less than a rewording does."""
    assert _rule("How do I change my wiki password?", "How can I change my wiki password?", 0.6) == "similarity"
    assert _rule("How do I change my wiki password?", "How can I change my wiki password?", 0.9) == "accepted"
    assert _rule("How do I change my wiki password?", "Which password should I choose?", 0.9) == "verifier"


@pytest.mark.req("cache.verify")
def test_the_grey_zone_is_what_the_verifier_alone_refused_by_little() -> None:
    """From `grey` up to the threshold a model may be asked; not below, not after a rule."""
    asked = Question(text="How do I change my wiki password?", vector=_at(1.0))
    stored = [Question(text="Which password should I choose?", vector=_at(c)) for c in (0.96, 0.94, 0.8)]
    stored.append(Question(text="How do I change my 2 passwords?", vector=_at(0.99)))
    verdicts = [judge(asked, each, VERIFIER, threshold=0.5, grey=0.2, floor=0.7) for each in stored]
    assert [v.accepted for v in verdicts] == [True, False, False, False]
    assert [v.grey for v in verdicts] == [False, True, False, False]
    assert verdicts[3].probability is None


@pytest.mark.req("cache.verify")
def test_the_order_of_two_questions_makes_no_difference() -> None:
    """Every feature is the same both ways round, for edits and for rewordings."""
    texts = (
        "How do I learn Python fast?",
        "what's the quickest way of studying python",
        "Is 5 kg much? Why not?",
        "",
    )
    for a in texts:
        for b in texts:
            one, other = compare(profile(a), profile(b), 0.8), compare(profile(b), profile(a), 0.8)
            assert one.tobytes() == other.tobytes()
    near = compare(profile("How do I buy a film?"), profile("How can I purchase a movie?"), 0.9)
    assert is_small_edit(near)
    assert near[NAMES.index("explained_synonym")] == 2
    far = compare(profile("How do I buy a film?"), profile("Who directed that film?"), 0.9)
    assert not is_small_edit(far)


@pytest.mark.req("cache.verify")
def test_what_cannot_be_compared_is_never_the_same() -> None:
    """No words, or more than are read, have probability 0; the very same text has 1."""
    long = "word " * (WORDS_MAX + 1)
    for a, b in (("?!", "…"), (long + "cats", long + "dogs"), ("🙂", "How are the twins?")):
        one, other = (Question(text=text, vector=_at(1.0)) for text in (a, b))
        assert VERIFIER.probability(one, other) == 0.0
        assert VERIFIER.probability(one, one) == 1.0
    other_encoder = Question(text="how", vector=np.ones(3, np.float32))
    assert VERIFIER.probability(Question(text="why", vector=_at(1.0)), other_encoder) < 1e-6


@pytest.mark.req("cache.verify")
def test_who_does_and_who_suffers_may_not_change_places() -> None:
    """Same words, other roles: never the same. A frame that only says who asks changes nothing."""
    for a, b, known in (
        ("Can I sue my school for bullying?", "Can my school sue me for bullying?", False),
        ("How do I sue my school?", "Can you tell me how I sue my school?", True),
    ):
        one, other = Question(text=a, vector=_at(1.0)), Question(text=b, vector=_at(0.99))
        assert (VERIFIER.probability(one, other) > 0.5) is known
        assert (VERIFIER.probability(other, one) > 0.5) is known


def _sheet(**changes: object) -> Sheet:
    part = Fitted(weights=dict.fromkeys(NAMES, 0.0), bias=0.0)
    encoder = EncoderSettings()
    values: dict[str, object] = {
        "kind": "switchgear-verifier",
        "sheet_schema": 1,
        "created": "2026-11-21T20:00:00+00:00",
        "parts": {"edit": part, "rewording": part},
        "accept": 0.8,
        "pairs": {},
        "metrics": {},
        "seed": 0,
        "settings": {},
        "data": "t",
        "data_sha256": "0" * 64,
        "licence": None,
        "model_sha256": encoder.model_sha256,
        "tokenizer_sha256": encoder.tokenizer_sha256,
    }
    return Sheet.model_validate(values | changes).sealed()


def _write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.req("cache.verify")
def test_a_verifier_is_refused_when_anything_about_it_is_wrong(tmp_path: Path) -> None:
    """Absent, another release's, damaged, another encoder's: each by its own code; the sound one is read."""
    good = json.loads(_sheet().model_dump_json())
    assert load_verifier(_write(tmp_path / "good", json.dumps(good)), EncoderSettings()).accept == 0.8
    foreign = _sheet(model_sha256="1" * 64).model_dump_json()
    features = _sheet(parts={"edit": Fitted(weights={"cosine": 1.0}, bias=0.0)}).model_dump_json()
    cases = {
        "artifact_schema": (json.dumps(good | {"sheet_schema": 2}), features),
        "artifact_damaged": (
            "{",
            "[]",
            json.dumps(good | {"accept": 0.1}),
            json.dumps(good | {"extra": 1}),
            " " * 2**21,
        ),
        "artifact_encoder": (foreign,),
    }
    for code, texts in cases.items():
        for number, text in enumerate(texts):
            with pytest.raises(ArtifactRefused) as refused:
                load_verifier(_write(tmp_path / f"{code}{number}", text), EncoderSettings())
            assert refused.value.code == code
    with pytest.raises(ArtifactRefused) as refused:
        load_verifier(tmp_path / "none", EncoderSettings())
    assert refused.value.code == "artifact_missing"


@pytest.mark.req("cache.verify")
def test_the_shipped_verifier_is_small_and_made_for_the_shipped_encoder() -> None:
    """It loads, holds no text, and takes a reworded question at the cosine MiniLM gives such pairs."""
    verifier = load_verifier(None, EncoderSettings())
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 65_536
    assert load_sheet(SHIPPED).licence is not None
    same = ("How do I change my wiki password?", "How can I change my wiki password?")
    other = ("How do I change my wiki password?", "Which password rules do banks have?")
    scores = [
        verifier.probability(Question(text=a, vector=_at(1.0)), Question(text=b, vector=_at(cosine)))
        for (a, b), cosine in ((same, 0.98), (other, 0.6))
    ]
    assert scores[0] > verifier.accept > 0.5 > scores[1]
