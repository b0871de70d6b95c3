"""Settings of what makes the engine fail soft: breakers, shields, fallback chains and the queue.

Part of ``configs.settings``, split off for size; defaults live here and in that module only.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from configs.section import Name, Section, Share, at_most


class BreakerSettings(Section):
    """One breaker; the same numbers for agents, models, tools and stores (docs/rules.md, B)."""

    consecutive_failures: PositiveInt = 5
    failure_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    rate_min_calls: PositiveInt = 20
    window_s: PositiveFloat = 60.0
    open_s: PositiveFloat = 60.0
    open_s_max: PositiveFloat = 300.0
    jitter: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    half_open_probes: PositiveInt = 1
    half_open_successes: PositiveInt = 1
    probe_deadline_s: PositiveFloat = 30.0
    lease_s: PositiveFloat = 35.0
    ema_alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    ema_start: Share = 1.0
    park_s_max: PositiveFloat = 300.0
    """Longest time a Retry-After may park a key (fault 13)."""
    reprobe_s: PositiveFloat = 300.0
    """How often a credential without quota or rights, or a missing route, is tried again (±``jitter``)."""
    window_buckets: Annotated[int, Field(ge=1, le=60)] = 12
    """Steps in which ``window_s`` slides: more is smoother and costs memory per subject."""
    dedup_calls: PositiveInt = 256
    """Of this many reports at least, a second delivery is recognised (B6); at most twice as many are kept."""
    errors_kept: PositiveInt = 5
    """Reasons of the latest failures that a change of state carries (B13)."""
    subjects_max: PositiveInt = 10_000
    """Breakers kept in one process; beyond it the oldest quiet one is forgotten."""
    slow_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Opens when this share of at least ``rate_min_calls`` answers were slow (``shield.slow_share``)."""
    ejection_max: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of a role's model chain that may be OPEN at once, one model at least; 1.0 sets no limit. Below it the
    last models keep being asked however badly they do, as in Envoy's ``max_ejection_percent``."""
    shared: bool = True
    """One state for all replicas, in ``redis.state``; without it every process has breakers of its own."""
    view_s: PositiveFloat = 0.1
    """How old a replica's own view of a shared breaker may be to answer from it without asking Redis."""
    events_kept: Annotated[int, Field(gt=0, le=1_000)] = 100
    """Changes of state that a shared breaker remembers, forced ones with who and why (B13, B16)."""
    kept_s: PositiveFloat = 86_400.0
    """How long a shared breaker that nobody uses is remembered, with its history; forced ones for ever."""
    alone_s: PositiveFloat = 5.0
    """A store that was lost is asked again after so long at the latest (±``jitter``); until then the cache misses
    and each replica has breakers of its own."""
    unsent_max: PositiveInt = 200
    """Successes per shared breaker that may wait for the next message to Redis (every half ``view_s``); whoever
    comes after them sends them all and waits. Below ``dedup_calls``, or a message sent twice would count twice."""

    @model_validator(mode="after")
    def _ordered(self) -> BreakerSettings:
        if self.probe_deadline_s >= self.lease_s:
            raise ValueError(
                f"probe_deadline_s ({self.probe_deadline_s}) must be below lease_s ({self.lease_s}), rule B1b"
            )
        if self.unsent_max >= self.dedup_calls:
            raise ValueError(
                f"unsent_max ({self.unsent_max}) must be below dedup_calls ({self.dedup_calls}), rule B6"
            )
        at_most(self, "open_s", "open_s_max")
        return self


class ShieldSettings(Section):
    """Deadlines and retries around one leaf call. The shield is the only owner of retries."""

    connect_s: PositiveFloat = 5.0
    first_token_s: PositiveFloat = 30.0
    idle_s: PositiveFloat = 20.0
    retries: Annotated[int, Field(ge=0, le=5)] = 1
    """Extra tries per route, before the first byte only (F1)."""
    retry_share: Share = 0.2
    """Retries as a share of calls in any ``retry_window_s`` (Finagle's budget)."""
    retry_window_s: PositiveFloat = 10.0
    retry_floor: Annotated[int, Field(ge=0)] = 10
    """Retries allowed per window however few calls there were."""
    backoff_s: PositiveFloat = 0.05
    backoff_s_max: PositiveFloat = 1.0
    close_s: PositiveFloat = 0.05
    """How long a cut call may take to clean up before nobody waits for it any more."""
    read_ahead: PositiveInt = 8
    """Chunks taken from the provider before the reader of the stream asks for them."""
    slow_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    """An answer whose first token used more than this share of its limit was slow (``breaker.slow_rate``)."""
    latency_samples: Annotated[int, Field(ge=20, le=10_000)] = 200
    """First-token times kept per route, for its p50 (F3) and p95 (hedging)."""
    latency_window_s: PositiveFloat = 300.0
    """Older calls say nothing about a route any more."""
    latency_samples_min: PositiveInt = 20
    """Below this many, a route's p50 and p95 count as unknown."""
    hedge: bool = False
    """Ask the next route too when this one is slower than its own p95; the first to produce text wins (F6)."""
    hedge_share: Share = 0.2
    """Second calls as a share of calls in any ``retry_window_s``; ``retry_floor`` holds for them too."""
    hedge_s: PositiveFloat = 0.5
    """When to ask the next route while this one's p95 is unknown."""
    hedge_s_min: PositiveFloat = 0.02

    @model_validator(mode="after")
    def _ordered(self) -> ShieldSettings:
        at_most(self, "backoff_s", "backoff_s_max")
        return self


class LimiterSettings(Section):
    """Concurrent calls per route: a bulkhead that finds its own size (Gradient2, Netflix concurrency-limits)."""

    enabled: bool = True
    start: PositiveInt = 20
    """Calls at once before anything is known about a route."""
    least: PositiveInt = 1
    most: PositiveInt = 200
    restart: PositiveInt = 2
    """Calls at once right after a breaker closed again; doubles with every full round of successes (ramp-up)."""
    tolerance: Annotated[float, Field(ge=1.0, le=10.0)] = 2.0
    """How many times its long-term first-token time a route may take before fewer calls are made."""
    smoothing: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    backoff: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    """What a failure or a throttle leaves of the limit."""
    queue_max: PositiveInt = 256
    """Calls that may wait for a place, per route; the lowest priority is sent away first."""
    wait_s: PositiveFloat = 30.0
    """A call that would wait longer for a place is refused at once; never longer than its deadline."""

    @model_validator(mode="after")
    def _ordered(self) -> LimiterSettings:
        at_most(self, "least", "start")
        at_most(self, "start", "most")
        at_most(self, "restart", "most")
        return self


class ChainSettings(Section):
    """Fallback chains (docs/rules.md, F)."""

    last_resort: Name | None = None
    """Model that answers when every route of a chain is out; ``None``: ``AllRoutesUnavailable`` at once."""
    depth_max: Annotated[int, Field(ge=1, le=10)] = 3
    """How deep a handler may ask its own engine (F9)."""


class QueueSettings(Section):
    """Requests that wait for better times (run.queue)."""

    enabled: bool = True
    length_max: PositiveInt = 10_000
    """Tickets that may wait or be worked on; beyond it low priority is shed first. As many final ones are kept."""
    expiry_s: PositiveInt = 86_400
    """How long a request may wait for its answer; its prompt rests in ``redis.state`` no longer than that."""
    keep_s: PositiveInt = 86_400
    """How long a finished ticket and its answer are kept."""
    request_bytes_max: PositiveInt = 1_048_576
    """A request that is longer than this as JSON is not queued."""
    concurrency: PositiveInt = 2
    """Queued requests one process works on at once."""
    poll_s: PositiveFloat = 0.5
    """How often an idle worker looks for requests that others have queued."""
    lease_s: PositiveFloat = 150.0
    """A request taken by a worker that has died is taken by another after this."""
    stop_s: PositiveFloat = 5.0
    """How long a worker that is stopping tries to give back what is under way; after that its lease has to end."""
    deliveries_max: PositiveInt = 5
    """How many workers may die over one request before it counts as failed for good."""
    retry_s: PositiveFloat = 5.0
    """First pause before a queued request is tried again; doubles up to ``retry_s_max``."""
    retry_s_max: PositiveFloat = 300.0
    webhook_timeout_s: PositiveFloat = 5.0
    webhook_tries: PositiveInt = 5
    """Posts of one result before it is given up; the pauses between them are those of ``retry_s``."""
    webhook_hosts: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = ()
    """Where webhooks may go although it is private, loopback, without TLS or not port 443: `host:port` as the URL
    names it, or `host`, which is only the default port of the URL's scheme."""
    webhook_secret_env: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,127}$")] | None = None
    """Variable that holds the key webhooks are signed with (HMAC-SHA-256); without one they are not signed."""

    @model_validator(mode="after")
    def _ordered(self) -> QueueSettings:
        at_most(self, "retry_s", "retry_s_max")
        return self
