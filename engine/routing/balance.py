"""Sharing traffic: a weighted draw, instances of one model side by side, and whether a provider has room. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from configs.ratelimit_headers import Quota, RateLimits


class Family(NamedTuple):
    """A model as the chain names it, and its instances that may be asked, never none.

    A tuple, because a request makes a handful of them and a frozen dataclass takes four times as long.
    """

    name: str
    members: tuple[str, ...]


def pick(weights: Sequence[float], sample: float) -> tuple[int, float]:
    """Which of ``weights`` a ``sample`` from [0, 1) falls on, and what is left of it. All alike when all are 0.

    The rest is again even in [0, 1) and independent of the choice, so one sample serves for draws within draws.
    """
    total = sum(weights)
    if total <= 0.0:
        return pick([1.0] * len(weights), sample)
    at = sample * total
    last = 0
    for index, weight in enumerate(weights):
        if weight <= 0.0:
            continue
        if at < weight:
            return index, at / weight
        at -= weight
        last = index
    return last, 0.0  # rounding, at the very end of the last weight


def balanced(
    family: Family,
    weights: Mapping[str, float],
    limits: Mapping[str, RateLimits],
    full: Mapping[str, str],
    rank: Mapping[str, int],
    sample: float,
) -> Family:
    """``family`` led by the instance that is drawn, the others behind it in their order. ``rank``: how far down
    the list of preferred regions an instance is, 0 for all when there is none.

    The draw is among those with room and of the most preferred region, by weight times the part that is left of
    their scarcest limit: who has less left gets less, before it has nothing.
    """
    if len(family.members) == 1:
        return family
    free = [m for m in family.members if m not in full] or list(family.members)
    best = min(rank.get(m, 0) for m in free)
    pool = [m for m in free if rank.get(m, 0) == best]
    lead = pool[pick([weights[m] * _left(limits.get(m)) for m in pool], sample)[0]]
    others = sorted((m for m in family.members if m != lead), key=lambda m: rank.get(m, 0))
    return Family(family.name, (lead, *others))


def room(limits: RateLimits | None, prompt_tokens: int, max_tokens: int) -> str:
    """Why this request does not fit into what is left, or nothing."""
    if limits is None:
        return ""
    needed = (
        (limits.requests, "requests", 1),
        (limits.tokens, "tokens", prompt_tokens + max_tokens),
        (limits.input_tokens, "input tokens", prompt_tokens),
        # Providers that count the answer by itself count it as it is written, not what was asked for.
        (limits.output_tokens, "output tokens", 1),
    )
    for quota, what, tokens in needed:
        if quota is not None and quota.left < tokens:
            until = "" if quota.reset_s is None else f" for {quota.reset_s:.0f} s"
            return f"{quota.left} {what} left{until}"
    return ""


def _left(limits: RateLimits | None) -> float:
    """The part that is left of the scarcest limit, 1 where nobody said how much there is."""
    return min((_part(quota) for quota in limits.told), default=1.0) if limits is not None else 1.0


def _part(quota: Quota) -> float:
    return 1.0 if quota.limit is None else quota.left / quota.limit
