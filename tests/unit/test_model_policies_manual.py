"""The examples of docs/model-policies.md are configurations that load and do what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from configs.policies import PolicyName
from tests.support.config import load_text

MANUAL = Path(__file__).parents[2] / "docs" / "model-policies.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.req("route.models")
@pytest.mark.parametrize("text", EXAMPLES)
def test_each_example_loads_and_changes_something(tmp_path: Path, text: str) -> None:
    """As a user's own file, with nothing else around it."""
    settings = load_text(tmp_path, text)
    assert settings.policies or any(model.same_as for model in settings.models.values())


@pytest.mark.req("route.models")
def test_every_policy_has_an_example(tmp_path: Path) -> None:
    """All nine, and rules of time and budget."""
    policies = [p for text in EXAMPLES for p in load_text(tmp_path, text).policies.values()]
    assert {policy.policy for policy in policies} == set(get_args(PolicyName))
    assert any(policy.times for policy in policies)
    assert any(policy.budget_rules for policy in policies)
