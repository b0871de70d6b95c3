"""The path of a question through a whole engine: routed, answered by a model, repeated from the cache."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from configs.kernel import Outcome
from engine.app import Engine
from engine.errors import AllRoutesUnavailable, EngineClosed, InvalidInput, RejectedByModel, UnknownName
from engine.types import Answer
from tests.support.engines import closed_port, engine_settings
from tests.support.provider import Play, ScriptedProvider

PYTHON_QUESTION = "Write a Python function that sorts people by age"


@pytest.mark.req("serve.python", "cache.exact", "route.strategy", "run.single")
async def test_a_question_is_routed_answered_and_its_repeat_comes_from_the_cache(tmp_path: Path):
    """The same question twice: one model call, two equal texts, the second one free."""
    async with ScriptedProvider() as provider:
        provider.script(reply="def reverse(text): return text[::-1]")
        async with Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine:
            first = await engine.execute(PYTHON_QUESTION, user_id="ada")
            second = await engine.execute(PYTHON_QUESTION, user_id="ada")
        assert len(provider.requests) == 1
    assert first.source == "model"
    assert first.decision.agent == "python"
    assert first.attempts[0].outcome is Outcome.OK
    assert first.usage.output_tokens > 0
    assert len(first.trace_id) == 32
    assert int(first.trace_id, 16) != 0
    assert second.source == "exact_cache"
    assert second.text == first.text
    assert second.decision == first.decision
    assert (second.attempts, second.cost.micros, second.usage.output_tokens) == ((), 0, 0)


@pytest.mark.req("cache.scope")
async def test_another_user_tenant_or_parameter_is_answered_afresh(tmp_path: Path):
    """0 foreign hits, while the owner's own repeat hits."""
    async with (
        ScriptedProvider() as provider,
        Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine,
    ):
        await engine.execute(PYTHON_QUESTION, user_id="ada")
        others = [
            await engine.execute(PYTHON_QUESTION, user_id="bob"),
            await engine.execute(PYTHON_QUESTION, user_id="ada", tenant_id="acme"),
            await engine.execute(PYTHON_QUESTION, user_id="ada", max_tokens=9),
            await engine.execute(PYTHON_QUESTION, user_id="ada", agent="general"),
            await engine.execute(PYTHON_QUESTION, user_id="ada", cache="off"),
            await engine.execute(PYTHON_QUESTION, user_id="ada", cache="refresh"),
        ]
        own = await engine.execute(PYTHON_QUESTION, user_id="ada")
    assert [answer.source for answer in others] == ["model"] * len(others)
    assert own.source == "exact_cache"


@pytest.mark.req("cache.exact", "serve.embedded")
async def test_the_cache_outlives_the_engine_that_filled_it(tmp_path: Path):
    """Two commands in a row share answers: the embedded cache keeps them when its last user leaves."""
    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url})
        async with Engine.open(settings=settings) as engine:
            await engine.execute(PYTHON_QUESTION)
        async with Engine.open(settings=settings) as engine:
            again = await engine.execute(PYTHON_QUESTION)
    assert again.source == "exact_cache"


async def test_changed_prompts_or_chains_never_read_old_answers(tmp_path: Path):
    """Another policy is another cache, while the unchanged one still hits."""
    async with ScriptedProvider() as provider:
        before = await engine_settings(tmp_path, {"m": provider.url})
        changed = await engine_settings(tmp_path, {"m": provider.url}, request={"max_tokens": 77})
        async with Engine.open(settings=before) as engine:
            await engine.execute(PYTHON_QUESTION)
        async with Engine.open(settings=changed) as engine:
            assert (await engine.execute(PYTHON_QUESTION)).source == "model"
        async with Engine.open(settings=before) as engine:
            assert (await engine.execute(PYTHON_QUESTION)).source == "exact_cache"


@pytest.mark.req("serve.python")
async def test_an_answer_cut_by_the_token_limit_says_so_and_is_not_served_again(tmp_path: Path):
    """Nobody takes half a text for a whole one, and half a text is not stored; a whole one is neither."""
    async with ScriptedProvider() as provider:
        provider.script(Play(reply="and so", finish_reason="length"), Play(reply="and so on."))
        async with Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine:
            cut = await engine.execute("Tell me more")
            whole = await engine.execute("Tell me more")
            again = await engine.execute("Tell me more")
    assert (cut.truncated, cut.attempts[0].finish_reason) == (True, "length")
    assert (whole.source, whole.truncated) == ("model", False)
    assert (again.source, again.truncated, again.text) == ("exact_cache", False, whole.text)


@pytest.mark.req("run.batch")
async def test_a_batch_keeps_order_bounds_its_width_and_leaves_failures_in_place(tmp_path: Path):
    """Three at a time, in the order given, with the error of the one that fails where its answer would be."""
    gate = asyncio.Event()
    async with ScriptedProvider() as provider:
        provider.script(Play(reply="ok", gate=gate))
        async with Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine:
            prompts = [f"Tell me about the number {i}" for i in range(7)]
            prompts[4] = "   "
            progress: list[tuple[int, int]] = []
            batch = asyncio.create_task(
                engine.execute_batch(prompts, concurrency=3, on_done=lambda d, t: progress.append((d, t)))
            )
            await provider.wait_requests(3)
            assert len(provider.requests) == 3
            gate.set()
            answers = await batch
    assert [type(a) for a in answers] == [Answer] * 4 + [InvalidInput] + [Answer] * 2
    assert progress == [(i, 7) for i in range(1, 8)]
    asked = {request.json["messages"][-1]["content"] for request in provider.requests}
    assert asked == {p for p in prompts if p.strip()}


@pytest.mark.req("serve.python")
async def test_unknown_names_say_which_known_one_is_nearest(tmp_path: Path):
    """A misspelt agent, model or option is refused with the nearest right one, and costs nothing."""
    async with ScriptedProvider() as provider:
        async with Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine:
            with pytest.raises(UnknownName, match="'python'"):
                await engine.execute("hi", agent="pyton")
            with pytest.raises(UnknownName, match="unknown model"):
                await engine.execute("hi", models=["gpt-9"])
            with pytest.raises(InvalidInput, match="max_tokens"):
                await engine.execute("hi", max_token=5)  # pyright: ignore[reportCallIssue]
        assert provider.connections == 0


async def test_a_closed_engine_says_so(tmp_path: Path):
    """After the block there is one clear error, not a hang or a stack of foreign ones."""
    settings = await engine_settings(tmp_path, {"m": closed_port()}, cache={"enabled": False})
    async with Engine.open(settings=settings) as engine:
        assert engine.agents
    with pytest.raises(EngineClosed):
        await engine.execute("hi")


@pytest.mark.req("brk.classify")
async def test_a_request_that_the_model_rejects_is_the_callers_and_goes_nowhere_else(tmp_path: Path):
    """Fault 1: 400 is typed, not retried, not given to the next route."""
    async with ScriptedProvider() as provider:
        provider.script(
            status=400, body={"error": {"message": "bad parameter", "code": "invalid_value"}}, model="a"
        )
        urls = {"a": provider.url, "b": provider.url}
        async with Engine.open(settings=await engine_settings(tmp_path, urls)) as engine:
            with pytest.raises(RejectedByModel) as caught:
                await engine.execute("hi")
        assert [request.model for request in provider.requests] == ["a"]
    assert caught.value.attempts[0].outcome is Outcome.CALLER


@pytest.mark.req("cache.write")
async def test_what_failed_is_never_stored(tmp_path: Path):
    """The first ask fails; the second reaches the model and is answered."""
    async with ScriptedProvider() as provider:
        provider.script(*[Play(status=503, body="{}")] * 3, Play(reply="better"))
        async with Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine:
            with pytest.raises(AllRoutesUnavailable):
                await engine.execute("hi there")
            answer = await engine.execute("hi there")
    assert (answer.source, answer.text) == ("model", "better")


@pytest.mark.req("cache.flight", "cache.write")
async def test_a_models_own_refusal_is_repeated_without_asking_it_again(tmp_path: Path):
    """Negative caching: the same question is refused at no price; another one, and a fresh try, are asked."""
    async with ScriptedProvider() as provider:
        provider.script(Play(status=400, body="{}"), Play(reply="other"), Play(reply="after all"))
        async with Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine:
            for _ in range(2):
                with pytest.raises(RejectedByModel):
                    await engine.execute("hi there")
            asked = len(provider.requests)
            other = await engine.execute("Who discovered penicillin?")
            again = await engine.execute("hi there", cache="refresh")
    assert (asked, other.text, again.text) == (1, "other", "after all")


@pytest.mark.req("serve.python")
async def test_history_is_sent_along_and_the_last_user_turn_is_routed(tmp_path: Path):
    """Messages arrive in order behind the agent's own system prompt."""
    async with ScriptedProvider() as provider:
        async with Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine:
            answer = await engine.execute(
                [
                    {"role": "user", "content": "I like tea."},
                    {"role": "assistant", "content": "Good."},
                    {"role": "user", "content": PYTHON_QUESTION},
                ]
            )
        sent = provider.requests[0].json["messages"]
    assert answer.decision.agent == "python"
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "user"]
    assert [m["content"] for m in sent[1:]] == ["I like tea.", "Good.", PYTHON_QUESTION]
