"""Write ``engine/routing/data/reference_vectors.npy``: what sentence-transformers makes of our reference texts.

Needs PyTorch, so it runs in an environment of its own (the ``train`` extra), not in that of the product::

    python benchmarks/make_reference_vectors.py PATH_OR_HUB_ID_OF_ALL_MINILM_L6_V2

The vectors in the repository come from torch 2.13.0 and sentence-transformers 6.2.0, float32, a text at a time,
with weights of SHA-256 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

DATA = Path(__file__).parents[1] / "engine" / "routing" / "data"

texts = json.loads((DATA / "reference_texts.json").read_text(encoding="utf-8"))
model = SentenceTransformer(sys.argv[1], device="cpu")
vectors = np.concatenate([model.encode([text], normalize_embeddings=True) for text in texts])
np.save(DATA / "reference_vectors.npy", vectors.astype(np.float32))
print(vectors.shape, vectors.dtype)
