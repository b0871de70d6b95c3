"""``eval router``: how often a question reaches the agent it belongs to (route.quality).

Runs the shipped code and the shipped agents; nothing is fitted. Figures of trained heads are not here because no
head is trained yet: they are named as missing, not filled in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from configs.settings import Settings
from engine.bench.report import Report, report
from engine.evals.data import TaskRow, eval_folder, task_rows
from engine.routing.decide import match
from engine.routing.encoder import MiniLm, load_encoder
from engine.routing.select import rank
from engine.routing.table import AgentTable, anchor_texts, profile, stack

BINS: Final = 15
NOT_BUILT: Final = (
    "task_routing.10shot.accuracy",
    "task_routing.full.accuracy",
    "clinc150.full.{accuracy,oos_f1,overall}",
    "clinc150.10shot.overall",
    "banking77.{10shot,full}.accuracy",
    "complexity.macro_f1",
)
OnDone = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One row after routing."""

    row: TaskRow
    chosen: str
    confidence: float

    @property
    def right(self) -> bool:
        """Whether the question reached its agent."""
        return self.chosen == self.row.agent


def evaluate(
    settings: Settings,
    *,
    test_dir: Path | None = None,
    train_dir: Path | None = None,
    on_done: OnDone | None = None,
) -> Report:
    """Zero-shot figures on ``test_dir`` (default: the evaluation folder).

    ``task_routing.{zero_shot,authored}.accuracy``, ``task_routing.zero_shot.recall.<agent>``, ``calibration.ece``,
    and what users receive under ``shipped.``: the same, for nothing is fitted. ``notes`` has the confusions and
    says what was not measured. Rows of ``train_dir`` are not used.

    Raises ``ConfigError`` for data that is absent or broken, ``ModelFileError``.
    """
    unused = () if train_dir is None else (f"not used, nothing is fitted yet: {eval_folder(train_dir)}",)
    rows = task_rows(eval_folder(test_dir))
    encoder = load_encoder(settings.encoder)
    table = agent_table(settings, encoder)
    scored: list[Scored] = []
    for done, row in enumerate(rows, 1):
        ranking = rank(match(table, encoder.read(row.text), row.text, settings.routing), {}, settings.routing)
        scored.append(Scored(row=row, chosen=ranking.agent, confidence=ranking.confidence))
        if on_done is not None:
            on_done(done, len(rows))
    missing = f"not built yet: {', '.join(NOT_BUILT)}"
    return report("router", figures(scored), notes=(*confusions(scored), *unused, missing))


def agent_table(settings: Settings, encoder: MiniLm) -> AgentTable:
    """The table of the configured agents."""
    routing = settings.routing
    profiles = [profile(a, encoder.encode(anchor_texts(a, routing)), routing) for a in settings.agents]
    return stack(0, profiles, routing.general_agent)


def figures(scored: Sequence[Scored]) -> dict[str, float]:
    """Figures by name; a slice without rows has no figure."""
    found = {"task_routing.zero_shot.accuracy": _share(scored)}
    authored = [s for s in scored if s.row.origin == "authored"]
    if authored:
        found["task_routing.authored.accuracy"] = _share(authored)
    found |= {f"shipped.{name}": value for name, value in found.items()}
    by_agent = sorted(scored, key=lambda s: s.row.agent)
    for agent, group in groupby(by_agent, key=lambda s: s.row.agent):
        found[f"task_routing.zero_shot.recall.{agent}"] = _share(list(group))
    found["calibration.ece"] = calibration_error(scored)
    return found


def calibration_error(scored: Sequence[Scored]) -> float:
    """Expected calibration error over 15 equal bins of confidence (Guo et al. 2017)."""
    bins: dict[int, list[Scored]] = {}
    for each in scored:
        bins.setdefault(min(int(each.confidence * BINS), BINS - 1), []).append(each)
    gaps = (abs(sum(s.confidence for s in group) - sum(s.right for s in group)) for group in bins.values())
    return sum(gaps) / len(scored)


def confusions(scored: Sequence[Scored]) -> tuple[str, ...]:
    """One line per pair that was mixed up, most frequent first."""
    pairs = Counter((s.row.agent, s.chosen) for s in scored if not s.right)
    ordered = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(f"{count:4d} × {wanted} → {chosen}" for (wanted, chosen), count in ordered)


def _share(scored: Sequence[Scored]) -> float:
    return sum(s.right for s in scored) / len(scored)
