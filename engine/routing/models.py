"""In which order the models of a role are asked for one request (route.models, route.adapt). Pure.

Not the chain of agents (``chain.py``), and not whether a model is refused when its turn comes
(``engine/resilience``). A policy only orders: what leaves the chain does so by a constraint, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from configs.policies import BudgetRule, RolePolicy, zone_of
from configs.ratelimit_headers import RateLimits
from engine.routing.balance import Family, balanced, pick, room
from engine.routing.constraints import Constraints, ModelFacts, unfit
from engine.types import Averages, Complexity


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFact:
    """What is known of one model before anybody asks. Prices in micro-dollars per million tokens, the dearest way
    of billing them.
    """

    can: ModelFacts
    """What it can be used for at all."""
    weight: float
    """Its share of what is divided by weight, relative to the others."""
    input_micros: int = 0
    output_micros: int = 0
    quality: float | None = None
    family: tuple[str, ...] = ()
    """Every instance of this model, itself among them."""
    unusable: str = ""
    """Why it cannot be asked from here at all, as in ``OPENAI_API_KEY is not set``."""


Facts = Mapping[str, ModelFact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One request and its moment. Raises ``ValueError`` for a ``now`` without time zone."""

    now: datetime
    constraints: Constraints
    prompt_tokens: int
    """Estimated."""
    max_tokens: int
    complexity: Complexity | None = None
    needs_tools: bool = False
    turn: int = 0
    """Requests of this role before this one (``round_robin``, and the probes of ``fastest``)."""
    sample: float = 0.0
    """Random, from [0, 1): ``weighted``, and which instance is asked."""
    averages: Mapping[str, Averages] = field(default_factory=dict[str, Averages])
    limits: Mapping[str, RateLimits] = field(default_factory=dict[str, RateLimits])
    """What is left at each model, as far as its provider said."""
    spent: float = 0.0
    """Share of the daily budget that is spent."""

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise ValueError("now must know its time zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """``models`` in the order they are asked; ``why``, a line per decision; ``ruled_out``, model → reason."""

    models: tuple[str, ...]
    why: tuple[str, ...] = ()
    ruled_out: Mapping[str, str] = field(default_factory=dict[str, str])


def order_models(chain: Sequence[str], policy: RolePolicy, facts: Facts, situation: Situation) -> Ordered:
    """``chain`` with its models' instances, in the order of ``policy`` for ``situation``.

    Instances stand side by side at the place of their model and share its traffic by weight, by what is left of
    their limits and by preferred region. Rules of the budget come before those of the time, and those before the
    policy; a model without room for this request goes behind all others. Ties keep the order of ``chain``. Empty
    when constraints rule out everything.
    """
    why: list[str] = []
    rule = _budget_rule(policy, situation)
    allowed, out = _allowed(_families(chain, facts), facts, situation, rule)
    why += [f"{model}: {reason}" for model, reason in out.items()]
    full = _without_room(allowed, situation) if situation.limits else {}
    rank = {m: _region_rank(facts[m], policy) for f in allowed for m in f.members} if policy.regions else {}

    sample = situation.sample
    if policy.policy == "weighted" and allowed:
        first, sample = pick([_weight(f, facts, full) for f in allowed], sample)
        why.append(f"weighted: {allowed[first].name} was drawn")
        allowed = [allowed[first], *(f for f in allowed if f is not allowed[first])]
    shares = {m: facts[m].weight for f in allowed if len(f.members) > 1 for m in f.members}
    families = [balanced(f, shares, situation.limits, full, rank, sample) for f in allowed]
    why += [f"{f.name}: {f.members[0]} of its {len(f.members)} instances" for f in families if len(f.members) > 1]
    families = _by_policy(families, policy, facts, situation, frozenset(full), why)
    families = _at_this_time(families, policy, situation, why)
    if rule is not None:
        families = _first(families, rule.models)
        why.append(f"{situation.spent:.0%} of the daily budget is spent: {_what(rule)}")
    flat = [m for f in families for m in f.members]
    why += [f"{m}: behind the others, {lack}" for m, lack in full.items()]
    models = (*(m for m in flat if m not in full), *(m for m in flat if m in full))
    return Ordered(models=models, why=tuple(why), ruled_out=out)


def _families(chain: Sequence[str], facts: Facts) -> list[Family]:
    families: list[Family] = []
    placed: set[str] = set()
    for name in chain:
        if name not in placed:
            members = tuple(dict.fromkeys((name, *facts[name].family)))
            placed.update(members)
            families.append(Family(name, members))
    return families


def _allowed(
    families: list[Family], facts: Facts, situation: Situation, rule: BudgetRule | None
) -> tuple[list[Family], dict[str, str]]:
    """Who may be asked, and why the others may not. Missing keys only count while somebody has one: else the chain
    stays, so that its error names each.
    """
    local_only = rule is not None and rule.local_only

    def forbidden(fact: ModelFact) -> str:
        if local_only and not fact.can.local:
            return "not local, and the budget leaves nothing else"
        return unfit(fact.can, situation.constraints, needs_tools=situation.needs_tools)

    families, out = _without(families, {m: forbidden(facts[m]) for f in families for m in f.members})
    usable, keyless = _without(families, {m: facts[m].unusable for f in families for m in f.members})
    return (usable, out | keyless) if usable else (families, out)


def _without(families: list[Family], reasons: Mapping[str, str]) -> tuple[list[Family], dict[str, str]]:
    out = {model: reason for model, reason in reasons.items() if reason}
    if not out:
        return families, out
    kept = (Family(f.name, tuple(m for m in f.members if m not in out)) for f in families)
    return [family for family in kept if family.members], out


def _without_room(families: list[Family], situation: Situation) -> dict[str, str]:
    limits, tokens = situation.limits, _tokens(situation)
    return {m: lack for f in families for m in f.members if (lack := room(limits.get(m), *tokens))}


def _tokens(situation: Situation) -> tuple[int, int]:
    return situation.prompt_tokens, situation.max_tokens


def _weight(family: Family, facts: Facts, full: Mapping[str, str]) -> float:
    """That of the model the chain names: a second key must not move traffic between models."""
    return 0.0 if all(m in full for m in family.members) else facts[family.name].weight


def _by_policy(
    families: list[Family],
    policy: RolePolicy,
    facts: Facts,
    situation: Situation,
    full: frozenset[str],
    why: list[str],
) -> list[Family]:
    """The order of the policy; of several instances the one that would be asked counts."""
    match policy.policy:
        case "fixed" | "weighted":
            return families
        case "cheapest":
            why.append(f"cheapest: for at most {sum(_tokens(situation))} tokens")
            return sorted(families, key=lambda f: _cost(facts[f.members[0]], policy, situation))
        case "fastest":
            return _fastest(families, policy, situation, why)
        case "round_robin":
            return _in_turn(families, situation.turn, full, why)
        case "by_region":
            why.append(f"by_region: {', '.join(policy.regions)} first")
            return sorted(families, key=lambda f: _region_rank(facts[f.members[0]], policy))
        case "by_complexity" | "by_length" | "by_tier":
            names, said = _table(policy, situation)
            why.append(f"{policy.policy}: {said}" + (f", {', '.join(names)} first" if names else ", no rule"))
            return _first(families, names)


def _cost(fact: ModelFact, policy: RolePolicy, situation: Situation) -> tuple[bool, int]:
    good = not policy.quality_min or (fact.quality is not None and fact.quality >= policy.quality_min)
    dearest = fact.input_micros * situation.prompt_tokens + fact.output_micros * situation.max_tokens
    return (False, dearest) if good else (True, 0)


def _fastest(families: list[Family], policy: RolePolicy, situation: Situation, why: list[str]) -> list[Family]:
    def expected_ms(family: Family) -> float:
        """Until an answer comes, failures repeated. One that nobody has asked comes first, because else it stays
        unknown; one that has never answered last."""
        known = situation.averages.get(family.members[0])
        if known is None or known.latency_ms is None:
            return float("inf") if known is not None and known.count else -1.0
        return known.latency_ms / known.success if known.success > 0.0 else float("inf")

    ordered = sorted(families, key=expected_ms)
    if len(ordered) > 1 and situation.turn % policy.probe_every == policy.probe_every - 1:
        others = [f for f in families if f is not ordered[0]]
        probed = others[situation.turn // policy.probe_every % len(others)]
        why.append(f"fastest: {probed.name} is asked first to measure it")
        return [probed, *(f for f in ordered if f is not probed)]
    if ordered:
        ms = expected_ms(ordered[0])
        why.append(f"fastest: {ordered[0].name}, {'not measured yet' if ms < 0 else f'{ms:.0f} ms'}")
    return ordered


def _in_turn(families: list[Family], turn: int, full: frozenset[str], why: list[str]) -> list[Family]:
    free = [f for f in families if not full.issuperset(f.members)]
    if not free:
        return families
    at = turn % len(free)
    why.append(f"round_robin: it is the turn of {free[at].name}")
    return [*free[at:], *free[:at], *(f for f in families if f not in free)]


def _table(policy: RolePolicy, situation: Situation) -> tuple[tuple[str, ...], str]:
    """The models that a table names for this request, and what it was asked for."""
    if policy.policy == "by_tier":
        return policy.tiers.get(situation.constraints.tier, ()), situation.constraints.tier.value
    if policy.policy == "by_complexity":
        kind = situation.complexity
        return (() if kind is None else policy.complexities.get(kind, ())), kind or "unknown"
    rules = (r for r in policy.lengths if r.up_to is None or situation.prompt_tokens <= r.up_to)
    rule = next(rules, None)
    return (() if rule is None else rule.models), f"about {situation.prompt_tokens} tokens"


def _at_this_time(
    families: list[Family], policy: RolePolicy, situation: Situation, why: list[str]
) -> list[Family]:
    for rule in policy.times:
        there = situation.now.astimezone(zone_of(rule.zone))
        if rule.covers(there.hour * 60 + there.minute):
            why.append(f"{rule.start} to {rule.end} {rule.zone}: {', '.join(rule.models)} first")
            return _first(families, rule.models)
    return families


def _budget_rule(policy: RolePolicy, situation: Situation) -> BudgetRule | None:
    reached = [rule for rule in policy.budget_rules if situation.spent >= rule.from_share]
    return reached[-1] if reached else None


def _what(rule: BudgetRule) -> str:
    parts = [f"{', '.join(rule.models)} first"] if rule.models else []
    return "; ".join([*parts, "local models only"] if rule.local_only else parts)


def _first(families: list[Family], names: Sequence[str]) -> list[Family]:
    """``names`` in their order, then the others as they were."""
    named = [f for name in names for f in families if f.name == name]
    return [*named, *(f for f in families if f not in named)]


def _region_rank(fact: ModelFact, policy: RolePolicy) -> int:
    region = fact.can.region
    return policy.regions.index(region) if region in policy.regions else len(policy.regions)
