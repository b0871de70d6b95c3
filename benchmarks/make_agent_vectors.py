"""Write ``engine/routing/data/agent_vectors.npz``: run it after texts in ``configs/agents`` have changed.

.venv/bin/python benchmarks/make_agent_vectors.py
"""

from __future__ import annotations

from configs.load import load_settings
from engine.routing.encoder import load_encoder
from engine.routing.known import KNOWN_PATH, save_known
from engine.routing.table import anchor_texts

settings = load_settings(environ={})
texts = sorted({text for agent in settings.agents for text in anchor_texts(agent, settings.routing)})
vectors = load_encoder(settings.encoder, known={}).encode(texts)
save_known(settings.encoder, texts, vectors, KNOWN_PATH)
print(f"{len(texts)} texts, {KNOWN_PATH.stat().st_size // 1024} KiB")
