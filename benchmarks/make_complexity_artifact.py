"""Write ``engine/routing/data/complexity.{npz,json}``: after ``complexity_texts.yaml`` or the traits changed.

Fitted on our own texts alone: rows of the evaluation folder that a licence would allow did not help (macro-F1 on
the other rows fell by .02). Prints how the head does on that folder when it is there.

.venv/bin/python benchmarks/make_complexity_artifact.py
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
import yaml

from configs.errors import ConfigError
from configs.load import load_settings
from engine.evals.data import TASKS_FILE, eval_folder
from engine.routing.complexity import ARRAYS, CARD, LEVELS, SHIPPED, level
from engine.routing.encoder import load_encoder
from engine.training.fit_complexity import cross_judged, fit_complexity, macro_f1
from engine.types import Complexity

TEXTS: Final = Path(__file__).with_name("complexity_texts.yaml")
CAREFUL: Final = {"complexity_vector_penalty": 3.0, "complexity_traits_penalty": 2.0, "complexity_balance": 0.0}
"""Our texts are clearer cases than what people ask, and each level has enough of them: less trust in details."""


def own_rows() -> list[tuple[str, Complexity]]:
    """The texts beside this file."""
    groups: dict[str, dict[Complexity, list[str]]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return [(text, name) for levels in groups.values() for name in LEVELS for text in levels[name]]


def folder_rows() -> list[tuple[str, Complexity]]:
    """Rows of the evaluation folder that have a complexity; empty without the folder."""
    try:
        lines = (eval_folder(None) / TASKS_FILE).read_text(encoding="utf-8").splitlines()
    except ConfigError as exc:
        print(exc.message)
        return []
    return [(row["text"], row["complexity"]) for row in map(json.loads, lines) if row["complexity"]]


def main() -> None:
    """Fit, write, measure."""
    settings = load_settings(environ={})
    train = settings.train.model_copy(update=CAREFUL)
    encoder = load_encoder(settings.encoder)
    texts, labels = map(list, zip(*own_rows(), strict=True))
    vectors = encoder.encode(texts)
    head = fit_complexity(vectors, texts, labels, train, seed=train.seed)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **head.to_arrays())
    crossed = cross_judged(vectors, texts, labels, train, seed=train.seed)
    card = {
        "kind": "switchgear-complexity",
        "levels": LEVELS,
        "rows": dict(Counter(labels)),
        "licence": "CC0-1.0, written for this project",
        "fit": CAREFUL | {"seed": train.seed},
        "encoder": {"model": settings.encoder.model_sha256, "tokenizer": settings.encoder.tokenizer_sha256},
        "macro_f1_cross_validated": round(macro_f1(labels, [level(row) for row in crossed]), 3),
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    (SHIPPED / ARRAYS).write_bytes(buffer.getvalue())
    (SHIPPED / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    print(f"{len(texts)} texts, {len(buffer.getvalue()) / 1024:.0f} KiB, own {card['macro_f1_cross_validated']}")
    rows = folder_rows()
    if rows:
        asked, wanted = map(list, zip(*rows, strict=True))
        found = [level(row) for row in head.judge(encoder.encode(asked), asked)]
        print(f"shipped.complexity.macro_f1 {macro_f1(wanted, found):.3f} on {len(rows)} rows")


if __name__ == "__main__":
    main()
