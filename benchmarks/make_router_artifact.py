"""Write ``engine/routing/data/router``, the shipped head: run it after its texts or those of agents changed.

.venv/bin/python -m benchmarks.make_router_artifact [--cross-validate]

Learns from our own texts alone: ``benchmarks/router_texts`` and the texts of ``configs/agents``. What is written
holds weights, and per label one mean vector: no text, and no vector of a text.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.router_corpus import FOLDER, Text, filled, terms, written
from configs.load import load_settings
from configs.routing import TrainSettings
from configs.settings import Settings
from engine.evals.router import agent_table
from engine.routing.artifact import HEAD, KIND, SCHEMA, Card, MadeWith, load_artifact
from engine.routing.contract import Reading, Vectors
from engine.routing.decide import Trained, match
from engine.routing.encoder import load_encoder
from engine.routing.head import SIGNALS, STEP, Head, Weights
from engine.routing.shipped import SHIPPED
from engine.routing.table import anchor_texts, digest_of
from engine.training.folder import digests, write_folder
from engine.training.linear import read_inputs, solve

SEED = 7
SHELLS_EACH = 3
FILLS_EACH = 16
# Sentences written one by one count five times as much as one of the many that a pattern gives.
WRITTEN, TERM, FILLED = 5, 2, 1
FIT = {"vector_scale": 1.0, "word_scale": 1.5, "penalty": 1e-4, "iterations": 200}
CREATED = "2026-11-21T17:30:00Z"
FOLDS = 4


def corpus(settings: Settings) -> list[Text]:
    """Everything that is learned from."""
    texts = [
        *written(FOLDER, WRITTEN),
        *terms(FOLDER, SHELLS_EACH, SEED, TERM),
        *filled(FOLDER, FILLS_EACH, SEED, FILLED),
    ]
    return [*texts, *_anchors(settings)]


def _anchors(settings: Settings) -> Iterator[Text]:
    for agent in settings.agents:
        for text in anchor_texts(agent, settings.routing):
            yield Text(text=text, label=agent.name, topic="", times=WRITTEN)


def fit(texts: Sequence[Text], vectors: Vectors, labels: Sequence[str], settings: TrainSettings) -> Head:
    """A linear head: its probabilities come from vector and words, none from stored examples."""
    place = {label: i for i, label in enumerate(labels)}
    classes = np.array([place[each.label] for each in texts])
    often = np.repeat(np.arange(len(texts)), [each.times for each in texts])
    inputs = read_inputs(vectors, [each.text for each in texts], settings).take(often)
    solved = solve(inputs, classes[often], len(labels), settings)
    centres = np.stack([_unit(vectors[classes == i].mean(axis=0)) for i in range(len(labels))])
    scope = np.zeros((3, SIGNALS))
    scope[1] = 1.0
    head = Head(
        labels,
        Weights(
            linear=solved.linear,
            bias=solved.bias,
            words=solved.words,
            rarity=solved.rarity,
            examples=np.round(centres * STEP).astype(np.int8),
            starts=np.arange(len(labels) + 1, dtype=np.int64),
            centres=centres,
            terms=np.empty(0, np.str_),
            term_labels=np.empty(0, np.int64),
            term_cues=np.empty(0, np.int64),
            blend=np.array([1.0, 0.0, 0.0, 0.0]),
            sharpness=np.array(1.0),
            scope=scope,
            # The general agent is a label of this head, so that everything is for one of them.
            scope_bias=np.array(20.0),
            reject_below=np.array(0.0),
        ),
    )
    return Head.from_arrays(head.to_arrays())


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def cross_validate(texts: Sequence[Text], vectors: Vectors, settings: Settings) -> dict[str, float]:
    """Accuracy on sentences written one by one, whole topics unseen: the head alone, and with the rest."""
    labels = sorted({each.label for each in texts})
    train = settings.train.model_copy(update=FIT)
    topics = sorted({t.topic for t in texts if t.times == WRITTEN and t.topic})
    order = np.random.default_rng(SEED).permutation(len(topics))
    fold: dict[str, int] = {topics[i]: n % FOLDS for n, i in enumerate(order.tolist())}
    where = np.array([fold.get(each.topic, -1) for each in texts])
    table = agent_table(settings, load_encoder(settings.encoder))
    alone = fused = 0
    for number in range(FOLDS):
        inside = np.flatnonzero(where != number).tolist()
        head = fit([texts[i] for i in inside], vectors[inside], labels, train)
        trained = Trained(head=head, agents=tuple((table.places[label], i) for i, label in enumerate(labels)))
        for i in np.flatnonzero(where == number).tolist():
            said = head.judge(vectors[i][None], (texts[i].text,)).probabilities[0]
            alone += labels[int(said.argmax())] == texts[i].label
            reading = Reading(vector=vectors[i], familiarity=1.0)
            found = match(table, reading, texts[i].text, settings.routing, head=trained).matches
            fused += max(found, key=lambda m: m.intent).agent == texts[i].label
    judged = int((where >= 0).sum())
    return {"unseen_topics.head": alone / judged, "unseen_topics.fused": fused / judged}


def data_digest(texts: Sequence[Text]) -> str:
    """SHA-256 of all that was learned from, in order."""
    return hashlib.sha256("\n".join(f"{t.label}\t{t.times}\t{t.text}" for t in texts).encode()).hexdigest()


def main() -> None:
    """Fit on everything, write, and read back."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cross-validate", action="store_true")
    settings = load_settings(environ={})
    texts = corpus(settings)
    vectors = load_encoder(settings.encoder).encode([each.text for each in texts])
    metrics = cross_validate(texts, vectors, settings) if parser.parse_args().cross_validate else {}
    train = settings.train.model_copy(update=FIT)
    labels = sorted({each.label for each in texts})
    head = fit(texts, vectors, labels, train)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **head.to_arrays())
    files = {HEAD: buffer.getvalue()}
    card = Card(
        kind=KIND,
        card_schema=SCHEMA,
        version=hashlib.sha256(files[HEAD]).hexdigest()[:12],
        created=CREATED,
        labels=tuple(labels),
        rows={"used": len(texts)},
        label_rows=dict(Counter(each.label for each in texts)),
        metrics=metrics,
        seed=SEED,
        settings={"fit": FIT, "agents": {agent.name: digest_of(agent) for agent in settings.agents}},
        data="our own texts: benchmarks/router_texts and configs/agents",
        data_sha256=data_digest(texts),
        licence="CC0-1.0",
        encoder=MadeWith(
            model_sha256=str(settings.encoder.model_sha256),
            tokenizer_sha256=str(settings.encoder.tokenizer_sha256),
            max_tokens=settings.encoder.max_tokens,
        ),
        files=digests(files),
    ).sealed()
    files["card.json"] = card.model_dump_json(indent=1).encode()
    write_folder(SHIPPED, files, lambda path: load_artifact(path, settings.encoder))
    print(f"{len(texts)} texts, {len(files[HEAD]) // 1024} KiB, version {card.version}", metrics)


if __name__ == "__main__":
    main()
