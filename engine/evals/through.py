"""Heads fitted on ten rows an intent, measured through the engine's decision. Not the head alone (``intents``).

What a user gets who trains on labelled questions and names the artifact in ``routing.artifact``: the head, the
agents' texts, cues and thresholds together, read and decided as a request is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from configs.catalogue import AgentCapability
from configs.settings import Settings
from engine.evals.data import OUT_OF_SCOPE, IntentRow
from engine.evals.intents import OnFit, Sets, few, with_names
from engine.evals.score import Answered, calibration_error, rejection_figures
from engine.evals.vectors import KeptVectors
from engine.routing.decide import Trained, match
from engine.routing.encoder import MiniLm
from engine.routing.head import Head
from engine.routing.select import rank
from engine.routing.table import AgentTable, anchor_texts, profile, stack
from engine.training.fit import fit_labelled
from engine.training.recalibrate import lenient
from engine.training.split import split_rows

SEED: Final = 0
SCORED_MAX: Final = 1_000
"""Rows that are scored, drawn with a seed: each is read as a request is, which takes a few milliseconds."""


def engine_figures(
    name: str, sets: Sets, settings: Settings, kept: tuple[KeptVectors, MiniLm], on_fit: OnFit
) -> dict[str, float]:
    """``engine.<name>.10shot.{accuracy,ece}``, with out-of-scope rows also ``.{oos_f1,overall}``.

    One draw of ten rows an intent, at most 1,000 rows to score. Agents are known by the name of their intent; the
    general agent stands for "none of these", and whatever reaches it counts as turned away. ``ece``: of the
    confidence that the engine reports, all rows.
    """
    vectors, encoder = kept
    on_fit(f"fitting {name}, ten rows an intent, as `train router` does")
    head = _trained([sets.train[i] for i in few(_intents(sets.train), SEED, keep=OUT_OF_SCOPE)], vectors, settings)
    table, bound = _agents(head, encoder, settings)
    order: list[int] = np.random.default_rng(SEED).permutation(len(sets.test))[:SCORED_MAX].tolist()
    rows = [sets.test[i] for i in order]
    routing = settings.routing
    found = [rank(match(table, encoder.read(r.text), r.text, routing, head=bound), {}, routing) for r in rows]
    named = {table.names[place]: head.labels[label] for place, label in bound.agents}
    chosen = np.array([named.get(ranking.agent, OUT_OF_SCOPE) for ranking in found])
    wanted = np.array(_intents(rows))
    outside = np.asarray(wanted == OUT_OF_SCOPE)
    right = np.asarray(chosen == wanted)
    answered = Answered(
        right=right & ~outside,
        rejected=np.asarray(chosen == OUT_OF_SCOPE),
        outside=outside,
        confidence=np.array([ranking.confidence for ranking in found]),
    )
    figures = {"ece": calibration_error(answered.confidence, right)}
    if (~outside).any():
        figures["accuracy"] = float(right[~outside].mean())
        if outside.any():
            both = rejection_figures(answered)
            figures |= {"oos_f1": both["oos_f1"], "overall": both["overall"]}
    return {f"engine.{name}.10shot.{figure}": value for figure, value in figures.items()}


def _intents(rows: Sequence[IntentRow]) -> list[str]:
    return [row.intent for row in rows]


def _trained(rows: Sequence[IntentRow], vectors: KeptVectors, settings: Settings) -> Head:
    """As ``switchgear train router`` does, but without rows that only measure."""
    train = settings.train.model_copy(update={"test_share": 0.0})
    closed = OUT_OF_SCOPE not in _intents(rows)
    split = split_rows(_intents(rows), train, train.seed, calibration=closed)
    parts: list[list[int]] = [split.train.tolist(), split.calibration.tolist()]
    fitted, held = ([rows[i] for i in part] for part in parts)
    head = fit_labelled(with_names(fitted, vectors), train, seed=train.seed)
    texts = [row.text for row in held]
    return lenient(head, vectors.of(texts), texts, _intents(held), train) if held else head


def _agents(head: Head, encoder: MiniLm, settings: Settings) -> tuple[AgentTable, Trained]:
    """An agent for each label and the general one of the settings; the head as one's own."""
    routing = settings.routing
    told = [" ".join(label.replace("_", " ").split()) for label in head.labels]
    known = [AgentCapability(name=f"intent-{n}", description=text) for n, text in enumerate(told)]
    agents = [*known, *(agent for agent in settings.agents if agent.name == routing.general_agent)]
    profiles = [profile(agent, encoder.encode(anchor_texts(agent, routing)), routing) for agent in agents]
    table = stack(profiles, routing.general_agent)
    bound = tuple((table.places[agent.name], n) for n, agent in enumerate(known))
    return table, Trained(head=head, agents=bound, own=True)
