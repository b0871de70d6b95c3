"""The trained head that users receive: for the shipped agents, from the project's own texts (docs/decisions/0016).

Written by ``benchmarks/make_router_artifact.py``. Not a head that a user trained: that one comes from
``routing.artifact`` and knows agents by name alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final, cast

from configs.settings import Settings
from engine.errors import ArtifactRefused
from engine.routing.artifact import Artifact, load_artifact
from engine.routing.decide import Trained, bind
from engine.routing.table import AgentTable

SHIPPED: Final = Path(str(files("engine.routing") / "data" / "router"))
AGENTS: Final = "agents"
"""Where ``Card.settings`` says for which agents, as they were then, a head was trained."""


def load_head(settings: Settings) -> Artifact | None:
    """The artifact that ``settings`` ask for: the user's own, else the shipped one, or ``None``.

    ``None`` when ``routing.trained`` is off, and when the encoder of the settings is another one than the shipped
    head was made with. Raises ``ArtifactRefused`` for the user's own one alone.
    """
    if not settings.routing.trained:
        return None
    if settings.routing.artifact is not None:
        return load_artifact(Path(settings.routing.artifact), settings.encoder)
    try:
        return load_artifact(SHIPPED, settings.encoder)
    except ArtifactRefused as refused:
        if refused.code == "artifact_encoder":
            return None
        raise


def bind_artifact(table: AgentTable, artifact: Artifact | None) -> Trained | None:
    """The artifact's head for the agents of ``table`` that it was trained for."""
    if artifact is None:
        return None
    digests = cast("Mapping[str, str] | None", artifact.card.settings.get(AGENTS))
    return bind(table, artifact.head, digests)
