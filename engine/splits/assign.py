"""Who is on which arm, and what that changes. Pure: a request's arm follows from its ids and the settings alone.

The unit interval is cut into one sector per arm. An arm fills its own sector from the front and takes what it
needs beyond that from the backs of the others; the rest is control. So, while no share exceeds its sector,
changing one moves exactly that many requests, between its arm and control; nobody goes from one arm to another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from configs.kernel import Principal
from configs.splits import CONTROL, Arm, Experiment
from engine.types import Decision, Leg, Request

Part = tuple[float, float]
BITS = 53
"""Of the digest: what a float holds exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The arm that a request belongs to. ``arm`` is ``None`` in the control group."""

    experiment: str
    arm: Arm | None

    @property
    def label(self) -> str:
        """``experiment/arm``, as ``Decision.arm`` has it."""
        return f"{self.experiment}/{CONTROL if self.arm is None else self.arm.name}"

    def agent(self, chosen: str) -> str:
        """Who answers instead of ``chosen``."""
        return chosen if self.arm is None else self.arm.agents.get(chosen, chosen)

    def legs(self, legs: Sequence[Leg], families: Mapping[str, Sequence[str]]) -> tuple[Leg, ...]:
        """The chain with the arm's models; one that then stands there twice stays where it comes first.

        ``families``: instances of the same model, by each of them. They are all replaced.
        """
        named = {} if self.arm is None else self.arm.models
        swap = {member: new for old, new in named.items() for member in families.get(old, (old,))}
        changed = [
            leg if leg.model is None else replace(leg, model=swap.get(leg.model, leg.model)) for leg in legs
        ]
        return tuple(dict.fromkeys(changed))

    def applied(self, decision: Decision, families: Mapping[str, Sequence[str]]) -> Decision:
        """The decision with the arm's models and its label; ``agent`` is asked before the chain is made."""
        return replace(decision, legs=self.legs(decision.legs, families), arm=self.label)


def place(
    experiments: Sequence[Experiment],
    halted: Mapping[str, Collection[str]],
    ages_s: Mapping[str, float],
    request: Request,
    chosen: tuple[str, Collection[str | None]],
) -> Placement | None:
    """The first experiment that could change something for this request, and its arm there.

    ``halted``: experiment → arms without traffic. ``ages_s``: seconds since each began; one that is missing is not
    known yet, so everybody is in its control group. ``chosen``: agent and models of its chain. What the caller
    asked for by name is nobody's to replace.
    """
    agent, models = "" if request.agent is not None else chosen[0], () if request.models else chosen[1]
    for experiment in experiments:
        if experiment.enabled and _concerns(experiment, agent, models):
            age_s = ages_s.get(experiment.name)
            if age_s is None:
                return Placement(experiment=experiment.name, arm=None)
            shares = effective_shares(experiment, age_s, halted.get(experiment.name, ()))
            index = arm_at(shares, point_of(experiment, identity_of(experiment, request)))
            return Placement(experiment=experiment.name, arm=None if index is None else experiment.arms[index])
    return None


def identity_of(experiment: Experiment, request: Request) -> tuple[str, ...]:
    """Whose requests stay together."""
    principal: Principal = request.principal
    match experiment.by:
        case "user":
            return (principal.tenant_id, principal.user_id)
        case "tenant":
            return (principal.tenant_id,)
        case "request":
            return (request.id,)


def point_of(experiment: Experiment, identity: Sequence[str]) -> float:
    """Where an identity lies in [0, 1): uniform, and independent from one experiment or salt to another."""
    sha = hashlib.sha256()
    for field in (experiment.name, experiment.salt, experiment.by, *identity):
        data = field.encode()
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return (int.from_bytes(sha.digest()[:8], "big") >> (64 - BITS)) / (1 << BITS)


def effective_shares(experiment: Experiment, age_s: float, halted: Collection[str]) -> tuple[float, ...]:
    """Share of each arm at this age; 0 for one without traffic."""
    return tuple(0.0 if arm.name in halted else share_at(arm, age_s) for arm in experiment.arms)


def share_at(arm: Arm, age_s: float) -> float:
    """Share of one arm, by its rollout."""
    return next((step.share for step in arm.rollout if age_s < step.until_s), arm.share)


def arm_at(shares: Sequence[float], point: float) -> int | None:
    """Index of the arm that ``point`` belongs to; ``None``: control."""
    for index, parts in enumerate(layout(shares)):
        if any(start <= point < end for start, end in parts):
            return index
    return None


def layout(shares: Sequence[float]) -> list[list[Part]]:
    """Parts of [0, 1) by arm; disjoint, each arm's as long as its share. The shares sum to at most 1."""
    count = len(shares)
    width = 1.0 / count
    own = [min(share, width) for share in shares]
    parts = [[(index * width, index * width + size)] for index, size in enumerate(own)]
    backs = [(index + 1) * width for index in range(count)]
    for index, share in enumerate(shares):
        missing = share - own[index]
        for other in range(count):
            room = backs[other] - (other * width + own[other])
            taken = min(missing, room)
            if taken > 0.0:
                parts[index].append((backs[other] - taken, backs[other]))
                backs[other] -= taken
                missing -= taken
    return parts


def _concerns(experiment: Experiment, agent: str, models: Collection[str | None]) -> bool:
    return any(agent in arm.agents or not arm.models.keys().isdisjoint(models) for arm in experiment.arms)
