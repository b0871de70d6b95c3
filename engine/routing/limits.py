"""What is left of each model's rate limits, as its provider said last (route.adapt). A memory without a clock.

Not the breaker: a refusal with a waiting time parks that. This one only knows where a request would not fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from configs.ratelimit_headers import Quota, RateLimits


@dataclass(frozen=True, slots=True)
class _Noted:
    quota: Quota
    until_s: float


_FIELDS = ("requests", "tokens", "input_tokens", "output_tokens")


class LimitBook:
    """The latest word on every limit, until it is reset. Times in seconds of one clock that never goes back."""

    def __init__(self, believed_s: float) -> None:
        """``believed_s``: how long a limit is believed of which nobody said when it is reset."""
        self._believed_s = believed_s
        self._noted: dict[str, dict[str, _Noted]] = {}

    def heard(self, model_id: str, limits: RateLimits, now_s: float) -> None:
        """Remember an observation. What it does not speak of stays as it was."""
        noted = self._noted.setdefault(model_id, {})
        for name in _FIELDS:
            quota: Quota | None = getattr(limits, name)
            if quota is not None:
                lasts_s = self._believed_s if quota.reset_s is None else quota.reset_s
                noted[name] = _Noted(quota, now_s + lasts_s)

    def took(self, model_id: str, prompt_tokens: int, max_tokens: int) -> None:
        """A request is on its way there: count it until the provider does, or a burst would go to one model."""
        used = {"requests": 1, "tokens": prompt_tokens + max_tokens, "input_tokens": prompt_tokens}
        for name, noted in self._noted.get(model_id, {}).items():
            left = max(0, noted.quota.left - used.get(name, 0))
            self._noted[model_id][name] = replace(noted, quota=replace(noted.quota, left=left))

    def at(self, now_s: float) -> dict[str, RateLimits]:
        """What still holds at ``now_s``, by model id; resets count from then."""
        for model_id, noted in list(self._noted.items()):
            left = {name: entry for name, entry in noted.items() if entry.until_s > now_s}
            if left:
                self._noted[model_id] = left
            else:
                del self._noted[model_id]
        return {
            model_id: RateLimits(
                **{name: replace(n.quota, reset_s=n.until_s - now_s) for name, n in noted.items()}
            )
            for model_id, noted in self._noted.items()
        }
