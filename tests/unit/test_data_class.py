"""Personal and health data: what is found, what is left alone, in time that grows with length (admit.data)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, cast

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.gateway import data_class, health_data, identifiers
from engine.gateway.data_class import STRICTNESS, Finding, detect, stricter
from engine.types import DataClass

CASES: Final = cast(
    "dict[str, dict[str, list[str]]]",
    yaml.safe_load((Path(__file__).parents[1] / "data" / "data_class_cases.yaml").read_text(encoding="utf-8")),
)
PERSONAL = [(rule, text) for rule, texts in CASES["personal"].items() for text in texts]
HEALTH = [(rule, text) for rule, texts in CASES["health"].items() for text in texts]
NOTHING = [text for texts in CASES["nothing"].values() for text in texts]
PATTERNS: dict[str, str] = {
    f"{module.__name__}.{name}": cast("str", value.pattern)
    for module in (data_class, health_data, identifiers)
    for name, value in vars(module).items()
    if isinstance(value, re.Pattern)
}
TWINS = {0x30 + n: 0xFF10 + n for n in range(10)}
CLASSES = st.sampled_from(STRICTNESS)


@pytest.mark.req("admit.data")
def test_at_least_95_in_100_are_found_by_their_own_rule() -> None:
    """Sixty texts or more, each with the rule and the class it has to be found by."""
    wanted = [("pii", *case) for case in PERSONAL] + [("phi", *case) for case in HEALTH]
    assert len(wanted) >= 60
    found = [detect(text) for _, _, text in wanted]
    missed = [
        (rule, text)
        for (kind, rule, text), got in zip(wanted, found, strict=True)
        if got != Finding(data_class=cast("DataClass", kind), rule=rule)
    ]
    assert len(missed) <= 0.05 * len(wanted), missed


@pytest.mark.req("admit.data")
def test_at_most_2_in_100_look_alikes_are_taken_for_personal() -> None:
    """Versions, order numbers, dates, code, sample addresses and questions about the topics themselves."""
    assert len(NOTHING) >= 120
    taken = [text for text in NOTHING if detect(text) is not None]
    assert len(taken) <= 0.02 * len(NOTHING), taken


@pytest.mark.req("admit.data")
def test_health_goes_before_personal_data() -> None:
    """A text with both is phi: the stricter class counts."""
    both = "Write to anna.keller@bluewin.ch that she was diagnosed with diabetes"
    assert detect(both) == Finding(data_class="phi", rule="health")
    assert detect(both.replace("diabetes", "flat feet")) == Finding(data_class="pii", rule="email")


@pytest.mark.req("admit.data")
@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("iban", "DE89370400440532013000"),
        ("iban", "CH93 0076 2011 6238 5295 7"),
        ("card", "4111 1111 1111 1111"),
        ("card", "3782 822463 10005"),
        ("ahv", "756.9217.0769.85"),
        ("nhs", "NHS 943 476 5919"),
        ("tax_id", "86 095 742 719"),
        ("passport", "<<<<<10L898902C36UTO7408122F1204159ZE184226B<<<<<10"[7:]),
    ],
)
def test_a_wrong_check_digit_is_no_number_of_anybody(rule: str, text: str) -> None:
    """As it stands it is found; with any one digit of it raised by one it is not, by that rule."""
    assert detect(text) == Finding(data_class="pii", rule=rule)
    checked = text[:28] if rule == "passport" else text
    for at, digit in enumerate(checked):
        if digit.isdecimal() and not (rule == "card" and at < 4):
            found = detect(f"{text[:at]}{(int(digit) + 1) % 10}{text[at + 1 :]}")
            assert found is None or found.rule != rule, at


@pytest.mark.req("admit.data")
@pytest.mark.parametrize(
    "disguised",
    [
        "4111 1111 1111 1111".translate(TWINS),
        "4111 1111 1111 1111".replace("1", "1\u200b"),
        "4111 1111 1111 1111".replace(" ", "\u00a0"),
        "4111 1111 1111 1111".replace(" ", "\u2011"),
    ],
    ids=["full width", "zero width", "fixed blank", "fixed hyphen"],
)
def test_a_disguised_card_is_found(disguised: str) -> None:
    """Digits, blanks and hyphens of other kinds, and signs without width, hide nothing."""
    assert detect(disguised) == Finding(data_class="pii", rule="card")


@pytest.mark.req("admit.data")
@pytest.mark.parametrize(
    ("kind", "rule", "text", "twin"),
    [
        ("pii", "document", "my passport number is X1234567", "my passport number is needed"),
        ("pii", "document", "driver licence D1234567", "driver update D1234567"),
        ("pii", "email", "jane [at] gmail dot com", "jane [at] gmail dot"),
        ("pii", "email", "m.huber(at)firma.at", "user [at] example dot com"),
        ("pii", "card", "4111 1111\n1111 1111", "4111 1111\n1111 1112"),
        ("pii", "card", "4111 1111 1111\n1111", "4111\n1111\n1111\n1111"),
        ("pii", "address", "Jane Doe, 12 Oak Hill, London SW1A 1AA", "Jane Doe, 12 Oak Hill, London"),
        ("phi", "health", "HIV positive, what should I take?", "HIV positive, what does it mean?"),
    ],
)
def test_forms_that_people_use_are_found(kind: DataClass, rule: str, text: str, twin: str) -> None:
    """By their rule; what only looks like them is not."""
    assert detect(text) == Finding(data_class=kind, rule=rule)
    assert detect(twin) is None


@pytest.mark.req("admit.data")
def test_the_finding_never_holds_the_value() -> None:
    """Class and name of the rule, nothing of the text."""
    for _, text in PERSONAL + HEALTH:
        found = detect(text)
        assert found is None or re.fullmatch(r"[a-z0-9_]{2,20}", found.rule)
        assert found is None or not any(piece in repr(found) for piece in re.findall(r"\d{3,}", text))


@pytest.mark.req("admit.data")
@given(st.none() | CLASSES, st.none() | st.sampled_from(("pii", "phi")))
def test_the_stricter_class_counts(caller: DataClass | None, kind: DataClass | None) -> None:
    """Never looser than what the caller said, never looser than what was found; internal when neither says."""
    found = None if kind is None else Finding(data_class=kind, rule="x")
    result = stricter(caller, found)
    assert result in {caller or "internal", kind}
    assert STRICTNESS.index(result) == max(STRICTNESS.index(each) for each in (caller or "internal", kind) if each)


@pytest.mark.req("admit.data")
@given(st.text(max_size=300))
def test_any_text_is_looked_at_without_an_error(text: str) -> None:
    """Every script, every sign; and what is found inside stays found when other text stands around it."""
    detect(text)
    assert detect(f"{text}\nMRN: 00482913\n{text}") == Finding(data_class="phi", rule="medical_record")


def endless(pattern: str) -> list[str]:
    """Repetitions without a limit, outside character classes and escapes."""
    bare = re.sub(r"\\.|\[\^?(?:\\.|[^\]\\])+\]", "x", pattern)
    return re.findall(r"[*+]|\{\d*,\}", bare)


@pytest.mark.req("admit.data")
@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_no_pattern_of_the_detector_can_run_away(name: str) -> None:
    """Each repetition has a limit, so the work at one place of a text has one that does not depend on the text."""
    assert endless(PATTERNS[name]) == []


@pytest.mark.req("admit.data")
def test_a_pattern_that_can_run_away_would_be_seen() -> None:
    """The check above finds a repetition without a limit, and takes no sign in a class for one."""
    assert [len(endless(bad)) for bad in (r"a+", r"(?:a{1,3}b)*", r"x(?=[^y]*)", r"a|b+?", r"(\w{2,})")] == [1] * 5
    assert endless(r"[\w.+*%-]{1,64}\+\*(?:a?){1,3}") == []
    assert len(PATTERNS) >= 20


@pytest.mark.req("admit.data")
@pytest.mark.parametrize(
    "piece",
    [
        "1 ",
        "a.a@",
        "079 1",
        "1.1.1.1 ",
        "4111 1111 1111 111 ",
        "+1 4",
        "I asthma ",
        "my wife has ",
        "A1 ",
        "2a02:",
    ],
)
def test_a_hundred_thousand_hostile_characters_are_answered(piece: str) -> None:
    """What makes careless patterns run for minutes: this test would not end within its time limit."""
    text = (piece * 100_000)[:100_000]
    assert detect(f"{text}\n. Patient ID: BE-4471920") == Finding(data_class="phi", rule="medical_record")
