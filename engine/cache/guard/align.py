"""Two questions side by side: which words they share, which one explains another, which are left. Pure.

Content words are aligned in order (longest common subsequence between common beginning and end); what only moved
is taken out; of the rest, a word that is a synonym, an inflection, a misspelling or another spelling of one on the
other side explains it. What nobody explains is what the rules judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.cache import lexicon
from engine.cache.guard.text import Token, tokens

FEW: Final = 2
"""Words that may differ in what is still much the same question."""
CELLS: Final = 4_096
"""Of the alignment table; larger differences are compared as bags of words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A content word without a partner, and the gap of the alignment it stands in."""

    token: Token
    gap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two questions side by side, ``a`` the one that sorts first; ``left_a``, ``left_b``: the unexplained."""

    a: tuple[Token, ...]
    b: tuple[Token, ...]
    left_a: tuple[Left, ...]
    left_b: tuple[Left, ...]
    shared: int
    moved: int
    by_synonym: int
    by_spelling: int
    pairs: tuple[tuple[Token, Token], ...]
    """Explained by meaning or spelling: the word of a, the word of b."""
    unexplained: int
    """Different words left on the side that has more of them."""
    overlap: float
    """Share of the longer question's content that the other one has, 0 to 1."""

    @property
    def fillers_apart(self) -> int:
        """Little words and question words that stand on one side only."""
        a = Counter(token.key for token in self.a if token.kind in {"filler", "question"})
        b = Counter(token.key for token in self.b if token.kind in {"filler", "question"})
        return (a - b).total() + (b - a).total()

    @property
    def near(self) -> bool:
        """The same question but for a word or two, so that each word left counts."""
        return self.unexplained <= FEW and self.overlap >= 0.5

    @property
    def alike(self) -> bool:
        """All but a word or two is the same to the letter, little words included."""
        return self.unexplained <= FEW and self.fillers_apart <= FEW


@dataclass(slots=True)
class _Work:
    """What is still open on both sides."""

    a: list[Left]
    b: list[Left]


def _lcs(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Index pairs of a longest common subsequence."""
    table = [[0] * (len(b) + 1)]
    for x in a:
        above, row = table[-1], [0]
        for j, y in enumerate(b):
            row.append(above[j] + 1 if x == y else max(above[j + 1], row[j]))
        table.append(row)
    found: list[tuple[int, int]] = []
    i, j = len(a), len(b)
    while i and j:
        if a[i - 1] == b[j - 1] and table[i][j] == table[i - 1][j - 1] + 1:
            i, j = i - 1, j - 1
            found.append((i, j))
        elif table[i - 1][j] >= table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return found[::-1]


def _gaps(a: Sequence[Token], b: Sequence[Token]) -> tuple[_Work, int]:
    """What stands between the aligned words, gap by gap, and how many words are aligned."""
    x, y = [token.key for token in a], [token.key for token in b]
    shortest = min(len(x), len(y))
    start = next((i for i in range(shortest) if x[i] != y[i]), shortest)
    end = next((i for i in range(shortest - start) if x[-1 - i] != y[-1 - i]), shortest - start)
    middle_a, middle_b = x[start : len(x) - end], y[start : len(y) - end]
    small = len(middle_a) * len(middle_b) <= CELLS
    pairs = _lcs(middle_a, middle_b) if small else []
    work = _Work([], [])
    last_a = last_b = 0
    for gap, (i, j) in enumerate([*pairs, (len(middle_a), len(middle_b))]):
        work.a += [Left(token=a[start + k], gap=gap) for k in range(last_a, i)]
        work.b += [Left(token=b[start + k], gap=gap) for k in range(last_b, j)]
        last_a, last_b = i + 1, j + 1
    return work, start + end + len(pairs)


def _cancel_moved(work: _Work) -> int:
    """Take out what stands on both sides in different places."""
    common = Counter(w.token.key for w in work.a) & Counter(w.token.key for w in work.b)
    moved = sum(common.values())
    for side in (work.a, work.b):
        open_keys = Counter(common)
        kept: list[Left] = []
        for word in side:
            if open_keys[word.token.key] > 0:
                open_keys[word.token.key] -= 1
            else:
                kept.append(word)
        side[:] = kept
    return moved


def _joined(mine: list[Left], theirs: list[Left]) -> list[tuple[Token, Token]]:
    """Two neighbours here written as one word there, or by their first letters."""
    found: list[tuple[Token, Token]] = []
    keys = {w.token.text: w for w in theirs}
    starts = {text[:1] for text in keys}
    at = 0
    while at + 1 < len(mine) and keys:
        step = 1
        for length in (4, 3, 2) if mine[at].token.text[:1] in starts else ():
            run = mine[at : at + length]
            if len(run) < length:
                continue
            texts = [w.token.text for w in run]
            partner = keys.get("".join(texts)) or keys.get("".join(t[0] for t in texts))
            if partner and partner in theirs:
                found += [(w.token, partner.token) for w in run[:1]]
                theirs.remove(partner)
                del mine[at : at + length]
                step = 0
                break
        at += step
    return found


def spelled(a: Token, b: Token) -> bool:
    """One written form of the other: a typo, a hyphen, British or American."""
    if a.kind == "number" or b.kind == "number":
        return False
    if a.text.replace("-", "").replace("_", "") == b.text.replace("-", "").replace("_", ""):
        return True
    if a.kind == "code" or b.kind == "code":
        return False
    return lexicon.american(a.text) == lexicon.american(b.text) or lexicon.typo_of(a.text, b.text)


def means(a: Token, b: Token) -> bool:
    """Whether one word stands for the other; numbers, units and code never do."""
    kinds = {a.kind, b.kind}
    if kinds & {"number", "code"} or (kinds == {"unit"}):
        return False
    return lexicon.synonyms(a.text, b.text)


def _explain(work: _Work) -> tuple[list[tuple[Token, Token]], int, int]:
    """Pair what explains each other, neighbours of one gap first; (pairs, by meaning, by spelling)."""
    pairs: list[tuple[Token, Token]] = []
    if len(work.a) * len(work.b) > CELLS:
        return pairs, 0, 0
    pairs += _joined(work.a, work.b) + [(y, x) for x, y in _joined(work.b, work.a)]
    spelling, meaning = len(pairs), 0
    for same_gap in (True, False):
        for mine in list(work.a):
            for theirs in work.b:
                if same_gap and mine.gap != theirs.gap:
                    continue
                by_meaning = means(mine.token, theirs.token)
                if by_meaning or spelled(mine.token, theirs.token):
                    pairs.append((mine.token, theirs.token))
                    meaning, spelling = meaning + by_meaning, spelling + (not by_meaning)
                    work.a.remove(mine)
                    work.b.remove(theirs)
                    break
    return pairs, meaning, spelling


def _one(work: _Work, a: Sequence[Token], b: Sequence[Token]) -> None:
    """«one» is a word on its own often enough: it stands for a 1 on the other side."""
    for side, other in ((work.a, b), (work.b, a)):
        if any(token.text == "one" for token in other):
            side[:] = [word for word in side if not (word.token.kind == "number" and word.token.key == "1")]


def compare(asked: str, stored: str) -> Compared:
    """Both questions side by side, the same whichever is asked. Linear in the length of long texts."""
    first, second = sorted((asked, stored))
    return _compare(first, second)


def _compare(first: str, second: str) -> Compared:
    a, b = tokens(first), tokens(second)
    work, shared = _gaps([t for t in a if t.content], [t for t in b if t.content])
    moved = _cancel_moved(work)
    _one(work, a, b)
    pairs, meaning, spelling = _explain(work)
    matched = shared + moved + len(pairs)
    total = matched + max(len(work.a), len(work.b))
    return Compared(
        a=a,
        b=b,
        left_a=tuple(work.a),
        left_b=tuple(work.b),
        shared=shared,
        moved=moved,
        by_synonym=meaning,
        by_spelling=spelling,
        pairs=tuple(pairs),
        unexplained=max(len({word.token.key for word in side}) for side in (work.a, work.b)),
        overlap=matched / total if total else 1.0,
    )
