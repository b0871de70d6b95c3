"""Prompted agents: which words precede the conversation, and what a prompt must not promise."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest
import yaml

from agents.contract import Task
from agents.errors import AgentNotUsable, CallFailed
from agents.prompted import PROMPTS, PromptedAgent
from agents.scripted import Reply, ScriptedModel
from configs.catalogue import AgentCapability
from configs.kernel import Deadline, Failure, FailureKind, Message, Sampling

SAMPLING = Sampling(max_tokens=9, temperature=0.3)
DEADLINE = Deadline(123.0)
CONFIGURED = Path(__file__).parents[2] / "configs" / "agents"


OPENING = "I have no web search here and do not know today's date, so this may be out of date.\n\n"


def agent(prompt: str = "sql.md") -> PromptedAgent:
    """A prompted agent."""
    return PromptedAgent(AgentCapability(name="one", description="an agent", prompt=prompt))


def task(*messages: Message) -> Task:
    """A task of these messages."""
    return Task(messages=messages, sampling=SAMPLING, deadline=DEADLINE, request_id="r")


async def asked_of(model: ScriptedModel, *messages: Message) -> tuple[Message, ...]:
    """What the model was asked when the agent was given ``messages``."""
    async with aclosing(agent().run(task(*messages), model)) as chunks:
        assert "".join([chunk.text async for chunk in chunks]) == "one two"
    return model.calls[-1].messages


@pytest.mark.req("run.teams")
async def test_the_prompt_precedes_the_conversation() -> None:
    """As the only system message; the rest of the conversation, sampling and deadline are untouched."""
    model = ScriptedModel("one two")
    history = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    assert await asked_of(model, *history) == (Message("system", PROMPTS["sql.md"]), *history)
    assert (model.calls[0].sampling, model.calls[0].deadline) == (SAMPLING, DEADLINE)


async def test_the_callers_instructions_join_the_prompt() -> None:
    """One system message, since many chat templates refuse or drop a second one; later ones stay in place."""
    model = ScriptedModel("one two")
    given = (Message("system", "be terse"), Message("system", "in French"), Message("user", "q"))
    late = Message("system", "now in German")
    assert await asked_of(model, *given, late) == (
        Message("system", f"{PROMPTS['sql.md']}\n\nbe terse\n\nin French"),
        Message("user", "q"),
        late,
    )


async def test_a_prompted_agent_without_a_model_fails_typed() -> None:
    """A wiring error is a failure of the call, not a crash of the engine."""
    with pytest.raises(CallFailed) as caught:
        await anext(agent().run(task(Message("user", "q")), None))
    assert caught.value.failure.kind is FailureKind.AGENT


async def test_a_failure_of_the_model_passes_through() -> None:
    """The agent adds nothing to it."""
    with pytest.raises(CallFailed) as caught:
        await asked_of(ScriptedModel(Reply(text="")), Message("user", "q"))
    assert caught.value.failure.kind is FailureKind.EMPTY


async def test_what_must_be_said_is_said_by_every_model() -> None:
    """The opening comes with the first text, once; the model is not asked for it and reads no file syntax."""
    model = ScriptedModel("gold is dear")
    async with aclosing(agent("web_search.md").run(task(Message("user", "q")), model)) as chunks:
        texts = [chunk.text async for chunk in chunks]
    assert texts == [OPENING, "gold ", "is ", "dear", ""]
    assert model.calls[0].messages[0].content.startswith("You are asked for current information")
    assert agent("web_search.md").system_prompt == PROMPTS["web_search.md"]


async def test_an_opening_does_not_turn_a_failure_into_text() -> None:
    """Before the model's first word nothing may be shown, or no other route could take over (F4)."""
    failure = Failure(kind=FailureKind.STATUS, detail="", status=503)
    model = ScriptedModel(Reply(text="", failure=failure))
    seen: list[str] = []
    with pytest.raises(CallFailed):
        await _read(agent("web_search.md"), model, seen.append)
    assert seen == []


async def _read(one: PromptedAgent, model: ScriptedModel, see: Callable[[str], None]) -> None:
    async for chunk in one.run(task(Message("user", "q")), model):
        see(chunk.text)


@pytest.mark.parametrize(
    ("prompt", "hint"),
    [
        ("", "handler"),
        ("sqll.md", "sql.md"),
        ("../errors.py", "known"),
        ("/etc/passwd", "known"),
        ("zzz", "known"),
    ],
)
def test_a_prompt_that_is_not_there_is_refused(prompt: str, hint: str) -> None:
    """By name, with the nearest one; paths lead nowhere."""
    with pytest.raises(AgentNotUsable) as caught:
        agent(prompt)
    assert hint in caught.value.hint


@pytest.mark.req("run.teams")
def test_every_configured_agent_has_its_prompt_and_every_prompt_its_agent() -> None:
    """Ten of each, both ways."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in CONFIGURED.glob("*.yaml")]
    named = [entry["prompt"] for file in files for entry in file["agents"]]
    assert sorted(named) == sorted(PROMPTS)
    assert len(named) == 10


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_is_short_and_says_what_the_agent_cannot_do(name: str) -> None:
    """A small model has to read it on one core; and no prompt may promise a tool that is not there."""
    text = PROMPTS[name]
    assert 30 <= len(text.split()) <= 100
    assert re.match(r"(Opening: .*\n\n)?You ", text)
    assert re.search(r"[Yy]ou\s+cannot|no web|not connected", text)
    assert re.search(r"[Nn]ever (invent|claim)|the code is your answer|not in the\s+text|text\s+only", text)


@pytest.mark.parametrize(
    ("name", "admission"),
    [
        ("web_search.md", "no web search"),
        ("pdf_reader.md", "cannot open files or links"),
        ("sql.md", "not connected to a database"),
        ("analytics.md", "cannot open files or run code"),
        ("viz.md", "cannot\nshow pictures"),
        ("summarizer.md", "cannot open links, files or videos"),
    ],
)
def test_an_agent_whose_tools_are_not_built_admits_it(name: str, admission: str) -> None:
    """Until the tools exist, the prompt has to be honest about them."""
    assert admission in PROMPTS[name]
