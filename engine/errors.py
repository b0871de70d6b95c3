"""Every error a caller of the engine can meet, one tree, stable codes.

::

    SwitchgearError                    configs.errors: code, message, hint
    ├── ConfigError                    configs.errors: the operator must act
    ├── InvalidInput                   the caller must change the request
    │   ├── HandlerElsewhere           …a name: an agent whose Python handler runs on another replica
    │   ├── UnknownName                …a name: agent, model, profile; carries the nearest known one
    │   └── TrainingRefused            rows, folder or extra of `switchgear train`; its code says which
    ├── NotBuilt                       the parameter is real, this release refuses it by name
    ├── NoAgentFits                    every agent is ruled out by a constraint of the request; carries each reason
    ├── AllRoutesUnavailable           no route answered; carries every reason and the smallest retry-after (F5)
    ├── AnswerInterrupted              a stream broke after its first token was shown (F4)
    ├── RejectedByModel                the model refused this request: bad parameters, or its content policy
    ├── DeadlineExceeded               the request's own time ran out
    ├── RequestQueued                  no answer now, a ticket instead: on_unavailable="queue" (run.queue)
    ├── QueueFull                      the queue is full of tickets of this priority or higher
    ├── UnknownTicket                  there is no such ticket, or it is no longer kept
    ├── TooDeep                        a handler asked its own engine too many times over (F9)
    ├── EngineClosed                   execute() outside ``async with``
    ├── BackendUnavailable             memory.errors: an embedded or real store cannot be reached
    ├── CallFailed, AgentNotUsable     agents.errors
    ├── ModelFileError                 the encoder's model or tokenizer is missing or not the file it should be
    ├── ArtifactRefused                a trained router that is damaged, foreign or made for another encoder
    ├── HistoryRefused                 the history database, its key or its policy does not allow what was asked
    ├── EmbeddingInvalid               the encoder gave NaN, zeros or a wrong shape (fault 45)
    └── BenchFailed                    what was to be measured did not happen
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from configs.errors import SwitchgearError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.ticket import Ticket
    from engine.types import Attempt


NAME_CHARS = 256
"""As much of an unknown name as is compared and shown: no known name is longer."""
REASONS_SHOWN = 8
"""So many agents are named in the message; ``reasons`` has all."""


class InvalidInput(SwitchgearError):
    """The request itself is wrong. Costs nothing and is never retried."""

    code = "invalid_input"


class UnknownName(InvalidInput):
    """A name that nothing here answers to."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        choices = sorted(known)
        name = name[:NAME_CHARS]  # before it is compared: that takes time with its length
        near = get_close_matches(name, choices, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(choices) or 'none'}"
        super().__init__(f"unknown {kind} {name!r}", hint=hint, code=f"unknown_{kind}")


class TrainingRefused(InvalidInput):
    """Nothing can be trained from this, or written there. ``code`` says what it is about."""

    code = "train_refused"


class HandlerElsewhere(InvalidInput):
    """An agent asked for by name is a Python handler of another replica, which this process cannot run."""

    code = "handler_elsewhere"

    def __init__(self, name: str, replica: str) -> None:
        self.replica = replica
        super().__init__(
            f"agent {name!r} is a Python handler of replica {replica}, and handlers stay in their process",
            hint="ask that replica, or register the handler in this process too",
        )


class NotBuilt(SwitchgearError):
    """A parameter or command whose feature this release does not have. Refused rather than ignored."""

    code = "not_built"

    def __init__(self, feature: str, requirement: str) -> None:
        super().__init__(
            f"{feature} is not built yet",
            hint=f"see requirement {requirement} in docs/requirements.yaml; leave it at its default",
        )
        self.feature = feature
        self.requirement = requirement


class NoAgentFits(SwitchgearError):
    """Nobody may answer: tier, data class, region, length or tools rule out every agent (route.score)."""

    code = "no_agent_fits"

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self.reasons = dict(sorted(reasons.items()))
        """Agent → what rules it out."""
        shown = "; ".join(f"{name}: {why}" for name, why in list(self.reasons.items())[:REASONS_SHOWN])
        more = len(self.reasons) - REASONS_SHOWN
        super().__init__(
            f"no agent may answer: {shown}{f'; and {more} more' if more > 0 else ''}",
            hint="change region, data_class or length of the request, or add a model that meets them to roles",
        )


@dataclass(frozen=True, slots=True)
class RouteReason:
    """Why one leg did not answer."""

    agent: str
    model: str | None
    outcome: str
    reason: str


class AllRoutesUnavailable(SwitchgearError):
    """Every leg of the chain failed or was refused (F5)."""

    code = "all_routes_unavailable"

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        tried = tuple(attempts)
        self.attempts = tried
        self.reasons = tuple(
            RouteReason(a.agent, a.model, a.outcome.value, a.error or a.outcome.value) for a in tried
        )
        waits = [a.retry_after_s for a in tried if a.retry_after_s is not None]
        self.retry_after_s: float | None = min(waits) if waits else None
        lines = "; ".join(f"{r.agent}/{r.model or 'handler'}: {r.reason}" for r in self.reasons)
        wait = f"retry in {self.retry_after_s:.0f} s; " if self.retry_after_s is not None else ""
        super().__init__(
            f"no route could answer: {lines or 'the chain is empty'}",
            hint=f"{wait}`switchgear doctor` shows what is reachable",
        )


class AnswerInterrupted(SwitchgearError):
    """A stream broke after text had been shown; the text so far is in ``partial`` and is never spliced (F4)."""

    code = "answer_interrupted"

    def __init__(self, partial: str, attempts: Iterable[Attempt]) -> None:
        self.partial = partial
        self.attempts = tuple(attempts)
        reason = self.attempts[-1].error if self.attempts else "unknown"
        super().__init__(f"the answer broke off after {len(partial)} characters: {reason}", hint="ask again")


class RejectedByModel(SwitchgearError):
    """The provider would not answer this request, and another route would say the same."""

    code = "rejected_by_model"

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        self.attempts = tuple(attempts)
        last = self.attempts[-1]
        super().__init__(
            f"{last.model or last.agent} rejected the request: {last.error}", hint="change the request"
        )


class DeadlineExceeded(SwitchgearError):
    """The request's own deadline passed before an answer was complete."""

    code = "deadline_exceeded"


class RequestQueued(SwitchgearError):
    """No route could answer now, and the caller wanted to wait: the ticket is what it polls (run.queue)."""

    code = "request_queued"

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        super().__init__(
            f"no route could answer now; the request waits as ticket {ticket.id}",
            hint="ask for it with `engine.ticket(id)` or `switchgear queue show ID`",
        )


class QueueFull(SwitchgearError):
    """The request was not queued: nothing of lower priority waits that could make room."""

    code = "queue_full"

    def __init__(self, length: int, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(
            f"the queue is full: {length} requests of this priority or higher",
            hint=f"retry in {retry_after_s:.0f} s, or raise queue.length_max",
        )


class UnknownTicket(SwitchgearError):
    """Nobody has this ticket: it never existed, or it is older than the settings keep it."""

    code = "unknown_ticket"

    def __init__(self, ticket_id: str) -> None:
        super().__init__(
            f"there is no ticket {ticket_id[:NAME_CHARS]!r}", hint="`switchgear queue list` shows those there are"
        )


class TooDeep(SwitchgearError):
    """A handler asked its own engine, whose handler asked it again, and so on (F9)."""

    code = "too_deep"

    def __init__(self, depth_max: int) -> None:
        super().__init__(
            f"requests are nested more than {depth_max} deep",
            hint="an agent asks itself in a circle; chain.depth_max allows more",
        )


class EngineClosed(SwitchgearError):
    """The engine is not open."""

    code = "engine_closed"


class ModelFileError(SwitchgearError):
    """A file the encoder needs is missing, unreadable or not the file it should be (fault 44)."""

    code = "model_file"


class ArtifactRefused(SwitchgearError):
    """A trained router that may not be used; the one before it stays. ``code`` says what is wrong."""

    code = "artifact_refused"


class HistoryRefused(SwitchgearError):
    """History cannot be used for this; ``code``: ``history_newer``, ``history_key`` or ``history_content``."""

    code = "history_refused"


class EmbeddingInvalid(SwitchgearError):
    """The encoder produced a vector nobody may compare or store (fault 45)."""

    code = "embedding_invalid"


class BenchFailed(SwitchgearError):
    """What a benchmark wanted to measure did not happen, so there is no figure."""

    code = "bench_failed"
