"""Settings of the answer cache: how long, how many, how similar, how sure (cache.*).

Part of ``configs.settings``, split off for size; their defaults live here.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from configs.section import File, Name, Section, Share, at_most

Open = Annotated[float, Field(gt=0.0, lt=1.0)]
DELTA: Final = 0.03
"""Error bound that a verifier's own threshold is chosen for."""


class SemanticSettings(Section):
    """Answers to paraphrases (cache.semantic, cache.verify)."""

    enabled: bool = True
    candidates: Annotated[int, Field(ge=1, le=32)] = 4
    """Nearest stored questions that are verified, best first."""
    similarity_min: Share = 0.7
    """Cosine below which a stored question is not looked at. Callers cannot lower it."""
    verifier: File | None = None
    """Folder of a verifier of your own (`switchgear train verifier`); ``None``: the shipped one."""
    accept: Open | None = None
    """Probability that a pair needs; ``None``: what the verifier's own file says. Below that, an entry nobody has
    compared yet still needs what ``bound.start`` says."""
    grey_from: Open = 0.5
    """From this probability up to ``accept`` a pair is in the grey zone."""
    grey_role: Name | None = None
    """Role whose model is asked about pairs in the grey zone; ``None``: they are misses."""
    grey_s: PositiveFloat = 5.0
    """How long that may take."""


class BoundSettings(Section):
    """The error bound δ and how it is kept (cache.bound, docs/decisions/0025)."""

    delta: Open = DELTA
    """Share of semantic hits that may be wrong."""
    mode: Literal["prior", "strict"] = "prior"
    """``prior``: the verifier's calibrated probability counts from the first question on. ``strict``: an entry
    earns its hits by observations alone (vCache, arXiv 2502.03771)."""
    start: Open | None = None
    """``prior``: score from which an entry without observations may hit. ``None``: the verifier's own
    threshold, whatever ``semantic.accept`` says, its odds moved as far as those of ``delta`` are from those it was
    chosen for. Whichever of this and ``semantic.accept`` is higher counts."""
    prior_errors: PositiveFloat = 0.5
    """``prior``: the verifier's word is worth as many observations at the threshold, times 1 / δ."""
    caution: Annotated[float, Field(ge=0.0, le=5.0)] = 1.0
    """``prior``: standard deviations by which an entry's observations are read to its disadvantage."""
    loosen: Annotated[float, Field(ge=1.0)] = 3.0
    """``prior``: by this factor at most may right observations let the odds of a wrong hit grow; the floor."""
    margin: PositiveFloat = 0.5
    """``prior``: scores up to this much above a wrong one, in log-odds, are like it."""
    observations_max: Annotated[int, Field(ge=8, le=1_000)] = 64
    """The latest ones of an entry that are kept."""
    tighten: Annotated[float, Field(gt=1.0)] = 4.0
    """By this factor fall the odds of a wrong hit that are allowed once δ is exceeded."""
    shadow_share: Share = 0.02
    """Share of semantic hits that are answered afresh as well, after the hit was served, and compared."""
    checks_max: PositiveInt = 2
    """Such checks at once in one process; what comes on top is not checked."""
    same_min: Share = 0.85
    """Cosine of two answers from which they say the same, unless something in them contradicts."""
    different_max: Share = 0.4
    """Cosine below which they say something else; between the two nobody knows, and it does not count."""
    window_days: Annotated[int, Field(ge=1, le=90)] = 7
    """How far back the measured rate looks."""
    confidence: Open = 0.95
    """Of its interval (Clopper-Pearson)."""
    judge_min: Annotated[int, Field(ge=10)] = 100
    """Compared answers before the measured rate may change anything."""
    calm: Open = 0.75
    """Share of δ below which the rate has to fall before what was tightened is loosened again."""
    refresh_s: PositiveFloat = 5.0
    """How often replicas tell each other their counts, at most."""
    alone_s: PositiveFloat = 5.0
    """How long a shared store that did not answer is left alone."""
    agents_max: PositiveInt = 500
    """Agents that are counted apart."""

    @model_validator(mode="after")
    def _ordered(self) -> BoundSettings:
        at_most(self, "different_max", "same_min")
        return self


class FlightSettings(Section):
    """Identical misses at the same moment (cache.flight)."""

    enabled: bool = True
    lease_s: PositiveFloat = 10.0
    """A leader that was killed frees the others after this long; a living one renews its lease."""
    poll_s: PositiveFloat = 0.02
    """First pause of a replica that waits for another one's answer; it doubles up to ``poll_s_max``."""
    poll_s_max: PositiveFloat = 0.25

    @model_validator(mode="after")
    def _ordered(self) -> FlightSettings:
        at_most(self, "poll_s", "poll_s_max")
        return self


class CacheSettings(Section):
    """Both tiers of the answer cache."""

    enabled: bool = True
    ttl_s: PositiveInt = 86_400
    ttl_s_max: PositiveInt = 2_592_000
    live_ttl_s: PositiveInt = 300
    """Of answers from live data and to questions about now, today or the latest (cache.fresh)."""
    refusal_ttl_s: PositiveInt = 60
    """Of a model's own refusal, so that the same question is not refused at full price (negative caching)."""
    entry_bytes_max: PositiveInt = 1_048_576
    entries_max: PositiveInt = 50_000
    """Per owner, which is a user or what a tenant shares; the least recently used go first."""
    writes_per_minute: PositiveInt = 600
    """Of one user, so that nobody can flood a shared scope."""
    touch_s: PositiveFloat = 1.0
    """Hits are counted in the store at most this often."""
    semantic: SemanticSettings = SemanticSettings()
    bound: BoundSettings = BoundSettings()
    flight: FlightSettings = FlightSettings()

    @model_validator(mode="after")
    def _ordered(self) -> CacheSettings:
        at_most(self, "ttl_s", "ttl_s_max")
        at_most(self, "live_ttl_s", "ttl_s_max")
        return self
