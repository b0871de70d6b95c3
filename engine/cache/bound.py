"""How sure is sure enough for one entry: a threshold that its own observations move (cache.bound). Pure.

Follows vCache (arXiv 2502.03771) in the model, P(right | score) logistic with a threshold and a slope per entry,
and in the rule: answer afresh with a probability that keeps P(wrong) at or below δ. Differs where
docs/decisions/0025 says: the score is the learned verifier's calibrated probability, taken as log-odds. What is
measured over all entries is ``tally.py``; shell: ``bounded.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from configs.caching import DELTA, BoundSettings
from engine.cached import Observation

SCORE_MIN: Final = 0.0005
"""Scores are cut to [SCORE_MIN, 1 - SCORE_MIN]: no verifier knows more than one error in two thousand."""
NEWTON_STEPS: Final = 50
NEWTON_STRIDE: Final = 1.0
CLOSE: Final = 1e-7
NEVER: Final = 1.0
"""A threshold that no score reaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundDecision:
    """Serve the stored answer, or answer afresh and learn."""

    serve: bool
    explore_probability: float
    """τ: with it, a candidate like this one is answered afresh."""
    threshold: float
    """Score that the entry asks for, in [0, 1]."""
    why: str


def decide(
    score: float, observations: Sequence[Observation], rules: BoundSettings, *, sample: float
) -> BoundDecision:
    """Whether a candidate of ``score`` is served. ``observations`` oldest first, ``sample`` uniform in [0, 1).

    A score that is no probability is never served.
    """
    if not 0.0 <= score <= 1.0:
        return BoundDecision(serve=False, explore_probability=1.0, threshold=NEVER, why="the score is none")
    known = [o for o in observations if 0.0 <= o.score <= 1.0 and tells(o.score, rules)]
    if rules.mode == "strict":
        return _strict(score, known, rules, sample)
    return _with_prior(score, known, rules)


def raised(threshold: float, rules: BoundSettings) -> float:
    """What a threshold becomes once δ is exceeded: its odds of a wrong hit fall by ``rules.tighten``."""
    if threshold >= NEVER:
        return NEVER
    return _share(_odds(threshold) + math.log(rules.tighten))


def is_firm(score: float, threshold: float, rules: BoundSettings) -> bool:
    """Whether a candidate that may be served may still be once the threshold is raised."""
    return threshold < NEVER and _odds(score) >= _odds(threshold) + math.log(rules.tighten)


def tells(score: float, rules: BoundSettings) -> bool:
    """Whether an observation at ``score`` is worth one of the entry's places.

    With a prior only what is near the threshold or above it: that a doubtful pair was right after all says nothing
    of those that are not doubted, and would push out what does.
    """
    return rules.mode == "strict" or _odds(score) >= _start(rules) - math.log(rules.loosen) - rules.margin


# the verifier's word as a prior


def _with_prior(score: float, observations: Sequence[Observation], rules: BoundSettings) -> BoundDecision:
    start = _start(rules)
    shift = min(_shift(start, observations, rules), math.log(rules.loosen)) if observations else 0.0
    blocked = _blocked(observations, rules)
    wanted = max(start - shift, blocked)
    asked = _odds(score)
    serve = asked >= wanted
    threshold = _share(wanted) if wanted <= _odds(1.0) else NEVER
    why = "sure enough" if serve else "like one that was wrong" if asked < blocked else "not sure enough"
    right = sum(o.right for o in observations)
    return BoundDecision(
        serve=serve,
        explore_probability=0.0 if serve else 1.0,
        threshold=threshold,
        why=f"{why}: {score:.4f} of {threshold:.4f}; {right} of {len(observations)} observations were right",
    )


def _shift(start: float, observations: Sequence[Observation], rules: BoundSettings) -> float:
    """By how many log-odds this entry is better than the verifier says, cautiously.

    The mode of the posterior, less ``caution`` standard deviations in the measure in which observations and not
    the prior make it. The prior is what ``prior_errors`` / δ observations at ``start`` that bear the verifier out
    would say. The log-posterior is concave, so its slope has one zero.
    """
    at = [(_odds(o.score), 1.0 if o.right else 0.0) for o in observations]
    kept, weight = _share(start), rules.prior_errors / rules.delta
    shift = observed = prior = 0.0
    for _ in range(NEWTON_STEPS):
        believed = _share(start + shift)
        slope, prior, observed = weight * (kept - believed), weight * believed * (1.0 - believed), 0.0
        for odds, right in at:
            share = _share(odds + shift)
            slope += right - share
            observed += share * (1.0 - share)
        step = max(-NEWTON_STRIDE, min(NEWTON_STRIDE, slope / (prior + observed)))
        shift += step
        if abs(step) < CLOSE:
            break
    known = prior + observed
    return shift - rules.caution * observed / known / math.sqrt(known)


def _blocked(observations: Sequence[Observation], rules: BoundSettings) -> float:
    """Log-odds below which scores are like one that was wrong.

    A wrong one is outweighed by as many later right ones, at scores like its own, as make it one in 1/δ.
    """
    needed = (1.0 - rules.delta) / rules.delta
    highest = -math.inf
    for at, wrong in enumerate(observations):
        if wrong.right:
            continue
        odds = _odds(wrong.score)
        since = sum(
            1 for o in observations[at + 1 :] if o.right and abs(_odds(o.score) - odds) <= 2.0 * rules.margin
        )
        if since < needed:
            highest = max(highest, odds + rules.margin)
    return highest


# by observations alone


def _strict(
    score: float, observations: Sequence[Observation], rules: BoundSettings, sample: float
) -> BoundDecision:
    if not observations:
        return BoundDecision(
            serve=False, explore_probability=1.0, threshold=NEVER, why="nothing has been observed yet"
        )
    from engine.cache.bound_region import region_at  # noqa: PLC0415 - the default mode needs no arrays

    asked, wanted = _odds(score), _odds(1.0 - rules.delta)
    found = region_at(asked, [(_odds(o.score), o.right) for o in observations])
    good = found.believed >= wanted
    explore = max(0.0, 1.0 - rules.delta / (1.0 - found.surely)) if good else 1.0
    threshold = _crossing(asked, found.believed, wanted, found.slope)
    return BoundDecision(
        serve=sample >= explore,
        explore_probability=explore,
        threshold=min(threshold, score) if good else threshold,
        why=(
            f"right in {_share(found.believed):.4f} by {len(observations)} observations, "
            f"surely in {found.surely:.4f}: afresh with probability {explore:.3f}"
        ),
    )


def _crossing(asked: float, believed: float, wanted: float, slope: float) -> float:
    """Score at which the fitted curve reaches what is wanted."""
    if slope <= 0.0:
        return 0.0 if believed >= wanted else NEVER
    at = asked + (wanted - believed) / slope
    return _share(at) if at <= _odds(1.0) else NEVER


def begun(rules: BoundSettings, accept: float) -> BoundSettings:
    """``rules`` with the score that a fresh entry needs, where only a verifier's own threshold is known.

    ``accept`` keeps ``DELTA``; for another bound the odds move as far as its own are from those.
    """
    if rules.start is not None:
        return rules
    moved = _odds(accept) + _odds(1.0 - rules.delta) - _odds(1.0 - DELTA)
    return rules.model_copy(update={"start": _share(moved)})


def _start(rules: BoundSettings) -> float:
    """Without a verifier's threshold 1 - 2δ: hits that are spread evenly from there on are wrong in δ of all."""
    return _odds(1.0 - 2.0 * rules.delta if rules.start is None else rules.start)


def _odds(share: float) -> float:
    inside = min(max(share, SCORE_MIN), 1.0 - SCORE_MIN)
    return math.log(inside / (1.0 - inside))


def _share(odds: float) -> float:
    if odds >= 0.0:
        return 1.0 / (1.0 + math.exp(-odds))
    grown = math.exp(odds)
    return grown / (1.0 + grown)
