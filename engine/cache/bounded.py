"""The error bound of the semantic cache at work: one decision per candidate, one observation per comparison.

Knows neither store nor models: whoever compares a fresh answer with a stored one tells it, and keeps the
observation that it returns. What decides is pure (``bound.py``, ``tally.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from configs.caching import BoundSettings
from engine.cache.agree import Agreement
from engine.cache.bound import begun, decide, is_firm, raised, tells
from engine.cache.tally import (
    SERVED_RIGHT,
    SERVED_WRONG,
    UNSURE,
    Band,
    Standing,
    outcome,
    refusal,
    seen,
)
from engine.cache.tally_sync import TallySync
from engine.cached import Observation
from engine.types import Verdict

ACCEPTED: Final = "accepted"
BELOW: Final = "bound"
"""The entry asks for more."""
TIGHT: Final = "bound_tight"
"""The entry would serve it, but δ is exceeded over all, and it is not sure enough for that."""
OFF: Final = "bound_off"
"""The entry would serve it, but too many hits are wrong."""


class Bound:
    """Implements ``engine.cache.paraphrase.Sure``. ``chance`` is uniform in [0, 1)."""

    def __init__(self, rules: BoundSettings, tallies: TallySync, *, chance: Callable[[], float]) -> None:
        self._rules = rules
        self._tallies = tallies
        self._chance = chance

    def begin_at(self, accept: float) -> None:
        """Told once the verifier is loaded: its own threshold."""
        self._rules = begun(self._rules, accept)

    def __call__(self, verdict: Verdict, observations: tuple[Observation, ...], agent: str) -> Verdict:
        """``verdict``, or the refusal that the bound makes of it. ``agent`` may be empty: not known yet."""
        if not verdict.accepted or verdict.probability is None:
            return verdict
        standing = self._tallies.standing(agent)
        if verdict.grey:
            return _vouched(verdict, standing)
        score = verdict.probability
        found = decide(score, observations, self._rules, sample=self._chance())
        if not found.serve:
            return replace(verdict, accepted=False, rule=BELOW, detail=found.why, threshold=found.threshold)
        allowed = replace(verdict, threshold=found.threshold)
        if standing.stance == "off":
            return replace(allowed, accepted=False, rule=OFF, detail=standing.why)
        if standing.stance == "tight" and not is_firm(score, found.threshold, self._rules):
            asked = raised(found.threshold, self._rules)
            return replace(allowed, accepted=False, rule=TIGHT, detail=standing.why, threshold=asked)
        return allowed

    def standing(self, agent: str) -> Standing:
        """How semantic hits of ``agent`` do."""
        return self._tallies.standing(agent)

    def looked(self, verdict: Verdict | None, agent: str) -> None:
        """Count a semantic lookup by its last word; ``None``: nothing was near. ``agent``: whose answer it is."""
        if verdict is None:
            self._tallies.looked("semantic", "miss", agent)
            return
        self._tallies.looked("semantic", "hit" if verdict.accepted else "refused", agent)
        band = self._band(verdict)
        counters = () if band is None else (seen(band),)
        self._tallies.count(agent, *counters, *(() if verdict.accepted else (refusal(verdict.rule),)))

    def shadows(self) -> bool:
        """Whether the hit that is being served is to be answered afresh as well, and compared."""
        return self._chance() < self._rules.shadow_share

    def wants(self, verdict: Verdict | None) -> bool:
        """Whether a fresh answer, given because of ``verdict``, is worth comparing with the stored one.

        It costs nothing but reading it. Pairs that a rule refused before their probability was worked out, and
        those that the verifier refused, have nothing to tell an entry: its threshold is not for them.
        """
        if verdict is None or verdict.probability is None or verdict.accepted:
            return False
        return verdict.rule in (TIGHT, OFF) or (verdict.rule == BELOW and tells(verdict.probability, self._rules))

    def compared(self, verdict: Verdict, agent: str, agreement: Agreement) -> Observation | None:
        """Count what a comparison came to, of a hit or of what might have been one.

        Returns what the entry's store has to be told (``AnswerCache.observe``), if anything.
        """
        if verdict.probability is None:
            return None
        if agreement == "unsure":
            if verdict.accepted:
                self._tallies.count(agent, UNSURE)
            return None
        right = agreement == "same"
        band = self._band(verdict)
        counters = () if band is None else (outcome(band, right),)
        if verdict.accepted:
            counters += (SERVED_RIGHT if right else SERVED_WRONG,)
        self._tallies.count(agent, *counters)
        if verdict.grey or not tells(verdict.probability, self._rules):
            return None
        return Observation(score=verdict.probability, right=right)

    def _band(self, verdict: Verdict) -> Band | None:
        """Of a candidate that its entry lets through; ``None`` for another one."""
        if verdict.probability is None:
            return None
        if verdict.rule == TIGHT or (verdict.grey and (verdict.accepted or verdict.rule == OFF)):
            return "low"
        if not verdict.accepted and verdict.rule != OFF:
            return None
        return "high" if is_firm(verdict.probability, verdict.threshold, self._rules) else "low"


def _vouched(verdict: Verdict, standing: Standing) -> Verdict:
    """Of a pair in the grey zone that a model vouched for: the entry's threshold is not for it, the stance is.

    It is never firm, and its score, which is not why it is served, is no observation.
    """
    if standing.stance == "normal":
        return verdict
    return replace(verdict, accepted=False, rule=TIGHT if standing.stance == "tight" else OFF, detail=standing.why)
