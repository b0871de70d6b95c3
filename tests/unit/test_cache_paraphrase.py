"""The semantic tier's shell: who is served, what a refusal tells, when a model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from configs.caching import CacheSettings, SemanticSettings
from engine.cache.inmemory import InMemoryAnswerCache
from engine.cache.paraphrase import Verified, VerifiedParaphrases
from engine.cache.question import Question, unpack
from engine.cached import Lookup, Match, Observation
from engine.types import Verdict
from tests.support.answer_caches import answer, entry, lookup, place
from tests.support.clock import FakeClock
from tests.support.paraphrases import Told, question, verdict

ASKED = "How may I sort a list?"


@dataclass
class Tier:
    """A semantic tier over the dict twin; everything that decides is told what to say."""

    verdicts: Mapping[str, Verdict]
    same: bool | None = None
    """What the model of the grey zone says; ``None``: there is none."""
    keeps_back: str = ""
    """The bound refuses under this rule."""
    readable: bool = True
    settings: SemanticSettings = field(default_factory=SemanticSettings)
    clock: FakeClock = field(default_factory=FakeClock)
    model_asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    bound_asked: list[tuple[str, tuple[Observation, ...], str]] = field(
        default_factory=list[tuple[str, tuple[Observation, ...], str]]
    )

    def __post_init__(self) -> None:
        """Put it together."""
        self.store = InMemoryAnswerCache(CacheSettings(), now_s=self.clock)
        self.judge = Told(self.verdicts)
        verified = Verified(judge=self.judge.get, sure=self._sure, ask=None if self.same is None else self._ask)
        self.tier = VerifiedParaphrases(self.store, self._read, verified, self.settings)

    async def keep(
        self, text: str, degrees: float, *, owner: str = "ann", ttl_s: int = 600, epoch: str = ""
    ) -> None:
        """Store the answer to ``text`` at that angle."""
        said = replace(answer(f"answer to {text}"), question=text)
        await self.store.put(entry(place(text, owner=owner), said, degrees=degrees, ttl_s=ttl_s, epoch=epoch))

    async def find(self, at: Lookup | None = None) -> Match:
        """What is found for the question asked, at angle 0."""
        return await self.tier.find(lookup(ASKED) if at is None else at, ASKED)

    async def _read(self, text: str) -> Question | None:
        return question(text) if self.readable else None

    async def _ask(self, asked: str, stored: str) -> bool:
        self.model_asked.append((asked, stored))
        return bool(self.same)

    def _sure(self, verdict: Verdict, observations: tuple[Observation, ...], agent: str) -> Verdict:
        self.bound_asked.append((verdict.question, observations, agent))
        return replace(verdict, accepted=False, rule=self.keeps_back) if self.keeps_back else verdict


@pytest.mark.req("cache.semantic")
async def test_the_nearest_candidate_that_passes_is_served_and_those_behind_it_cost_nothing():
    """Refused, accepted, accepted: the second is served, its verdict names it, and the third is not judged."""
    tier = Tier({"near": verdict(0.5, rule="verifier"), "middle": verdict(0.95), "far": verdict(0.99)})
    for text, degrees in (("near", 1.0), ("far", 20.0), ("middle", 10.0)):
        await tier.keep(text, degrees)
    match = await tier.find()
    assert match.answer is not None
    assert match.verdict is not None
    assert match.stored is match.answer
    assert (match.answer.text, match.place, match.verdict.question) == (
        "answer to middle",
        place("middle"),
        "middle",
    )
    assert [stored for _, stored in tier.judge.asked] == ["near", "middle"]


@pytest.mark.req("cache.verify")
async def test_a_refused_best_one_gives_way_to_an_accepted_one_and_is_told_where_none_is():
    """The best candidate's rule is what the caller hears, with its place; nothing is served."""
    verdicts = {"best": verdict(None, rule="antonym"), "next": verdict(0.5, rule="verifier")}
    tier = Tier(verdicts)
    await tier.keep("best", 1.0)
    alone = await tier.find()
    await tier.keep("next", 5.0)
    both = await tier.find()
    assert (alone.answer, alone.place) == (None, place("best"))
    assert alone.verdict is not None
    assert (alone.verdict.rule, alone.verdict.question) == ("antonym", "best")
    assert both.verdict is not None
    assert both.verdict.rule == "verifier"  # it has a probability, and so comes before one without
    served = Tier({**verdicts, "good": verdict(0.93)})
    for text in ("best", "next", "good"):
        await served.keep(text, 5.0)
    match = await served.find()
    assert match.answer is not None
    assert match.answer.text == "answer to good"


@pytest.mark.req("cache.semantic")
async def test_a_candidate_whose_answer_has_gone_meanwhile_is_skipped():
    """It expires between the search and the reading: the next one is served, or nothing is near."""
    tier = Tier({"short": verdict(0.99), "long": verdict(0.92)})
    await tier.keep("short", 1.0, ttl_s=10)
    await tier.keep("long", 2.0)
    nearest = tier.store.nearest

    async def slow(*args: object, **options: object) -> object:
        found = await nearest(*args, **options)  # pyright: ignore[reportArgumentType, reportCallIssue] - passed on
        tier.clock.advance(20.0)
        return found

    tier.store.nearest = slow  # pyright: ignore[reportAttributeAccessIssue] - time passes in between
    match = await tier.find()
    assert match.answer is not None
    assert match.answer.text == "answer to long"
    tier.clock.advance(600.0)
    assert await tier.find() == Match(answer=None)


@pytest.mark.req("cache.semantic")
async def test_nothing_near_is_a_miss_and_loads_no_verifier():
    """Below the least cosine nobody is judged; the twin just above it is."""
    tier = Tier({"far": verdict()}, settings=SemanticSettings(similarity_min=0.8))
    await tier.keep("far", 40.0)
    assert await tier.find() == Match(answer=None)
    assert tier.judge.asked == []
    await tier.keep("far", 30.0)
    assert (await tier.find()).answer is not None
    assert tier.judge.asked == [(ASKED, "far")]


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize("same", [True, False])
async def test_a_model_is_asked_about_the_grey_zone_and_its_word_counts(same: bool):
    """Yes serves, no refuses under its own name; what is not grey is not asked about."""
    tier = Tier({"grey": verdict(0.7, rule="verifier", grey=True)}, same=same)
    await tier.keep("grey", 5.0)
    match = await tier.find()
    assert tier.model_asked == [(ASKED, "grey")]
    assert match.verdict is not None
    assert (match.answer is not None, match.verdict.rule) == (same, "accepted" if same else "model")
    plain = Tier(
        {"sure": verdict(), "ruled": verdict(None, rule="number"), "low": verdict(0.1, rule="verifier")}, same=True
    )
    for text in ("ruled", "low", "sure"):
        await plain.keep(text, 5.0)
        await plain.find()
    assert plain.model_asked == []


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize("same", [True, False])
async def test_of_several_grey_candidates_a_model_is_asked_about_the_likeliest_alone(same: bool):
    """Not about the nearest, and not about the next one after a no: one call is what a lookup may wait for."""
    likely = {"near": 0.6, "likely": 0.8, "far": 0.7}
    tier = Tier({text: verdict(p, rule="verifier", grey=True) for text, p in likely.items()}, same=same)
    for degrees, text in enumerate(likely):
        await tier.keep(text, float(degrees))
    match = await tier.find()
    assert tier.model_asked == [(ASKED, "likely")]
    assert match.verdict is not None
    assert (match.answer is not None, match.verdict.question) == (same, "likely")


@pytest.mark.req("cache.verify")
async def test_without_a_model_the_grey_zone_is_a_miss():
    """The verifier's refusal stands."""
    tier = Tier({"grey": verdict(0.7, rule="verifier", grey=True)})
    await tier.keep("grey", 5.0)
    match = await tier.find()
    assert match.verdict is not None
    assert (match.answer, match.verdict.rule) == (None, "verifier")


@pytest.mark.req("cache.verify", "cache.scope")
async def test_no_model_is_asked_about_a_text_that_others_can_write():
    """What a tenant shares could talk it into anything; the user's own twin is asked about."""
    tier = Tier({"grey": verdict(0.7, rule="verifier", grey=True)}, same=True)
    await tier.keep("grey", 5.0, owner="tenant")
    match = await tier.find(lookup(ASKED, shared="tenant"))
    assert (match.answer, tier.model_asked) == (None, [])
    await tier.keep("grey", 5.0)
    assert (await tier.find(lookup(ASKED, shared="tenant"))).answer is not None
    assert tier.model_asked == [(ASKED, "grey")]


@pytest.mark.req("cache.verify")
async def test_what_the_bound_keeps_back_carries_the_stored_answer_to_compare_with():
    """Nobody is served, and the fresh answer can be held against it; a rule's refusal reads no answer at all."""
    tier = Tier({"verified": verdict(0.93)}, keeps_back="bound")
    await tier.keep("verified", 5.0)
    await tier.store.observe(place("verified"), Observation(score=0.9, right=True))
    match = await tier.find()
    assert match.verdict is not None
    assert match.stored is not None
    assert (match.answer, match.verdict.rule, match.stored.text) == (None, "bound", "answer to verified")
    assert tier.bound_asked == [("verified", (Observation(score=0.9, right=True),), "sql")]
    ruled = Tier({"verified": verdict(None, rule="number")}, keeps_back="bound")
    await ruled.keep("verified", 5.0)
    assert (await ruled.find()).stored is None
    assert ruled.bound_asked == []


@pytest.mark.req("cache.semantic")
async def test_a_question_that_the_encoder_cannot_read_is_a_miss_and_is_stored_without_a_vector():
    """No direction, no neighbours: only its own words will find it. A readable one comes back as it was."""
    blind = Tier({"known": verdict()}, readable=False)
    await blind.keep("known", 0.0)
    assert await blind.find() == Match(answer=None)
    assert await blind.tier.packed(ASKED) is None
    packed = await Tier({}).tier.packed(ASKED)
    assert packed is not None
    read = unpack(packed)
    assert read is not None
    assert read.text == ASKED


@pytest.mark.req("cache.scope")
async def test_an_answer_from_before_a_memory_write_is_not_near():
    """Another epoch of the same user: a miss; the twin of the same epoch is served."""
    tier = Tier({"known": verdict()})
    await tier.keep("known", 1.0, epoch="before")
    assert (await tier.find(replace(lookup(ASKED), epoch="after"))).answer is None
    assert (await tier.find(replace(lookup(ASKED), epoch="before"))).answer is not None


@pytest.mark.req("cache.semantic")
async def test_no_more_candidates_are_judged_than_the_settings_allow():
    """The nearest ones; the rest is not looked at."""
    texts = [f"q{i}" for i in range(6)]
    tier = Tier({text: verdict(None, rule="number") for text in texts}, settings=SemanticSettings(candidates=2))
    for i, text in enumerate(texts):
        await tier.keep(text, float(i + 1))
    await tier.find()
    assert {stored for _, stored in tier.judge.asked} == {"q0", "q1"}
