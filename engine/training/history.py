"""The engine's own history as rows to train from: questions that the chosen agent answered (`--from-history`).

Its labels are the router's own choices by fit, less those that failed: it makes a router surer of what it does,
and what nobody noticed to be wrong it learns too. Rows that were explored, that an experiment changed, or that
another agent answered than the chosen one (a fallback, probation) teach nothing and are left out. Not the reading
of the database (``engine/history``).
"""

from __future__ import annotations

from collections.abc import Iterator

from configs.history import HistorySettings
from configs.routing import TrainSettings
from engine.errors import HistoryRefused
from engine.history.contract import History, HistoryQuery
from engine.history.labelled import labelled
from engine.training.source import NoHistory, Row, RowSource


class HistoryRows:
    """``RowSource`` over ``History``: what ended before ``until_s``, so that two passes read the same."""

    name = "history"

    def __init__(self, history: History, settings: HistorySettings, train: TrainSettings, until_s: float) -> None:
        self._history = history
        self._settings = settings
        self._chars_max = train.field_chars_max
        self._query = HistoryQuery(until_s=until_s)

    def rows(self) -> Iterator[Row]:
        """See ``RowSource``. Raises ``TrainingRefused`` (train_no_history) when no text is kept."""
        try:
            for each in labelled(self._history, self._settings, self._query):
                if each.ok:
                    text = each.text.replace("\0", " ").encode(errors="replace").decode()
                    yield Row(text=text[: self._chars_max].strip(), label=each.agent)
        except HistoryRefused as exc:
            yield from NoHistory(exc.message).rows()


def history_rows(history: History, settings: HistorySettings, train: TrainSettings, now_s: float) -> RowSource:
    """The rows of ``history`` until shortly before ``now_s``, Unix time, or a source that says why there are none.

    An engine beside this may still be writing the last rows: they wait ``batch_s``, and for a lock ``timeout_s``.
    """
    if not settings.enabled:
        return NoHistory("history.enabled is false")
    return HistoryRows(history, settings, train, now_s - settings.batch_s - settings.timeout_s)
