"""Instances of one model and the policies of roles as settings: what is accepted, and why the rest is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.refs import routed_models
from configs.instances import families, with_instances
from configs.keys import missing_keys
from tests.support.config import load_text, refusal

TWO_KEYS = """
providers:
  openai-second: {base_url: https://api.openai.com/v1, api_key_env: SECOND_KEY, prices: openai}
models:
  luna-second: {provider: openai-second, model: gpt-6-luna, same_as: gpt-6-luna}
roles:
  default: [gpt-6-luna, smollm2]
"""


@pytest.mark.req("route.models")
def test_a_second_key_is_one_provider_and_one_model_more(tmp_path: Path) -> None:
    """Its key is asked for, and everything that prepares routes knows of it."""
    settings = load_text(tmp_path, TWO_KEYS)
    assert with_instances(["smollm2", "gpt-6-luna"], settings.models) == ("smollm2", "gpt-6-luna", "luna-second")
    assert with_instances(["luna-second"], settings.models) == ("luna-second", "gpt-6-luna")
    assert families(settings.models)["luna-second"] == ("gpt-6-luna", "luna-second")
    assert routed_models(settings) == {"smollm2", "gpt-6-luna", "luna-second"}
    assert missing_keys(settings, {}) == {"OPENAI_API_KEY": ("gpt-6-luna",), "SECOND_KEY": ("luna-second",)}


def _models(**fields: str) -> str:
    lines = "".join(f"  {name}: {{provider: embedded, model: {rest}}}\n" for name, rest in fields.items())
    return f"models:\n{lines}"


POLICY = "roles: {default: [smollm2, gpt-6-luna], talk: [gpt-6-luna]}\npolicies: {default: {%s}, talk: {%s}}\n"


@pytest.mark.req("route.models")
@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        (_models(b="smollm2, same_as: smolm2"), "models.b.same_as", "did you mean 'smollm2'?"),
        (_models(b="smollm2, same_as: b"), "models.b.same_as", "no instance of itself"),
        (_models(b="smollm2, same_as: c", c="smollm2, same_as: b"), "models.b.same_as", "is an instance itself"),
        (_models(b="other, same_as: smollm2"), "models.b.same_as", "say `renamed: true`"),
        ("models: {smollm2: {renamed: true}}", "models.smollm2.renamed", "without same_as"),
        (
            _models(b="smollm2, same_as: smollm2") + "roles: {default: [smollm2, gpt-6-luna, b]}",
            "roles.default[2]",
            "'b' and 'smollm2' are instances of one model",
        ),
        (
            _models(b="smollm2, same_as: smollm2", c="smollm2, same_as: smollm2") + "roles: {default: [b, c]}",
            "roles.default[1]",
            "name one of them",
        ),
        ("policies: {talk: {policy: fixed}}", "policies.talk", "unknown role"),
        (POLICY % ("policy: cheap", ""), "policies.default.policy", "must be 'fixed', 'cheapest'"),
        (POLICY % ("policy: by_complexity", ""), "policies.default", "needs complexities"),
        (POLICY % ("policy: by_length", ""), "policies.default", "needs lengths"),
        (POLICY % ("policy: by_tier", ""), "policies.default", "needs tiers"),
        (POLICY % ("policy: by_region", ""), "policies.default", "needs regions"),
        (POLICY % ("tiers: {pro: [smollm2]}", ""), "policies.default", "only policy by_tier reads it"),
        (POLICY % ("quality_min: 0.5", ""), "policies.default", "only policy cheapest reads it"),
        (POLICY % ("probe_every: 5", ""), "policies.default", "only policy fastest reads it"),
        (
            POLICY % ("policy: by_tier, tiers: {gold: [smollm2]}", ""),
            "policies.default.tiers.gold",
            "must be 'local', 'free'",
        ),
        (
            POLICY % ("", "policy: by_tier, tiers: {pro: [smollm2]}"),
            "policies.talk.tiers.pro[0]",
            "'smollm2' is not in the chain of roles.talk",
        ),
        (
            POLICY % ("policy: by_complexity, complexities: {simple: [smollm2, smollm2]}", ""),
            "policies.default.complexities.simple[1]",
            "twice",
        ),
        (
            POLICY % ("policy: by_length, lengths: [{models: [smollm2]}, {up_to: 9, models: [gpt-6-luna]}]", ""),
            "policies.default",
            "lengths[1] never applies",
        ),
        (
            POLICY
            % ("policy: by_length, lengths: [{up_to: 9, models: [smollm2]}, {up_to: 9, models: [smollm2]}]", ""),
            "policies.default",
            "lengths[1] never applies",
        ),
        (
            POLICY % ("", "times: [{start: '08:00', end: '09:00', models: [smollm2]}]"),
            "policies.talk.times[0].models[0]",
            "never applies",
        ),
        (
            POLICY % ("times: [{start: '08:00', end: '08:00', models: [smollm2]}]", ""),
            "policies.default.times[0]",
            "same minute",
        ),
        (
            POLICY % ("times: [{start: '24:00', end: '08:00', models: [smollm2]}]", ""),
            "policies.default.times[0].start",
            "pattern",
        ),
        (
            POLICY % ("times: [{start: '08:00', end: '09:00', zone: Europe/Zürich, models: [smollm2]}]", ""),
            "policies.default.times[0]",
            "IANA database",
        ),
        (
            POLICY
            % (
                (
                    "times: [{start: '22:00', end: '06:00', models: [smollm2]},"
                    " {start: '23:30', end: '01:00', models: [gpt-6-luna]}]"
                ),
                "",
            ),
            "policies.default",
            "times[1] never applies",
        ),
        (POLICY % ("budget_rules: [{from_share: 0.5}]", ""), "policies.default.budget_rules[0]", "change nothing"),
        (
            POLICY % ("budget_rules: [{from_share: 0.0, local_only: true}]", ""),
            "policies.default.budget_rules[0].from_share",
            "greater than 0",
        ),
        (
            POLICY
            % ("budget_rules: [{from_share: 0.9, local_only: true}, {from_share: 0.8, models: [smollm2]}]", ""),
            "policies.default",
            "budget_rules[1] never applies",
        ),
        (
            POLICY % ("", "budget_rules: [{from_share: 0.9, local_only: true}]"),
            "policies.talk.budget_rules[0].local_only",
            "nobody could answer",
        ),
        (
            POLICY % ("policy: cheapest, quality_min: 0.5", ""),
            "policies.default.quality_min",
            "no model of roles.default has a quality this high",
        ),
        (
            POLICY % ("policy: by_region, regions: [eu]", ""),
            "policies.default.regions[0]",
            "no model of roles.default is in 'eu'",
        ),
    ],
)
def test_a_rule_that_could_never_apply_is_refused_by_its_key(
    tmp_path: Path, text: str, key: str, reason: str
) -> None:
    """Fault 84: what an operator wrote has an effect, or the start says which key has none."""
    told = refusal(tmp_path, text)
    assert f"{key}:" in told
    assert reason in told


@pytest.mark.req("route.models")
@pytest.mark.parametrize(
    "text",
    [
        _models(b="vendor/SmolLM-2, same_as: smollm2"),
        _models(b="deployment-7, same_as: smollm2, renamed: true"),
        POLICY % ("policy: cheapest", "policy: round_robin"),
        POLICY % ("policy: cheapest, quality_min: 0.7", "") + "models: {smollm2: {quality: 0.7}}\n",
        (
            "roles: {default: [gpt-6-luna, ollama-gpt-oss-20b]}\n"
            "policies: {default: {budget_rules: [{from_share: 1, local_only: true}]}}\n"
        ),
        POLICY % ("budget_rules: [{from_share: 0.8, models: [smollm2]}, {from_share: 1, local_only: true}]", ""),
        POLICY
        % (
            (
                "times: [{start: '22:00', end: '06:00', models: [smollm2]},"
                " {start: '05:00', end: '07:00', zone: Europe/Zurich, models: [gpt-6-luna]}]"
            ),
            "",
        ),
        POLICY % ("policy: by_length, lengths: [{up_to: 9, models: [smollm2]}, {models: [gpt-6-luna]}]", ""),
        POLICY % ("policy: by_region, regions: [eu]", "")
        + "providers: {openai: {region: eu}}\nmodels: {gpt-6-luna: {quality: 0.7}}\n",
    ],
)
def test_rules_that_can_apply_are_accepted(tmp_path: Path, text: str) -> None:
    """Makers' prefixes and punctuation in a model's name do not make it another one."""
    assert refusal(tmp_path, text) == ""
