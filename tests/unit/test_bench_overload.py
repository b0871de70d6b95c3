"""``bench overload`` and ``bench breaker``: what is offered is counted, and how many probe at once is seen."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from openai import OpenAIError

from configs.settings import Settings
from engine.bench import breaker, overload, peers
from engine.bench.overload import ENDLESS, OFFERED, Load, of_shield
from engine.bench.peers import FALLBACK, PRIMARY, Targets

TINY = Load(places=2, each_s=0.01, line=ENDLESS, warm_s=0.05, for_s=0.1, deadline_s=1.0)
FIGURES = {
    "goodput_share",
    "offered_share",
    "rejection_p50_ms",
    "rejection_p95_ms",
    "refused_late_share",
    "waited_p95_ms",
    "rss_growth_mb",
}


@pytest.mark.req("serve.cli")
async def test_ten_times_the_capacity_is_offered_and_the_provider_works_through_what_is_let_in():
    """Every figure is there; answers came, none of them faster than the provider takes."""
    figures = await of_shield(Settings(), TINY)
    assert set(figures) == FIGURES
    assert figures["offered_share"] == pytest.approx(OFFERED)
    assert 0.0 < figures["goodput_share"] <= 1.0
    assert figures["waited_p95_ms"] >= TINY.each_s * 1e3


@pytest.mark.req("serve.cli")
async def test_requests_beyond_places_and_line_are_refused_by_the_provider_of_the_benchmark():
    """Two places, one in line: of four at once, three are answered."""
    provider = overload._Provider(Load(places=2, each_s=0.001, line=1, warm_s=0.0, for_s=0.0, deadline_s=1.0))

    async def one() -> int:
        return len([chunk async for chunk in provider.stream()])

    ended = await asyncio.gather(*(one() for _ in range(4)), return_exceptions=True)
    assert [end for end in ended if end == 1] == [1, 1, 1]
    assert [str(end) for end in ended if isinstance(end, Exception)] == ["at capacity"]


@pytest.mark.req("serve.cli")
@pytest.mark.parametrize(("places", "admitted"), [(1, 1), (7, 7), (1_000, breaker.CALLERS)])
async def test_callers_that_a_peer_lets_probe_at_once_are_counted(places: int, admitted: int):
    """A breaker with so many places for probes."""

    def peer(call: breaker.Call, open_s: float) -> breaker.Call:
        del open_s
        inside = 0

        async def guarded() -> int:
            nonlocal inside
            if inside >= places:
                raise OSError
            inside += 1
            try:
                return await call()
            finally:
                inside -= 1

        return guarded

    assert await breaker._admitted_by(peer) == admitted


@pytest.mark.req("serve.cli")
async def test_litellm_gets_both_models_one_fallback_and_the_timeout():
    """A stand-in that records what its router is made of; its failure is nobody's answer."""
    made: list[dict[str, object]] = []

    class Router:
        def __init__(self, **options: object) -> None:
            made.append(options)

        async def acompletion(self, *, model: str, messages: list[dict[str, str]]) -> None:
            if len(made) > 1:
                raise OpenAIError(model)

    targets = Targets(urls={PRIMARY: "http://a/v1", FALLBACK: "http://b/v1"}, timeout_s=0.5)
    for answer in ("any", None):
        async with peers.litellm(SimpleNamespace(Router=Router), targets) as ask:
            assert await ask() == answer
    models = {each["model_name"]: each["litellm_params"]["api_base"] for each in made[0]["model_list"]}
    assert models == targets.urls
    assert made[0]["fallbacks"] == [{PRIMARY: [FALLBACK]}]
    assert made[0]["timeout"] == 0.5
