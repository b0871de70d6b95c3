"""What is known of labels besides the rows: their names, and what agents say about themselves. No encoder.

These texts are learned from; nothing is measured on them (``Labelled.asked``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from configs.catalogue import AgentCapability
from configs.routing import RoutingSettings
from engine.routing.contract import Vectors
from engine.routing.table import anchor_texts
from engine.training.fit import Labelled


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Texts with their labels, and words of the labels."""

    texts: Sequence[tuple[str, str]]
    """Text, label."""
    cues: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    keywords: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])


def about_names(labels: Iterable[str]) -> About:
    """The name of a label is an example of it: ``card_arrival`` says «card arrival»."""
    return About(texts=[(" ".join(label.replace("_", " ").split()), label) for label in sorted(set(labels))])


def about_agents(agents: Iterable[AgentCapability], settings: RoutingSettings, *, texts: bool = True) -> About:
    """Descriptions, examples, cues and keywords: what routing without training knows of agents.

    Without ``texts``: cues and keywords only.
    """
    known = list(agents)
    return About(
        texts=[(text, agent.name) for agent in known if texts for text in anchor_texts(agent, settings)],
        cues={agent.name: agent.cues for agent in known},
        keywords={agent.name: agent.keywords for agent in known},
    )


def with_about(data: Labelled, about: About, encode: Callable[[Sequence[str]], Vectors]) -> Labelled:
    """``data`` and what ``about`` adds to the labels that occur in it."""
    known = set(data.labels)
    texts = [(text, label) for text, label in about.texts if label in known]
    asked = [True] * len(data.texts) if data.asked is None else list(data.asked)
    return replace(
        data,
        vectors=np.concatenate([data.vectors, encode([text for text, _ in texts])]),
        texts=[*data.texts, *(text for text, _ in texts)],
        labels=[*data.labels, *(label for _, label in texts)],
        asked=[*asked, *[False] * len(texts)],
        cues={**data.cues, **{name: words for name, words in about.cues.items() if name in known}},
        keywords={**data.keywords, **{name: words for name, words in about.keywords.items() if name in known}},
    )
