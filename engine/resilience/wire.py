"""How a step of a shared breaker is asked for and answered: JSON both ways, the other half of ``breaker.lua``.

No connection here and no rules. Numbers keep all their digits, so that both twins compute the same bits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

from configs.settings import BreakerSettings
from engine.contract import BreakerMoved, BreakerState, BreakerView, Permit, Report
from engine.resilience.record import Effect

RULES = (
    *("consecutive_failures", "failure_rate", "slow_rate", "rate_min_calls", "window_s", "window_buckets"),
    *("open_s", "open_s_max", "jitter", "park_s_max", "reprobe_s", "lease_s"),
    *("half_open_probes", "half_open_successes", "ema_alpha", "ema_start"),
    *("dedup_calls", "errors_kept", "events_kept"),
)
"""Settings that decide something inside a step."""
OUTLIVES = 2.0
"""A key lives at least this many times as long as the longest time that a record speaks of (X5)."""


class BadReply(Exception):
    """What came back is nothing that ``breaker.lua`` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A report on its way. ``sample`` in [0, 1) spreads the time that it may lead to."""

    permit: Permit
    result: Report
    sample: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a person wants (B16). A second delivery of the same ``id`` gets the first reply (X3)."""

    id: str
    state: BreakerState
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a replica has known of a breaker so far."""

    base: int
    """The last generation it had from the shared record; 0: none."""
    generation: int
    """The last one it has known; higher than ``base`` when it went on by itself meanwhile."""
    told: int
    """Up to here its listeners have heard everything."""
    view: BreakerView
    opens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One atomic step: count ``reports`` in their order, carry out an order, give leave."""

    subject: str
    seen: Seen | None
    reports: Sequence[Ended] = ()
    acquire: str | None = None
    order: Order | None = None
    released: Sequence[str] = ()
    """Callers that left while asking for leave: whatever they were given, they do not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stands:
    """The breaker after a step, with what the step did. Generation 0: nobody has called this subject yet."""

    view: BreakerView
    opens: int
    effects: tuple[Effect, ...]
    """One for each report."""
    granted: bool | None
    """Whether the caller has leave; ``None`` when nobody asked."""
    why: str
    events: tuple[BreakerMoved, ...]
    """At least all that the replica has not been told, oldest first."""
    now_s: float
    """The server's time."""


def keys_of(subject: str, order: Order | None) -> list[str]:
    """The keys of one subject, in one slot of a cluster (X1). Any text may stand in a subject."""
    tag = "{cb:" + quote(subject, safe="", errors="surrogatepass") + "}"
    keys = [f"{tag}:record", f"{tag}:young", f"{tag}:old", f"{tag}:events"]
    return keys if order is None else [*keys, f"{tag}:order:{quote(order.id, safe='')}"]


def rules_json(rules: BreakerSettings) -> str:
    """The rules as the script wants them, with the time that keys live."""
    numbers = {name: getattr(rules, name) for name in RULES}
    return json.dumps({**numbers, "ttl_s": ttl_s(rules)})


def ttl_s(rules: BreakerSettings) -> int:
    """How long keys live that nobody uses (X5), in seconds."""
    spoken_of_s = max(rules.lease_s, rules.open_s_max, rules.park_s_max, rules.reprobe_s * 2.0, rules.window_s)
    return math.ceil(max(rules.kept_s, OUTLIVES * spoken_of_s))


def request_json(asked: Asked) -> str:
    """What is asked, in one line."""
    request: dict[str, object] = {
        "reports": [_report(ended) for ended in asked.reports],
        "released": [_sound(call_id) for call_id in asked.released],
    }
    if asked.seen is not None:
        request["seen"] = _seen(asked.seen)
    if asked.acquire is not None:
        request["acquire"] = _sound(asked.acquire)
    if (order := asked.order) is not None:
        request["order"] = {
            "state": order.state.value,
            "actor": _sound(order.actor),
            "reason": _sound(order.reason),
        }
    return json.dumps(request, separators=(",", ":"))


def stands_of(subject: str, reply: object) -> Stands:
    """The reply, read. Raises ``BadReply``."""
    try:
        first, *events = cast("list[bytes]", reply)
        said = json.loads(first)
        return Stands(
            view=BreakerView(
                subject=subject,
                state=BreakerState(said["state"]),
                generation=int(said["generation"]),
                consecutive_failures=int(said["failures"]),
                ema_success=float(said["ema"]),
                retry_after_s=_seconds(said),
                reason=said["reason"],
                last_errors=tuple(said["errors"]),
                actor=said["actor"],
            ),
            opens=int(said["opens"]),
            effects=tuple(Effect(effect) for effect in said["effects"]),
            granted=said.get("granted"),
            why=said.get("why", ""),
            events=tuple(event_of(subject, event) for event in events),
            now_s=float(said["now"]),
        )
    except (TypeError, ValueError, KeyError, AttributeError) as exc:
        raise BadReply(f"{type(exc).__name__} while reading a reply") from exc


def event_of(subject: str, event: bytes) -> BreakerMoved:
    """One entry of the event list. Raises what a damaged one leads to; ``stands_of`` translates."""
    said = json.loads(event)
    return BreakerMoved(
        subject=subject,
        generation=int(said["generation"]),
        before=BreakerState(said["before"]),
        after=BreakerState(said["after"]),
        at_s=float(said["at_s"]),
        reason=said["reason"],
        last_errors=tuple(said["last_errors"]),
        retry_after_s=_seconds(said),
        actor=said["actor"],
    )


def _seconds(said: dict[str, Any]) -> float | None:
    text = said.get("retry_after_s")
    return None if text is None else float(text)


def _report(ended: Ended) -> list[object]:
    permit, result = ended.permit, ended.result
    return [
        _sound(permit.call_id),
        permit.generation,
        result.outcome.value,
        _sound(result.reason),
        _wanted(result.retry_after_s),
        result.slow,
        result.may_open,
        ended.sample,
    ]


def _wanted(retry_after_s: float | None) -> float | bool:
    """JSON knows no infinity, and the script has a limit for it anyway; ``False`` is none."""
    if retry_after_s is None or math.isnan(retry_after_s):
        return False
    return min(max(0.0, retry_after_s), 1e300)


def _seen(seen: Seen) -> dict[str, object]:
    view = seen.view
    return {
        "base": seen.base,
        "generation": seen.generation,
        "told": seen.told,
        "state": view.state.value,
        "left_s": view.retry_after_s or 0.0,
        "reason": _sound(view.reason),
        "actor": _sound(view.actor),
        "errors": [_sound(error) for error in view.last_errors],
        "opens": seen.opens,
    }


def _sound(text: str) -> str:
    """Text with every lone surrogate written out, which JSON readers refuse."""
    return text.encode("utf-8", "backslashreplace").decode()
