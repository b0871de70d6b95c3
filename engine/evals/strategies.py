"""What the strategy policy comes to: ``docs/strategies.md``, from its settings and a count of development rows.

``python -m engine.evals.strategies > docs/strategies.md``; with ``--measure`` the rows are counted again first,
which needs the evaluation folder. Only counts are kept, no rows. A test fails when the page differs from this.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, cast

from configs.load import load_settings
from configs.routing import StrategySettings
from configs.settings import Settings
from engine.routing.policy import LEVELS, Prospect, best, prospects, reach
from engine.types import Complexity, Strategy

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "strategies.md"
COUNTS: Final = Path(__file__).resolve().parents[2] / "benchmarks" / "strategy_counts.json"
EDGES: Final = (0.5, 0.65, 0.8, 0.9, 0.97)
"""Between the bands of confidence."""
Cell = Mapping[str, float]
"""Rows of one band and level: how many, and the sums of confidence, margin, right choices, right among three."""
Cells = Mapping[str, Cell]


def page(settings: StrategySettings, cells: Cells) -> str:
    """The page as Markdown."""
    return "\n".join([*_introduction(settings), *_break_evens(settings), *_bands(settings, cells)]) + "\n"


def turning_point(level: Complexity, settings: StrategySettings) -> float | None:
    """Lowest confidence, to the hundredth, from which on ``parallel`` is never wanted, when two share all belief.

    ``None``: it is wanted nowhere.
    """
    wanted = [
        step
        for step in range(50, 101)
        if best(_at(step / 100.0, step / 50.0 - 1.0, level, settings)) == "parallel"
    ]
    return (max(wanted) + 1) / 100.0 if wanted else None


def measure(settings: Settings) -> Cells:
    """Count the development rows by band and level, as the shipped router and complexity head see them.

    Raises ``ConfigError`` without the evaluation folder, ``ModelFileError``, ``ArtifactRefused``.
    """
    from engine.evals.data import eval_folder, task_rows  # noqa: PLC0415 - the page itself needs no model
    from engine.routing.complexity import level, load_complexity  # noqa: PLC0415 - the same
    from engine.routing.decide import match  # noqa: PLC0415 - the same
    from engine.routing.encoder import load_encoder  # noqa: PLC0415 - the same
    from engine.routing.select import rank  # noqa: PLC0415 - the same
    from engine.routing.shipped import bind_artifact, load_head  # noqa: PLC0415 - the same
    from engine.routing.table import anchor_texts, profile, stack  # noqa: PLC0415 - the same

    encoder, head, routing = load_encoder(settings.encoder), load_complexity(), settings.routing
    profiles = [profile(a, encoder.encode(anchor_texts(a, routing)), routing) for a in settings.agents]
    table = stack(profiles, routing.general_agent)
    trained = bind_artifact(table, load_head(settings))
    cells: dict[str, dict[str, float]] = {}
    for row in task_rows(eval_folder(None)):
        reading = encoder.read(row.text)
        ranking = rank(match(table, reading, row.text, routing, head=trained), {}, routing)
        sure = ranking.confidence
        found = level(head.judge(reading.vector[None, :], [row.text])[0])
        cell = cells.setdefault(f"{bisect_right(EDGES, sure)} {found}", dict.fromkeys(_COUNTED, 0.0))
        first = [candidate.agent for candidate in ranking.candidates[:3]]
        values = (1.0, sure, ranking.margin, float(first[0] == row.agent), float(row.agent in first))
        for name, value in zip(_COUNTED, values, strict=True):
            cell[name] = round(cell[name] + value, 6)
    return dict(sorted(cells.items()))


_COUNTED: Final = ("rows", "confidence", "margin", "right", "among_three")


def _at(confidence: float, margin: float, level: Complexity, s: StrategySettings) -> Mapping[Strategy, Prospect]:
    return prospects(confidence, margin, tuple(float(name == level) for name in LEVELS), s)


def _introduction(s: StrategySettings) -> Iterator[str]:
    yield "# Which strategy a request gets\n"
    yield "Written by `python -m engine.evals.strategies > docs/strategies.md`; do not edit.\n"
    yield (
        "Sure of the agent: one answer (single). Unsure, or two agents equally likely: three agents compete\n"
        "(parallel). Work that one answer rarely gets right: draft, refine, polish (cascade). No specialist:\n"
        "the general agent, alone. Where the lines run follows from what each strategy costs and how often its\n"
        "answer is good: `engine/routing/policy.py` computes both for every request and takes the\n"
        f"strategy with the highest worth, {s.answer_worth:g} × quality - cost, in multiples of one answer.\n"
    )
    yield "This release runs `single`; the record says what was wanted (`decision.wanted`).\n"
    yield "## Assumptions\n"
    yield "Settings under `strategies`; replace them when your own history says better.\n"
    yield from _table(
        ("", *LEVELS),
        (
            ("one answer of the right agent is good", *(_share(getattr(s.good, name)) for name in LEVELS)),
            ("after three steps", *(_share(getattr(s.refined, name)) for name in LEVELS)),
        ),
    )
    yield (
        f"\nAn answer of another agent is good with {_share(s.misrouted)}; of three answers the best is found\n"
        f"with {_share(s.judged)}; three agents cost {s.parallel_cost:g} answers, three steps {s.cascade_cost:g}. "
        "The third agent is taken to be as likely\nas the second.\n"
    )


def _break_evens(s: StrategySettings) -> Iterator[str]:
    yield "## Where the lines run\n"
    yield "When two agents share all belief: `parallel` below this confidence, and what is wanted from there on.\n"
    rows: list[tuple[str, ...]] = []
    for level in LEVELS:
        turn = turning_point(level, s)
        rows.append((level, "never" if turn is None else f"{turn:.2f}", best(_at(1.0, 1.0, level, s))))
    yield from _table(("work", "parallel below", "above"), rows)
    worths = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0)
    yield "\nThe same for other values of a good answer (`strategies.answer_worth`):\n"
    others: list[tuple[str, ...]] = []
    for worth in worths:
        changed = s.model_copy(update={"answer_worth": worth})
        turns = [turning_point(level, changed) for level in LEVELS]
        above = [best(_at(1.0, 1.0, level, changed)) for level in LEVELS]
        said = [
            f"{name} always" if t is None else f"parallel below {t:.2f}, then {name}"
            for t, name in zip(turns, above, strict=True)
        ]
        others.append((f"{worth:g}", *said))
    yield from _table(("worth", *LEVELS), others)


def _bands(s: StrategySettings, cells: Cells) -> Iterator[str]:
    total = sum(cell["rows"] for cell in cells.values())
    yield "\n## What it comes to\n"
    yield (
        f"{total:.0f} development rows of `task_routing`, routed and judged as shipped: by the agents' texts and\n"
        "the trained heads. Right: the first agent is the one of the label. Among three: it is one\n"
        "of the first three, beside what the policy expects of the two leading confidences. Strategy, quality\n"
        "and cost are those of a request in the middle of its band; out of scope (single) is not shown apart.\n"
    )
    rows: list[tuple[str, ...]] = []
    shares: dict[Strategy, float] = {}
    cost = quality = alone = 0.0
    for key, cell in cells.items():
        band, _, name = key.partition(" ")
        level = LEVELS[LEVELS.index(cast("Complexity", name))]
        n = cell["rows"]
        sure, margin = cell["confidence"] / n, cell["margin"] / n
        found = _at(sure, margin, level, s)
        wanted = best(found)
        shares[wanted] = shares.get(wanted, 0.0) + n / total
        cost += found[wanted].cost * n / total
        quality += found[wanted].quality * n / total
        alone += found["single"].quality * n / total
        rows.append(
            (
                *(_band(int(band)), name, _percent(n / total), _share(cell["right"] / n)),
                f"{_share(cell['among_three'] / n)} / {_share(reach(sure, margin))}",
                *(f"**{wanted}**", f"{found[wanted].cost:g}"),
                f"{_share(found[wanted].quality)} ({_share(found['single'].quality)})",
            )
        )
    head = ("confidence", "work", "traffic", "right", "among three", "strategy", "cost", "quality (if single)")
    yield from _table(head, rows)
    said = ", ".join(f"{name} {_percent(shares[name])}" for name in sorted(shares))
    yield (
        f"\nIn all: {said}; {cost:.2f} answers a request and expected quality {_share(quality)},\n"
        f"against 1 answer and {_share(alone)} when one agent always answers alone."
    )


def _band(place: int) -> str:
    bounds = (0.0, *EDGES, 1.0)
    return f"{bounds[place]:g} to {bounds[place + 1]:g}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = tuple(head)
    for line in (names, ("---",) * len(names), *rows):
        yield f"| {' | '.join(line)} |"


def _share(value: float) -> str:
    return f"{value:.2f}"


def _percent(value: float) -> str:
    return f"{100.0 * value:.1f} %"


def main() -> None:
    """Print the page; with ``--measure``, count first."""
    settings = load_settings(environ={})
    if "--measure" in sys.argv[1:]:
        COUNTS.write_text(json.dumps(measure(settings), indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(page(settings.strategies, json.loads(COUNTS.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
