"""What a thousand agents need and cost: a crowd of made-up agents, its memory, and what the shortlist loses.

Part of ``engine/bench/router.py``, split off for size. A table of many agents compares a question with the centre
of every agent and only the best of them with all their texts; how often that changes the answer is measured on the
intents of the evaluation sets, each of them an agent with ten examples.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from configs.catalogue import AgentCapability
from configs.errors import ConfigError
from configs.routing import RoutingSettings
from configs.settings import Settings
from engine.evals.data import eval_folder, intent_rows, task_rows
from engine.evals.router import agent_table
from engine.routing.contract import Reading, Vectors
from engine.routing.decide import match
from engine.routing.encoder import DIMENSIONS, MiniLm
from engine.routing.select import rank
from engine.routing.table import AgentTable, Profile, profile, stack

TEXTS_PER_AGENT: Final = 10
KEYWORDS_PER_AGENT: Final = 10
INTENT_SETS: Final = ("intent_clinc.jsonl", "intent_banking77.jsonl")
OUT_OF_SCOPE: Final = "oos"
ROWS_PER_INTENT: Final = 4
TASK_ROWS: Final = 400
ENCODED_AT_ONCE: Final = 64
SEED: Final = 20261121
MB: Final = 1e6


def crowd(profiles: Sequence[Profile], size: int, settings: RoutingSettings) -> AgentTable:
    """A table of ``size`` agents: ``profiles``, and made-up ones with random vectors and words of their own."""
    random = np.random.default_rng(SEED)
    made = [*profiles[:size], *(_made_up(n, random, settings) for n in range(max(0, size - len(profiles))))]
    return stack(made, settings.general_agent)


def made_up(n: int) -> AgentCapability:
    """An agent that nobody asks for."""
    words = tuple(f"subject{n}word{k}" for k in range(KEYWORDS_PER_AGENT))
    return AgentCapability(name=f"made-up-{n}", description="Made up.", keywords=words)


def random_vectors(count: int, random: np.random.Generator) -> Vectors:
    """Unit vectors, shape (count, 384)."""
    vectors = random.normal(size=(count, DIMENSIONS)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def crowd_mb(size: int, settings: RoutingSettings) -> float:
    """Megabytes (10^6 bytes) that stay allocated for a table of ``size`` made-up agents and their profiles."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = crowd((), size, settings)
        after = tracemalloc.get_traced_memory()[0]
        del held
    finally:
        tracemalloc.stop()
    return (after - before) / MB


def prototype_losses(settings: Settings, encoder: MiniLm) -> tuple[dict[str, float], tuple[str, ...]]:
    """Accuracy that is lost because centres choose whom to compare in full, and notes.

    ``prototypes.accuracy_loss``: with the shortlist in use, all intents as agents, ten examples each.
    ``prototypes.centre_only.accuracy_loss``: there, if the centre alone decided;
    ``prototypes.task_routing.centre_only.accuracy_loss``: that among the shipped agents. Without the evaluation
    sets there are no figures, which the notes say.
    """
    try:
        table, asked = _intents(settings.routing, encoder)
        rows = task_rows(eval_folder(None))
    except (ConfigError, OSError) as exc:
        return {}, (f"no prototypes.* without the evaluation sets: {exc}",)
    if not asked:
        return {}, ("no prototypes.*: the evaluation sets have no intents",)
    lone = settings.routing.model_copy(update={"shortlist": 1})
    all_of_them = settings.routing.model_copy(update={"shortlist": len(table.names)})
    whole = _accuracy(table, asked, all_of_them)
    step = -(-len(rows) // TASK_ROWS)
    tasks = [(row.agent, row.text, encoder.read(row.text)) for row in rows[::step]]
    shipped = agent_table(settings, encoder)
    figures = {
        "prototypes.agents": float(len(table.names)),
        "prototypes.accuracy": whole,
        "prototypes.accuracy_loss": whole - _accuracy(table, asked, settings.routing),
        "prototypes.centre_only.accuracy_loss": whole - _accuracy(table, asked, lone),
        "prototypes.task_routing.centre_only.accuracy_loss": (
            _accuracy(shipped, tasks, settings.routing) - _accuracy(shipped, tasks, lone)
        ),
    }
    return figures, ()


def _made_up(n: int, random: np.random.Generator, settings: RoutingSettings) -> Profile:
    return profile(made_up(n), random_vectors(TEXTS_PER_AGENT, random), settings)


def _intents(settings: RoutingSettings, encoder: MiniLm) -> tuple[AgentTable, list[tuple[str, str, Reading]]]:
    """Every intent as an agent of ten examples, and questions that are none of them. Same rows every time."""
    random = np.random.default_rng(SEED)
    profiles: list[Profile] = []
    asked: list[tuple[str, str]] = []
    for n, texts in enumerate(_texts_by_intent()):
        chosen: list[int] = random.permutation(len(texts))[: TEXTS_PER_AGENT + ROWS_PER_INTENT].tolist()
        some = [texts[i] for i in chosen]
        capability = AgentCapability(name=f"intent-{n}", description="An intent.")
        profiles.append(profile(capability, encoder.encode(some[:TEXTS_PER_AGENT]), settings))
        asked += [(capability.name, text) for text in some[TEXTS_PER_AGENT:]]
    vectors = [
        encoder.encode([text for _, text in asked[at : at + ENCODED_AT_ONCE]])
        for at in range(0, len(asked), ENCODED_AT_ONCE)
    ]
    read = [Reading(vector=vector, familiarity=1.0) for vector in np.concatenate(vectors)]
    questions = [(name, text, reading) for (name, text), reading in zip(asked, read, strict=True)]
    return stack(profiles, settings.general_agent), questions


def _texts_by_intent() -> Iterator[list[str]]:
    for name in INTENT_SETS:
        found: dict[str, list[str]] = {}
        for row in intent_rows(eval_folder(None), name):
            if row.split == "train" and row.intent != OUT_OF_SCOPE:
                found.setdefault(row.intent, []).append(row.text)
        yield from found.values()


def _accuracy(table: AgentTable, asked: Sequence[tuple[str, str, Reading]], settings: RoutingSettings) -> float:
    right = sum(
        rank(match(table, reading, text, settings), {}, settings).agent == name for name, text, reading in asked
    )
    return right / len(asked)
