"""How the two tiers of one engine's answer cache are put together. No rule of caching is here.

What takes time, the verifier with its lexicon, is loaded when the first candidate has to be judged.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np

from configs.settings import Settings
from engine.answer_cache import OpenCache
from engine.cache.bound import NEVER
from engine.cache.bounded import Bound
from engine.cache.flight import Flights
from engine.cache.paraphrase import Ask, Judge, Verified, VerifiedParaphrases
from engine.cache.question import Question
from engine.cache.tally_sync import TallySync
from engine.cache.touches import Touches
from engine.cache_desk import CacheDesk
from engine.cached import CachedAnswer, Lookup, Match
from engine.errors import ArtifactRefused, EmbeddingInvalid, ModelFileError
from engine.fresh import Watch
from engine.gateway.gateway import Tiers
from engine.once import Once
from engine.redis_state import StateRedis
from engine.routing.thread import EncoderThread
from engine.shadow import Checks, Shadows
from engine.telemetry.cache_metrics import CacheMeter
from engine.types import Answer, Request, Verdict

log = logging.getLogger(__name__)
METER = CacheMeter()
"""Of this process: instruments cannot be taken back, engines come and go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierNeeds:
    """The live parts of an engine that its cache asks."""

    reader: EncoderThread
    state: StateRedis
    lookup_of: Callable[[Request], Lookup]
    again: Callable[[Request], Awaitable[Answer]]
    """Answers a request as if for a caller."""
    ask: Ask | None
    """About the grey zone."""
    degraded: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheParts:
    """What the others see of it."""

    tiers: Tiers | None
    flights: Flights[Answer] | None
    watch: Watch
    desk: CacheDesk
    tallies: TallySync


class Unwatched:
    """``Watch`` where there is no cache."""

    def exact(self, hit: CachedAnswer | None) -> None:
        """Nothing to count."""

    def looked(self, match: Match) -> None:
        """Nothing to count."""

    def served(self, request: Request, match: Match) -> None:
        """Nothing to check."""

    def answered(self, match: Match, answer: Answer) -> None:
        """Nothing to check."""


def make_tiers(
    settings: Settings, opened: OpenCache | None, needs: TierNeeds, stack: AsyncExitStack
) -> CacheParts:
    """Both tiers over an open cache; without one, a desk that says why."""
    rules = settings.cache
    tallies = TallySync(
        rules.bound, None if opened is None else needs.state.tallies, clock=time.monotonic, now_s=time.time
    )
    METER.add(tallies)
    stack.callback(METER.gone, tallies)  # once it has closed, after whoever might still count
    stack.push_async_callback(tallies.aclose)
    bound = Bound(rules.bound, tallies, chance=random.random)

    async def load() -> Judge:
        judge, accept = await asyncio.to_thread(_load_judge, settings, needs.degraded)
        bound.begin_at(accept)
        return judge

    judge = Once(load)
    stack.push_async_callback(judge.settle)
    read = partial(read_question, needs, settings)
    desk = CacheDesk(
        store=None if opened is None else opened.store,
        read=read,
        judge=judge.get,
        lookup_of=needs.lookup_of,
        why_none=needs.degraded.get("cache", "the cache is switched off"),
    )
    if opened is None:
        return CacheParts(tiers=None, flights=None, watch=Unwatched(), desk=desk, tallies=tallies)
    touches = Touches(opened.store, rules.touch_s)
    stack.push_async_callback(touches.aclose)
    verified = Verified(judge=judge.get, sure=bound, ask=needs.ask)
    checks = Checks(
        store=opened.store, bound=bound, tallies=tallies, encode=needs.reader.aencode, again=needs.again
    )
    shadows = Shadows(checks, settings)
    stack.push_async_callback(shadows.aclose)
    flights = None
    if rules.flight.enabled:
        flights = Flights[Answer](opened.leases, rules.flight, sample=random.random)
        stack.push_async_callback(flights.settle)
    near = VerifiedParaphrases(opened.store, read, verified, rules.semantic) if rules.semantic.enabled else None
    tiers = Tiers(store=opened.store, paraphrases=near, used=touches)
    return CacheParts(tiers=tiers, flights=flights, watch=shadows, desk=desk, tallies=tallies)


async def read_question(needs: TierNeeds, settings: Settings, text: str) -> Question | None:
    """``Read`` through the encoder that everybody shares; ``None`` for what has no meaning to compare."""
    try:
        reading = await needs.reader.aread(text)
    except (ModelFileError, EmbeddingInvalid) as exc:
        needs.degraded["semantic_cache"] = exc.message
        return None
    if reading.cut:  # whatever its end asks, the vector would be the same
        return None
    if reading.familiarity < settings.routing.familiarity_min or not reading.vector.any():
        return None
    if not np.isfinite(reading.vector).all():  # compared with anything it is neither near nor far
        return None
    return Question(text=text, vector=reading.vector)


def _load_judge(settings: Settings, degraded: dict[str, str]) -> tuple[Judge, float]:
    """Guard, lexicon and verifier, and the threshold in its file; blocks for a moment.

    A verifier that cannot be used costs hits, not answers.
    """
    # Late: a request without a candidate needs none of it.
    from engine.cache.dictionary import dictionary  # noqa: PLC0415 - as above
    from engine.cache.verdict import judge  # noqa: PLC0415 - as above
    from engine.cache.verifier_file import load_verifier  # noqa: PLC0415 - as above

    semantic = settings.cache.semantic
    dictionary()  # here, in a thread: pairs are judged on the loop, and the first one must not wait for a file
    try:
        verifier = load_verifier(semantic.verifier, settings.encoder)
    except ArtifactRefused as refused:
        log.warning("paraphrases are not served: %s", refused)
        degraded["semantic_cache"] = refused.message
        return partial(_guard_alone, refused.message), NEVER
    accept = verifier.accept if semantic.accept is None else semantic.accept
    floor = semantic.similarity_min
    judged = partial(judge, verifier=verifier, threshold=accept, grey=semantic.grey_from, floor=floor)
    return judged, verifier.accept  # not the user's: δ was chosen for the verifier's own


def _guard_alone(why: str, asked: Question, stored: Question) -> Verdict:
    """Where nobody can verify, nothing is served; the guard still says what it sees."""
    from engine.cache.guard.rules import refuse  # noqa: PLC0415 - loaded by now
    from engine.cache.verifier import cosine  # noqa: PLC0415 - same

    refused = refuse(asked.text, stored.text)
    return Verdict(
        accepted=False,
        rule="verifier" if refused is None else refused.rule,
        detail=why if refused is None else refused.detail,
        similarity=cosine(asked, stored),
        probability=None,
        threshold=NEVER,
        question=stored.text,
    )
