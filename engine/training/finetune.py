"""``--finetune``: the encoder itself learns to tell the labels apart, with sentence-transformers, offline.

Starts from the shipped weights (``weights``), not from a model hub, and puts what was learned back into the same
ONNX graph. The loss is supervised contrastive (Khosla et al. 2020, eq. 2): texts of one label move together, all
others apart. Word and position embeddings stay as they are: a few hundred rows do not reach most words.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings
from configs.settings import EncoderSettings
from engine.errors import TrainingRefused
from engine.routing.contract import Vectors
from engine.routing.encoder import read_model, start_encoder
from engine.training.weights import Weights, read_weights, write_weights

TEMPERATURE: Final = 0.07
HEAD_WIDTH: Final = 32
SAMPLE: Final = 64
DATA: Final = files("engine.routing") / "data"
NEEDED: Final = ("torch", "sentence_transformers", "onnx")
OnStep = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuned:
    """An encoder that has learned, and how it was checked."""

    model: bytes
    """ONNX; the tokenizer is unchanged."""
    fidelity: float
    """Mean cosine between PyTorch's vectors and those of ``model``."""
    moved: float
    """Mean cosine between the vectors before and after, on the same texts: 1 means nothing was learned."""
    loss_first: float
    loss_last: float


def require_extra() -> None:
    """Raises ``TrainingRefused`` when the packages of the extra ``train`` are not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise TrainingRefused(
            f"--finetune needs packages that are not installed: {', '.join(missing)}",
            hint="pip install torch==2.13.0 (a CPU build will do), then pip install '.[train]'",
            code="train_extra",
        )


def finetune(
    texts: Sequence[str],
    labels: Sequence[str],
    encoder: EncoderSettings,
    settings: TrainSettings,
    *,
    seed: int,
    on_step: OnStep | None = None,
) -> Finetuned:
    """Train on ``texts`` and check the ONNX file against PyTorch.

    Raises ``TrainingRefused``: ``train_extra``; ``train_encoder`` for an encoder that is not the shipped one;
    ``train_fidelity`` when the file's vectors are not PyTorch's. ``ModelFileError``.
    """
    require_extra()
    base = read_model(encoder)
    before = read_weights(base)
    # Nothing here may ask a hub, whatever the libraries would like to look up.
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch = import_module("torch")
    torch.manual_seed(seed)
    model = sentence_model(before, encoder)
    inside = [i for i, label in enumerate(labels) if label != settings.out_of_scope]
    batches = _batches([labels[i] for i in inside], settings, seed)
    losses = _train(model, [texts[i] for i in inside], [labels[i] for i in inside], batches, settings, on_step)
    after = {
        name: value.detach().cpu().numpy().astype(np.float32)
        for name, value in model[0].auto_model.state_dict().items()
        if name in before
    }
    written = write_weights(base, after)
    sample = list(texts[:SAMPLE])
    theirs: Vectors = model.encode(sample, convert_to_numpy=True, show_progress_bar=False)
    ours = start_encoder(written, encoder, {}).encode(sample)
    fidelity = _likeness(theirs, ours)
    if not fidelity >= settings.fidelity_min:
        raise TrainingRefused(
            f"the exported encoder differs from the trained one: mean cosine {fidelity:.5f}",
            hint="train.finetune_rate is too high when vectors collapse; train.fidelity_min is the bar",
            code="train_fidelity",
        )
    moved = _likeness(ours, start_encoder(base, encoder, {}).encode(sample))
    return Finetuned(model=written, fidelity=fidelity, moved=moved, loss_first=losses[0], loss_last=losses[-1])


def _likeness(a: Vectors, b: Vectors) -> float:
    return float((a.astype(np.float64) * b.astype(np.float64)).sum(axis=1).mean())


def sentence_model(weights: Weights, encoder: EncoderSettings) -> Any:
    """The shipped encoder as a ``SentenceTransformer``: the same vectors, to seven digits."""
    transformers = import_module("transformers")
    # What it saves and loads below is nobody's model; its bars and tables would stand between ours.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    sentence_transformers = import_module("sentence_transformers")
    modules = _modules()
    torch = import_module("torch")
    vocabulary, width = weights["embeddings.word_embeddings.weight"].shape
    config = transformers.BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=sum(name.endswith("attention.self.query.bias") for name in weights),
        num_attention_heads=width // HEAD_WIDTH,
        intermediate_size=weights["encoder.layer.0.intermediate.dense.bias"].shape[0],
        max_position_embeddings=weights["embeddings.position_embeddings.weight"].shape[0],
    )
    bert = transformers.BertModel(config)
    bert.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(DATA / "tokenizer.json" if encoder.tokenizer_path is None else encoder.tokenizer_path),
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
        model_max_length=encoder.max_tokens,
    )
    with tempfile.TemporaryDirectory(prefix="sg-") as folder:
        bert.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        reader = modules.Transformer(folder, max_seq_length=encoder.max_tokens)
    return sentence_transformers.SentenceTransformer(
        modules=[reader, modules.Pooling(width), modules.Normalize()], device="cpu"
    )


def _modules() -> Any:
    """Its building blocks, which moved between releases 5 and 6."""
    name = "sentence_transformers.sentence_transformer.modules"
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return import_module("sentence_transformers.models")


def _batches(labels: Sequence[str], settings: TrainSettings, seed: int) -> list[NDArray[np.int64]]:
    """Row numbers of each step: pairs of one label, as many labels as fit, every row about once an epoch."""
    rng = np.random.default_rng(seed)
    column = np.array(labels)
    groups = [np.flatnonzero(column == label) for label in sorted(set(labels))]
    shares = np.array([len(group) for group in groups]) / len(labels)
    pairs = max(2, min(settings.finetune_batch, 2 * len(groups)) // 2)
    steps = settings.finetune_epochs * math.ceil(len(labels) / (2 * pairs))
    made: list[NDArray[np.int64]] = []
    for _ in range(steps):
        chosen = rng.choice(len(groups), size=min(pairs, len(groups)), replace=False, p=shares)
        drawn = [groups[int(g)] for g in chosen]
        made.append(np.concatenate([rng.choice(group, size=2, replace=len(group) < 2) for group in drawn]))
    return made


def _train(
    model: Any,
    texts: Sequence[str],
    labels: Sequence[str],
    batches: Sequence[NDArray[np.int64]],
    settings: TrainSettings,
    on_step: OnStep | None,
) -> list[float]:
    """The loss of each step."""
    torch = import_module("torch")
    model[0].auto_model.embeddings.requires_grad_(requires_grad=False)
    learned = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=settings.finetune_rate)
    names = {label: i for i, label in enumerate(sorted(set(labels)))}
    losses: list[float] = []
    model.train()
    for done, batch in enumerate(batches, 1):
        rows: list[int] = batch.tolist()
        vectors = model(model.tokenize([texts[i] for i in rows]))["sentence_embedding"]
        loss = _contrast(torch, vectors, torch.tensor([names[labels[i]] for i in rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        if on_step is not None:
            on_step(done, len(batches))
    model.eval()
    return losses


def _contrast(torch: Any, vectors: Any, labels: Any) -> Any:
    """Supervised contrastive loss of unit vectors."""
    itself = torch.eye(len(labels), dtype=torch.bool)
    scores = (vectors @ vectors.T / TEMPERATURE).masked_fill(itself, -math.inf)
    same = (labels[:, None] == labels[None, :]) & ~itself
    likely = torch.log_softmax(scores, dim=1).masked_fill(~same, 0.0)
    return -(likely.sum(dim=1) / same.sum(dim=1)).mean()
