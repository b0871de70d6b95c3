"""What an answer to a paraphrase costs through a whole engine, beside the embedding that it cannot avoid.

A real engine on embedded Redis whose cache holds so many other answers in the same scope. Every paraphrase that
hits is measured three times: embedded alone by a reader of our own that has never seen it; asked; and asked again,
when the engine remembers its vector. The first two change places from hit to hit, and what a hit costs beyond its
embedding is the median of their differences. The third shows the same without the noise of an embedding: lookup,
search, guard, verifier, reading the answer, and everything a request costs besides. Paraphrases that miss count in
none of them.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from engine.app import Engine
from engine.bench.cache_questions import STORED, mixtures, others, rewordings
from engine.cache.fingerprint import digest
from engine.cache.question import Question, pack
from engine.cache.store import RedisAnswerCache
from engine.cached import Entry
from engine.errors import BenchFailed
from engine.routing.contract import Vectors
from engine.routing.encoder import load_encoder
from engine.routing.thread import EncoderThread

SIZES: Final = (1_000, 50_000)
"""Entries in the scope, the one that is hit included."""
MEMORY_OF: Final = 10_000
ANSWER_CHARS: Final = 500
"""Of the other answers; ``memory.mb_per_10000_entries`` depends on it."""
ROUNDS: Final = 150
WARM_UP: Final = 10
HITS_MIN: Final = 5
STEP: Final = 1_000

Read = Callable[[str], Awaitable[object]]
Say = Callable[[str], None]
Ask = Callable[[str], Awaitable[str]]
"""Asks the engine; the source of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What one paraphrase took, in milliseconds."""

    embedding: float
    whole: float
    remembered: float


async def semantic(engine: Engine, ask: Ask, say: Say) -> dict[str, float]:
    """Figures of the semantic tier. Raises ``BenchFailed`` when too few paraphrases hit."""
    client = engine.cache_client
    assert client is not None  # noqa: S101 - the caller has measured exact hits on it
    store = RedisAnswerCache(client, engine.settings.cache)
    await ask(STORED)
    await _settled(ask)
    [known] = [one async for one in store.entries() if one.answer.question == STORED]
    reader = EncoderThread(partial(load_encoder, engine.settings.encoder), engine.settings.encoder)
    try:
        vectors = mixtures(await reader.aencode(others()), max(*SIZES, MEMORY_OF))
        asked = iter(rewordings())
        figures, filled = dict[str, float](), 1
        began = (await client.info("memory"))["used_memory"]
        for size in sorted({*SIZES, MEMORY_OF}):
            await _fill(store, known, vectors, range(filled, size), say)
            filled = size
            if size == MEMORY_OF:
                used = (await client.info("memory"))["used_memory"] - began
                figures["memory.mb_per_10000_entries"] = used / size * 10_000 / 1e6
            if size in SIZES:
                say(f"paraphrases beside {size:,} entries")
                figures |= figures_of(await hits_of(asked, ask, reader.aread), size)
    finally:
        await reader.aclose()
    return figures


async def _settled(ask: Ask) -> None:
    """The entry is written off the request path; a repeat waits for it."""
    if await ask(STORED) != "exact_cache":
        raise BenchFailed("the answer that paraphrases are to hit was not stored")


async def _fill(
    store: RedisAnswerCache, known: Entry, vectors: Iterator[Vectors], numbers: Sequence[int], say: Say
) -> None:
    """Other answers in the scope of ``known``."""
    text = ("Another answer. " * ANSWER_CHARS)[:ANSWER_CHARS]
    for number in numbers:
        if number % STEP == 1:
            say(f"filling: {number:,} of {numbers[-1] + 1:,} entries")
        asked = f"How do I do thing number {number}?"
        place = replace(known.place, key=digest((known.place.scope, asked)))
        answer = replace(known.answer, text=text, question=asked, provenance=None)
        question = pack(Question(text=asked, vector=next(vectors)))
        if not await store.put(replace(known, place=place, answer=answer, question=question)):
            raise BenchFailed("an entry was not stored: there is nothing to measure")


async def hits_of(asked: Iterator[str], ask: Ask, read: Read) -> list[Hit]:
    """Of ``ROUNDS`` paraphrases those that hit. ``read`` embeds and has seen none of them.

    Raises ``BenchFailed`` when too few hit.
    """
    hits: list[Hit] = []
    for round_ in range(WARM_UP + ROUNDS):
        found = await _hit(next(asked), ask, read, embed_first=len(hits) % 2 == 0)
        if found is not None and round_ >= WARM_UP:
            hits.append(found)
    if len(hits) < HITS_MIN:
        raise BenchFailed(f"{len(hits)} of {ROUNDS} paraphrases hit: too few to say what a hit costs")
    return hits


def figures_of(hits: Sequence[Hit], size: int) -> dict[str, float]:
    """Medians, named by the number of entries; those of the smallest number have the plain names."""
    small = size == min(SIZES)
    name = "semantic" if small else f"semantic.entries_{size}"
    embedding = {"embedding.p50_ms": statistics.median(hit.embedding for hit in hits)} if small else {}
    return embedding | {
        f"{name}.p50_ms": statistics.median(hit.whole for hit in hits),
        f"{name}.hits": float(len(hits)),
        f"semantic.beyond_embedding_{size}.p50_ms": statistics.median(h.whole - h.embedding for h in hits),
        f"semantic.remembered_{size}.p50_ms": statistics.median(hit.remembered for hit in hits),
    }


async def _hit(text: str, ask: Ask, read: Read, *, embed_first: bool) -> Hit | None:
    """``None`` for a miss."""
    if embed_first:
        embedding = await _timed(partial(read, text))
        whole = await _timed(partial(ask, text))
    else:
        whole = await _timed(partial(ask, text))
        embedding = await _timed(partial(read, text))
    again = await _timed(partial(ask, text))
    if not whole[1] == again[1] == "semantic_cache":
        return None
    return Hit(embedding=embedding[0], whole=whole[0], remembered=again[0])


async def _timed(call: Callable[[], Awaitable[object]]) -> tuple[float, object]:
    """Milliseconds and what came of it."""
    await asyncio.sleep(0)
    began = time.perf_counter()
    said = await call()
    return (time.perf_counter() - began) * 1e3, said
