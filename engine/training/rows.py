"""Labelled rows judged against each other: repeats, contradictions, too many, too few (route.train).

Two passes over a source. The first keeps twelve bytes of each row, enough to see which say the same and which
contradict each other; the second picks up the texts that are used. Not the reading (``source``).
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.errors import TrainingRefused
from engine.training.history import HistoryRows
from engine.training.source import Row, RowSource

OnRows = Callable[[int], None]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What became of the rows. ``read = blank + duplicates + contradicting_rows + left_out + used``."""

    read: int
    blank: int
    """Without a text or without a label."""
    duplicates: int
    """The same text with the same label again; upper and lower case and white space make no difference."""
    contradicting_texts: int
    """Texts that stand there with more than one label."""
    contradicting_rows: int
    """Rows of those that were dropped: the fewer ones, all of them where it was a draw."""
    left_out: int
    """Beyond ``train.rows_max``."""
    used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The rows that are used, in the order of the source, and where they came from."""

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    findings: Findings
    sha256: str
    """Of the used rows."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows of each label, by name."""
        return dict(sorted(Counter(self.labels).items()))


def gather(source: RowSource, settings: TrainSettings, seed: int, on_rows: OnRows | None = None) -> Dataset:
    """The rows of ``source`` that can be trained on; ``on_rows`` hears how many were read so far.

    Raises ``TrainingRefused``: ``data_empty``, ``data_single_class``, ``data_labels`` (too many of them),
    ``data_changed`` (between the passes), and what the source raises.
    """
    index = _Index(settings.labels_max)
    for row in source.rows():
        index.add(row)
        if on_rows is not None and index.read % 1000 == 0:
            on_rows(index.read)
    if not index.keys:
        raise TrainingRefused(
            f"{source.name} has no rows",
            hint="it needs one row for each text, with a text and a label",
            code="data_empty",
        )
    kept = index.kept()
    used = _sample(kept.positions, index.ids, settings.rows_max, seed)
    texts, labels, digest = _pick(source, used, index)
    inside = sorted(set(labels) - {settings.out_of_scope})
    if len(inside) < 2:
        only = (
            f"only the label {inside[0]!r}" if inside else "no label but out-of-scope, or no text with one label"
        )
        raise TrainingRefused(
            f"{source.name} has {only}",
            hint="there is nothing to tell apart: give examples of at least two labels",
            code="data_single_class",
        )
    findings = Findings(
        read=index.read,
        blank=index.blank,
        duplicates=kept.duplicates,
        contradicting_texts=kept.contested,
        contradicting_rows=kept.dropped,
        left_out=len(kept.positions) - len(used),
        used=len(used),
    )
    return Dataset(name=source.name, texts=texts, labels=labels, findings=findings, sha256=digest)


def unknown_agents(labels: Collection[str], agents: Collection[str], also: Collection[str]) -> Mapping[str, str]:
    """Labels that are neither an agent nor in ``also``, each with the nearest agent or an empty string."""
    strange = sorted(set(labels) - set(agents) - set(also))
    known = sorted(agents)
    return {label: next(iter(get_close_matches(label, known, n=1)), "") for label in strange}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    positions: Indices
    duplicates: int
    contested: int
    dropped: int


@dataclass(slots=True)
class _Index:
    """Twelve bytes of each row: a 64-bit digest of its text, the number of its label."""

    labels_max: int
    keys: array[int] = field(default_factory=lambda: array("Q"))
    ids: array[int] = field(default_factory=lambda: array("I"))
    labels: dict[str, int] = field(default_factory=dict[str, int])
    read: int = 0
    blank: int = 0

    def add(self, row: Row) -> None:
        self.read += 1
        if _is_blank(row):
            self.blank += 1
            return
        number = self.labels.setdefault(row.label, len(self.labels))
        if number >= self.labels_max:
            raise TrainingRefused(
                f"more than {self.labels_max:,} different labels",
                hint="is --label the right column? train.labels_max allows more",
                code="data_labels",
            )
        self.keys.append(_key(row.text))
        self.ids.append(number)

    def kept(self) -> _Kept:
        """One row of each text: the first of those with the label most of its rows have."""
        keys = np.frombuffer(self.keys, dtype=np.uint64)
        ids = np.frombuffer(self.ids, dtype=np.uint32)
        order = np.lexsort((np.arange(len(keys)), ids, keys))
        first = _starts(keys[order], ids[order])
        votes = np.diff(np.append(first, len(keys)))
        pair_key, pair_row = keys[order][first], order[first]
        by_votes = np.lexsort((pair_row, -votes, pair_key))
        groups = _starts(pair_key[by_votes])
        sizes = np.diff(np.append(groups, len(by_votes)))
        won = votes[by_votes][groups]
        second = votes[by_votes][np.minimum(groups + 1, len(by_votes) - 1)]
        clear = (sizes == 1) | (won > second)
        return _Kept(
            positions=np.sort(pair_row[by_votes][groups][clear]).astype(np.int64),
            duplicates=int((won[clear] - 1).sum()),
            contested=int((sizes > 1).sum()),
            dropped=len(keys) - int(won[clear].sum()),
        )


def _starts(*columns: NDArray[np.uint64] | NDArray[np.uint32]) -> Indices:
    """Where a new run of equal values begins in sorted columns."""
    new = np.zeros(len(columns[0]), dtype=bool)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new)


def _is_blank(row: Row) -> bool:
    return not (row.text and row.label)


def _key(text: str) -> int:
    # Of a million texts two share one of 2**64 values with a chance of 3 in 10**8.
    return int.from_bytes(blake2b(" ".join(text.casefold().split()).encode(), digest_size=8).digest())


def _sample(positions: Indices, ids: array[int], rows_max: int, seed: int) -> Indices:
    """At most about ``rows_max`` of ``positions``: of each label the same share, at least one row."""
    if len(positions) <= rows_max:
        return positions
    rng = np.random.default_rng(seed)
    share = rows_max / len(positions)
    labels = np.frombuffer(ids, dtype=np.uint32)[positions]
    groups = (positions[labels == label] for label in np.unique(labels))
    chosen = [rng.choice(group, size=max(1, int(len(group) * share)), replace=False) for group in groups]
    return np.sort(np.concatenate(chosen))


def _pick(source: RowSource, used: Indices, index: _Index) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Texts and labels at ``used`` and the digest of both."""
    digest = hashlib.sha256()
    texts: list[str] = []
    labels: list[str] = []
    wanted = iter(used.tolist())
    at = next(wanted, None)
    for position, row in enumerate(_filled(source)):
        if at is None:
            break
        if position != at:
            continue
        if index.keys[position] != _key(row.text) or index.labels.get(row.label) != index.ids[position]:
            raise _changed(source)
        texts.append(row.text)
        labels.append(row.label)
        digest.update(f"{row.text}\0{row.label}\0".encode())
        at = next(wanted, None)
    if at is not None:
        raise _changed(source)
    return tuple(texts), tuple(labels), digest.hexdigest()


def _filled(source: RowSource) -> Iterator[Row]:
    return (row for row in source.rows() if not _is_blank(row))


def _changed(source: RowSource) -> TrainingRefused:
    hint = "train from a file nobody writes"
    if isinstance(source, HistoryRows):
        hint = "rows came late, or were deleted or forgotten meanwhile: train again"
    return TrainingRefused(f"{source.name} changed while it was read", hint=hint, code="data_changed")
