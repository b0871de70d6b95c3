"""May the answer to a stored question be served for the one asked? Cosine, guard, verifier, in this order. Pure.

The first that refuses is named. Not the choice among several stored questions (``paraphrase.py``), and not the
error bound, which may refuse later what is accepted here.
"""

from __future__ import annotations

from engine.cache.guard.rules import refuse
from engine.cache.question import Question
from engine.cache.verifier import Verifier, cosine
from engine.types import Verdict


def judge(
    asked: Question, stored: Question, verifier: Verifier, *, threshold: float, grey: float, floor: float
) -> Verdict:
    """The verdict on one stored question.

    ``floor`` is the least cosine, ``threshold`` the least probability; from ``grey`` up to it a model may be
    asked. ``rule`` is ``accepted``, ``similarity``, ``verifier`` or a rule of the guard.
    """
    similarity = cosine(asked, stored)
    rule, detail, probability = "accepted", "", None
    if similarity < floor:
        rule, detail = "similarity", f"cosine {similarity:.3f}, at least {floor:.3f} is asked for"
    elif refused := refuse(asked.text, stored.text):
        rule, detail = refused.rule, refused.detail
    else:
        probability = verifier.probability(asked, stored)
        if probability < threshold:
            rule = "verifier"
            detail = f"probability {probability:.3f}, at least {threshold:.3f} is asked for"
    return Verdict(
        accepted=rule == "accepted",
        rule=rule,
        detail=detail,
        similarity=similarity,
        probability=probability,
        threshold=threshold,
        grey=rule == "verifier" and probability is not None and probability >= grey,
        question=stored.text,
    )
