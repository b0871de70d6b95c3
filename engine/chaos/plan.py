"""The plan of a rehearsal: what load, which faults when, what must still hold. YAML in, frozen records out.

No I/O but reading the one file. What is wrong is said all at once, with line, key, value and what is allowed.
Whether models and providers exist is checked against the settings that the plan runs on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError, model_validator

from configs.errors import ConfigError, Problem
from configs.files import read_text
from configs.layers import dotted, nearest
from configs.redact import shown
from configs.section import Name, Section, Share
from configs.settings import Settings
from configs.yaml_tree import KeyPath, Tree, parse_yaml
from engine.chaos.faults import FAULTS, WELL
from engine.chaos.proxy import Direction, Toxics

STORES = ("redis.cache", "redis.state")
Seconds = Annotated[float, Field(ge=0.0)]


class Load(Section):
    """What is asked, how often and by how many at once."""

    requests: PositiveInt
    concurrency: PositiveInt
    """Requests under way at once; further ones wait, and their waiting counts as latency."""
    rate: PositiveFloat | None = None
    """Requests that arrive per second; ``None``: the next as soon as one is done."""
    prompts: Annotated[tuple[str, ...], Field(min_length=1)]
    """Drawn at random, by the plan's seed."""
    agent: Name | None = None
    """Who is asked; ``None`` lets the router choose."""
    cache: Literal["off", "default"] = "off"
    """``default`` lets the exact cache answer repeated prompts, from a store of the rehearsal's own."""
    deadline_s: PositiveFloat | None = None


class Well(Section):
    """How every scripted model answers while nothing is wrong with it."""

    reply: Annotated[str, Field(min_length=1)] = "All is well."
    first_token_s: Seconds = 0.0
    pace_s: Seconds = 0.0
    """Between two words."""


class Network(Section):
    """What is wrong below the protocol; nothing set means nothing is wrong."""

    down: bool = False
    """Connections are refused, open ones dropped."""
    direction: Direction = "both"
    """``up``: towards the server."""
    latency_s: Seconds = 0.0
    jitter_s: Seconds = 0.0
    bandwidth: Seconds = 0.0
    """Bytes per second."""
    slice_bytes: Annotated[int, Field(ge=0)] = 0
    limit_bytes: Annotated[int, Field(ge=0)] = 0
    swallow: bool = False
    reset: bool = False
    slow_close_s: Seconds = 0.0

    @property
    def toxics(self) -> Toxics:
        """The same for the proxy."""
        return Toxics(**self.model_dump(exclude={"down", "direction"}))

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return self == Network()

    @property
    def what(self) -> str:
        """What is wrong, as in ``latency_s 0.2, reset``."""
        given = self.model_dump(exclude_defaults=True)
        return ", ".join(key if value is True else f"{key} {value}" for key, value in given.items()) or "well"


class Step(Section):
    """One change: when, for whom, and what is wrong from then on (``fault: well``, ``network: {}``: nothing)."""

    at_s: Seconds | None = None
    """Seconds after the first request."""
    after_requests: Annotated[int, Field(ge=0)] | None = None
    """When this many requests have been offered."""
    model: Name | None = None
    provider: Name | None = None
    """All its models, as they share an address."""
    store: Literal["redis.cache", "redis.state"] | None = None
    fault: str | None = None
    """A name that ``switchgear chaos --list`` shows."""
    seconds: Seconds | None = None
    share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Share of the requests that meet the fault, drawn by the plan's seed; ``None``: all."""
    network: Network | None = None

    @model_validator(mode="after")
    def _complete(self) -> Step:
        _one_of(self, "at_s", "after_requests")
        _one_of(self, "model", "provider", "store")
        _one_of(self, "fault", "network")
        if self.fault is not None:
            if self.store is not None:
                raise ValueError("a store has no `fault`, only a `network`")
            if self.fault not in FAULTS:
                raise ValueError(
                    f"unknown fault {shown('fault', self.fault)}; {nearest(self.fault, list(FAULTS))}"
                )
            if FAULTS[self.fault].timed and not self.seconds:
                raise ValueError(f"fault {self.fault!r} needs `seconds` above 0")
        if self.network is not None and self.model is not None:
            raise ValueError("a `network` belongs to a `provider` or a `store`: models of a provider share one")
        return self

    @property
    def subject(self) -> str:
        """Whom it concerns, as in ``model gpt-6-luna``."""
        kinds = {"model": self.model, "provider": self.provider, "store": self.store}
        return next(f"{kind} {name}" for kind, name in kinds.items() if name is not None)

    @property
    def ends_it(self) -> bool:
        """Whether nothing is wrong with the subject from then on."""
        return self.fault == WELL or (self.network is not None and self.network.is_well)

    @property
    def what(self) -> str:
        """The change in a few words."""
        if self.network is not None:
            return f"network: {self.network.what}"
        took = "" if self.seconds is None else f" {self.seconds:g} s"
        share = "" if self.share is None else f" for {self.share:.0%}"
        return f"{self.fault}{took}{share}"


class Expect(Section):
    """What must hold; what is not set is not judged."""

    success_rate_min: Share | None = None
    """Answers, degraded ones included, as a share of the requests."""
    p95_ms_max: PositiveFloat | None = None
    """Of all answers."""
    wasted_calls_max: Annotated[int, Field(ge=0)] | None = None
    """Calls of a model that gave no answer, over all models."""
    amplification_max: PositiveFloat | None = None
    """Calls that reached a provider, per request that was not answered from the cache."""
    opens_min: Annotated[int, Field(ge=0)] | None = None
    """How often a breaker opened."""
    opens_max: Annotated[int, Field(ge=0)] | None = None
    recovered_within_s: PositiveFloat | None = None
    """From the last end of a fault until whoever had it was used again with success."""


class Plan(Section):
    """One rehearsal."""

    name: Annotated[str, Field(min_length=1)]
    seed: Annotated[int, Field(ge=0)]
    profile: Name | None = None
    """``None``: as configured."""
    settings: dict[str, object] = Field(default={})
    """Laid over the user's configuration, for this rehearsal only."""
    load: Load
    well: Well = Well()
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    expect: Expect = Expect()


def read_plan(path: Path) -> Plan:
    """The plan in a YAML file. Raises ``ConfigError`` with every problem found."""
    return parse_plan(read_text(path, str(path)), str(path))


def parse_plan(text: str, source: str) -> Plan:
    """The plan in a YAML text. Raises ``ConfigError`` with every problem found."""
    tree, problems = parse_yaml(text, source)
    if not problems:
        try:
            return Plan.model_validate_json(json.dumps(tree.values), strict=True)
        except ValidationError as exc:
            problems = list(_problems(exc, tree, source))
    raise ConfigError.of(problems)


def check_plan(plan: Plan, settings: Settings) -> None:
    """Whether everything that the plan names is there to be broken. Raises ``ConfigError``."""
    models = routed_models(settings)
    known: Mapping[str, tuple[str, ...]] = {
        "model": models,
        "provider": tuple(sorted({settings.models[m].provider for m in models})),
    }
    problems: list[Problem] = []
    for number, step in enumerate(plan.steps):
        for kind, names in known.items():
            name = getattr(step, kind)
            if name is not None and name not in names:
                reason = f"no role uses {kind} {shown(kind, name)}; {nearest(name, names)}"
                problems.append(Problem(where=plan.name, key=f"steps[{number}].{kind}", reason=reason))
    agents = tuple(agent.name for agent in settings.agents)
    if plan.load.agent is not None and plan.load.agent not in agents:
        reason = f"unknown agent {shown('agent', plan.load.agent)}; {nearest(plan.load.agent, agents)}"
        problems.append(Problem(where=plan.name, key="load.agent", reason=reason))
    if problems:
        raise ConfigError.of(problems)


def routed_models(settings: Settings) -> tuple[str, ...]:
    """Ids of the models that some role may ask, sorted; the last resort included."""
    used = {model for chain in settings.roles.values() for model in chain}
    last = settings.chain.last_resort
    return tuple(sorted(used | ({last} if last is not None else set())))


def _one_of(step: Step, *names: str) -> None:
    given = [name for name in names if getattr(step, name) is not None]
    if len(given) != 1:
        raise ValueError(f"exactly one of {', '.join(names)} is needed; got {', '.join(given) or 'none'}")


def _problems(exc: ValidationError, tree: Tree, source: str) -> Iterator[Problem]:
    for error in exc.errors(include_url=False, include_context=True):
        path: KeyPath = tuple(error["loc"])
        reason = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            reason = f"unknown key; {nearest(str(path[-1]), _keys_at(path[:-1]))}"
        elif error["type"] not in ("missing", "value_error"):
            reason += f"; got {shown(str(path[-1]) if path else '', error['input'])}"
        line = next((tree.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in tree.lines), 1)
        yield Problem(where=f"{source}, line {line}", key=dotted(path), reason=reason)


def _keys_at(path: KeyPath) -> tuple[str, ...]:
    """The keys that may stand in the mapping at ``path``."""
    sections: Mapping[str, type[Section]] = {
        "load": Load,
        "well": Well,
        "steps": Step,
        "network": Network,
        "expect": Expect,
    }
    names = [part for part in path if isinstance(part, str)]
    return tuple((sections.get(names[-1], Plan) if names else Plan).model_fields)
