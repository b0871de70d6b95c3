"""Figures of a head on rows it has not seen, and the page and card that show them."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from engine.routing.artifact import CARD, Card
from engine.training.figures import Evaluation, Judged, evaluate
from engine.training.page import MATRIX_MAX, markdown_text, model_card, report_page
from tests.support.trained import artifact_files

EVIL = """<script>alert(1)</script>"><img src=x onerror=alert(1)> {{ 7*7 }} ' onload='x |`[a](javascript:x)"""


def _judged(rows: list[tuple[str, str, float, float]], labels: tuple[str, ...] = ("a", "b")) -> Judged:
    """Rows as wanted label, most probable label, its probability, scope; rejected below one half."""
    probabilities = np.array(
        [[p if lab == best else (1 - p) / (len(labels) - 1) for lab in labels] for _, best, p, _ in rows]
    )
    return Judged(
        texts=[f"text {i}" for i in range(len(rows))],
        wanted=[wanted for wanted, *_ in rows],
        labels=labels,
        probabilities=probabilities,
        scope=np.array([scope for *_, scope in rows]),
        reject_below=0.5,
        out_of_scope="oos",
    )


def _card() -> Card:
    return Card.model_validate_json(artifact_files()[CARD])


@pytest.mark.req("route.train")
def test_figures_are_those_counted_by_hand() -> None:
    """Four in scope: two right, one mixed up, one turned away; two out of scope: one turned away, one answered."""
    found = evaluate(
        _judged(
            [
                *(("a", "a", 0.9, 0.9), ("a", "b", 0.8, 0.9), ("b", "b", 0.9, 0.9), ("b", "b", 0.6, 0.1)),
                *(("oos", "a", 0.6, 0.2), ("oos", "b", 0.6, 0.9)),
            ]
        )
    )
    assert found.names == ("a", "b", "oos")
    assert found.matrix.tolist() == [[1, 1, 0], [0, 1, 1], [0, 1, 1]]
    assert found.metrics == {
        "rows": 6.0,
        "accuracy": pytest.approx(3 / 6),
        "turned_away": pytest.approx(1 / 4),
        "in_scope_accuracy": pytest.approx(2 / 4),
        "oos_f1": pytest.approx(1 / 2),
        "macro_f1": pytest.approx((2 / 3 + 2 / 5 + 1 / 2) / 3),
        # .9 twice and right, .8 wrong, .6 right
        "ece": pytest.approx((2 * 0.1 + 0.8 + 0.4) / 4),
    }
    assert [(b.rows, round(b.accuracy, 6)) for b in found.bins] == [(1, 1.0), (1, 0.0), (2, 1.0)]
    assert [(c.wanted, c.answer, c.examples) for c in found.confusions] == [
        *(("a", "b", ("text 1",)), ("b", "oos", ("text 3",)), ("oos", "b", ("text 5",)))
    ]


def test_the_curve_says_what_other_thresholds_would_do() -> None:
    """At the lowest everybody is answered; the higher, the fewer, and the more foreign ones are turned away."""
    found = evaluate(_judged([("a", "a", 0.9, 0.9), ("b", "a", 0.9, 0.4), ("oos", "a", 0.6, 0.2)]))
    points = [(round(p.threshold, 2), p.answered, p.accuracy, p.caught) for p in found.curve]
    assert points[0] == (0.2, 1.0, 0.5, 0.0)
    assert points[-1] == (0.9, 0.5, 1.0, 1.0)
    assert 0.5 in [p.threshold for p in found.curve]
    assert [p.answered for p in found.curve] == sorted((p.answered for p in found.curve), reverse=True)


def test_without_out_of_scope_rows_there_is_no_figure_of_them() -> None:
    """An invented one would look like a measurement."""
    found = evaluate(_judged([("a", "a", 0.9, 0.9), ("b", "b", 0.9, 0.9)]))
    assert not {"oos_f1", "in_scope_accuracy"} & set(found.metrics)
    assert [p.caught for p in found.curve] == [None] * len(found.curve)


class _Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Keep it."""
        self.text += data


def _read(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    return parser


def _evaluation(label: str, text: str) -> Evaluation:
    judged = _judged([("a", label, 0.9, 0.9), ("a", "a", 0.9, 0.9), (label, "a", 0.7, 0.1)], ("a", label))
    return evaluate(
        Judged(
            texts=[text] * 3,
            **{
                n: getattr(judged, n)
                for n in ("wanted", "labels", "probabilities", "scope", "reject_below", "out_of_scope")
            },
        )
    )


@pytest.mark.req("route.train")
def test_texts_of_the_rows_cannot_become_part_of_the_page() -> None:
    """Texts, labels, file name, licence and notes full of markup: the same tags as without."""
    card = _card()
    evil = card.model_copy(update={"data": EVIL, "licence": EVIL, "label_rows": {EVIL: 2}})
    tame = _read(report_page(card, _evaluation("b", "text"), ("note",)))
    found = _read(report_page(evil, _evaluation(EVIL, EVIL), (EVIL,)))
    assert (found.tags, found.attributes) == (tame.tags, tame.attributes)
    assert found.text.count(EVIL) >= 5
    assert not {"script", "img", "iframe", "link", "object"} & found.tags
    assert not {name for name in found.attributes if name.startswith("on") or name in {"src", "href"}}


@pytest.mark.req("route.train")
def test_the_page_needs_nothing_from_outside() -> None:
    """One file: no address, no import, and a policy that would forbid them; both colour schemes."""
    page = report_page(_card(), _evaluation("b", "text"), ())
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert "@import" not in page
    assert "default-src 'none'" in page
    assert "color-scheme: light dark" in page
    assert page.count("<svg") == 3


def test_of_many_labels_those_with_the_most_mistakes_are_drawn() -> None:
    """A matrix of a hundred labels says so and shows the worst."""
    labels = tuple(f"label{i:02d}" for i in range(MATRIX_MAX + 12))
    rows = [(lab, lab, 0.9, 0.9) for lab in labels] + [("label39", "label38", 0.9, 0.9)]
    page = _read(report_page(_card(), evaluate(_judged(rows, labels)), ()))
    assert f"Of {MATRIX_MAX + 12} labels, the {MATRIX_MAX} with the most mistakes" in page.text
    assert "label39 → label38: 1 of 2" in page.text


def test_the_card_stays_a_table_whatever_the_labels_are() -> None:
    """No label breaks out of its cell or becomes HTML."""
    card = _card().model_copy(update={"label_rows": {EVIL: 1}, "data": "x\ny|z"})
    text = model_card(card, _evaluation(EVIL, EVIL), (EVIL,))
    assert "<script" not in text
    assert "| Trained on | x y\\|z," in text
    assert all(
        line.count("|") - line.count("\\|") == 7 for line in text.split("\n") if "alert" in line and line[0] == "|"
    )
    assert markdown_text("a\n<b> [c](d) & `e`") == "a &lt;b&gt; \\[c\\]\\(d\\) &amp; \\`e\\`"
