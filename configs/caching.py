"""Settings of the answer cache: how long, how many, how similar, how sure (cache.*).

Part of ``configs.settings``, split off for size; their defaults live here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from configs.section import Name, Section, Share, at_most

Open = Annotated[float, Field(gt=0.0, lt=1.0)]


class SemanticSettings(Section):
    """Answers to paraphrases (cache.semantic, cache.verify)."""

    enabled: bool = True
    candidates: Annotated[int, Field(ge=1, le=32)] = 4
    """Nearest stored questions that are verified, best first."""
    similarity_min: Share = 0.8
    """Cosine below which a stored question is not looked at. Callers cannot lower it."""
    grey_role: Name | None = None
    """Role whose model is asked about pairs in the grey zone; ``None``: they are misses."""


class BoundSettings(Section):
    """The error bound δ and how it is kept (cache.bound)."""

    delta: Open = 0.02
    """Share of semantic hits that may be wrong."""
    shadow_share: Share = 0.02
    """Share of semantic hits that are answered afresh as well, after the hit was served, and compared."""


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
    semantic: SemanticSettings = SemanticSettings()
    bound: BoundSettings = BoundSettings()
    flight: FlightSettings = FlightSettings()

    @model_validator(mode="after")
    def _ordered(self) -> CacheSettings:
        at_most(self, "ttl_s", "ttl_s_max")
        at_most(self, "live_ttl_s", "ttl_s_max")
        return self
