"""Plans of rehearsals: what is wrong with one is said with line, key, value and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from configs.errors import ConfigError
from configs.load import load_settings
from engine.chaos.plan import check_plan, parse_plan, read_plan
from tests.support.embedded import ROOT

GOOD = """\
name: outage
seed: 7
load: {requests: 10, concurrency: 2, prompts: [one, two]}
steps:
  - {at_s: 1.0, provider: openai, fault: "503"}
  - {after_requests: 5, model: gpt-6.1-terra, fault: well}
  - {at_s: 2.0, store: redis.cache, network: {down: true}}
expect: {success_rate_min: 1.0}
"""
WRONG = [
    ("seed: 7", "seed: soon", ["line 2", "seed", "'soon'"]),
    ("seed: 7", "sed: 7", ["line 2", "sed", "did you mean 'seed'?"]),
    ("seed: 7", "", ["seed", "required"]),
    ("requests: 10", "requests: 0", ["line 3", "load.requests", "greater than 0", "0"]),
    ("requests: 10", "request: 10", ["load.request", "did you mean 'requests'?"]),
    ("prompts: [one, two]", "prompts: []", ["load.prompts", "at least 1"]),
    ('fault: "503"', "fault: 503", ["line 5", "steps[0].fault", "string", "503"]),
    ('fault: "503"', 'fault: "530"', ["line 5", "unknown fault", "'530'", "did you mean"]),
    ('fault: "503"', 'fault: "429"', ["fault '429' needs `seconds`"]),
    ('fault: "503"', "fault: hang, share: 1.5", ["steps[0].share", "less than or equal to 1", "1.5"]),
    ("at_s: 1.0, provider: openai", "provider: openai", ["exactly one of at_s, after_requests", "none"]),
    ("at_s: 1.0, provider", "at_s: 1.0, after_requests: 3, provider", ["exactly one of at_s, after_requests"]),
    ("provider: openai, ", "", ["exactly one of model, provider, store"]),
    ("store: redis.cache", "store: redis.kache", ["line 7", "steps[2].store", "redis.cache", "redis.kache"]),
    ("network: {down: true}", "fault: hang", ["a store has no `fault`"]),
    ("network: {down: true}", "network: {dwn: true}", ["steps[2].network.dwn", "did you mean 'down'?"]),
    ("store: redis.cache", "model: gpt-6.1-terra", ["models of a provider share one"]),
    ("success_rate_min: 1.0", "success_rate_min: 1.1", ["line 8", "expect.success_rate_min", "1.1"]),
    ("success_rate_min: 1.0", "sucess_rate_min: 1.0", ["did you mean 'success_rate_min'?"]),
    ("name: outage", "name: outage\nname: again", ["line 2"]),
    ("steps:", "steps: []\nrest:", ["steps", "at least 1"]),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[new or f"no {old}" for old, new, _ in WRONG])
def test_a_bad_plan_is_refused_with_key_value_and_what_is_allowed(old: str, new: str, said: list[str]) -> None:
    """One mistake, one typed error that names it."""
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    with pytest.raises(ConfigError) as caught:
        parse_plan(text, "plan.yaml")
    assert [part for part in said if part not in str(caught.value)] == []
    assert caught.value.code == "config_invalid"


def test_everything_wrong_is_said_at_once() -> None:
    """Two mistakes are two problems."""
    with pytest.raises(ConfigError) as caught:
        parse_plan(GOOD.replace("seed: 7", "seed: -1").replace("requests: 10", "requests: x"), "plan.yaml")
    assert [problem.key for problem in caught.value.problems] == ["seed", "load.requests"]


def test_a_plan_must_fit_the_configuration_it_runs_on() -> None:
    """Models, providers and agents that no role uses are named, with the nearest that one does."""
    settings = load_settings("balanced", environ={})
    check_plan(parse_plan(GOOD, "plan.yaml"), settings)
    text = GOOD.replace("gpt-6.1-terra", "gpt-6.1-tera").replace("provider: openai", "provider: groq")
    with pytest.raises(ConfigError) as caught:
        check_plan(parse_plan(text.replace("prompts:", "agent: generel, prompts:"), "plan.yaml"), settings)
    assert [problem.key for problem in caught.value.problems] == [
        "steps[1].model",
        "steps[0].provider",
        "load.agent",
    ] or [problem.key for problem in caught.value.problems] == [
        "steps[0].provider",
        "steps[1].model",
        "load.agent",
    ]
    assert "did you mean 'gpt-6.1-terra'?" in str(caught.value)
    assert "did you mean 'general'?" in str(caught.value)


def test_a_missing_plan_is_a_config_error(tmp_path: Path) -> None:
    """Not a stack trace."""
    with pytest.raises(ConfigError, match="there is no such file"):
        read_plan(tmp_path / "none.yaml")


def test_the_shipped_plans_are_plans_and_fit_the_profile_they_name() -> None:
    """Every file of examples/chaos can be run as it is."""
    files = sorted((ROOT / "examples" / "chaos").glob("*.yaml"))
    assert [file.stem for file in files] == ["provider-outage", "redis-outage", "slow-provider"]
    for file in files:
        plan = read_plan(file)
        assert plan.profile == "balanced"
        check_plan(plan, load_settings(plan.profile, environ={}, overrides=plan.settings))
        last = max(step.at_s or 0.0 for step in plan.steps)
        assert plan.load.rate is not None
        assert last + 2.0 < plan.load.requests / plan.load.rate < 18.0


def test_a_plan_says_its_steps_in_words() -> None:
    """What the timeline is labelled with."""
    plan = parse_plan(GOOD, "plan.yaml")
    assert [(s.subject, s.what, s.ends_it) for s in plan.steps] == [
        ("provider openai", "503", False),
        ("model gpt-6.1-terra", "well", True),
        ("store redis.cache", "network: down", False),
    ]
    slow = yaml.safe_load(GOOD)
    slow["steps"] = [
        {"at_s": 0.0, "provider": "p", "fault": "429", "seconds": 2.5, "share": 0.25},
        {"at_s": 0.0, "store": "redis.state", "network": {"latency_s": 0.2, "slice_bytes": 9}},
        {"at_s": 0.0, "store": "redis.state", "network": {}},
    ]
    steps = parse_plan(yaml.safe_dump(slow), "plan.yaml").steps
    assert [(s.what, s.ends_it) for s in steps] == [
        ("429 2.5 s for 25%", False),
        ("network: latency_s 0.2, slice_bytes 9", False),
        ("network: well", True),
    ]
