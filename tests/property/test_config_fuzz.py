"""Whatever a file holds, it is settings or a ConfigError; and what YAML says is what arrives."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError
from configs.load import load_settings
from configs.redact import holds_secret, shown
from configs.yaml_tree import parse_yaml
from tests.support.config import catalogues_read_once

PUNCTUATION = "ab:-[]{}&*!?|>'\"#%@\\ \n\t0.\x00"
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
scalars = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | texts
numbers = st.floats(allow_nan=False, allow_infinity=False)
keys = st.sampled_from(["cache", "ttl_s", "roles", "default", "agents", "name", "redis", "profile"]) | texts
trees = st.recursive(
    scalars | numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    content=st.binary(max_size=200)
    | st.text(alphabet="ab:-[]{}&*!?|>'\"#%@\\ \n\t0.\x00", max_size=80).map(str.encode)
)
@example(content=b"[" * 300_000)
@example(content=b"\xef\xbb\xbf\xef\xbb\xbf")
@example(content=b"a: &a [*a]")
def test_any_bytes_are_settings_or_a_config_error(content: bytes, tmp_path: Path) -> None:
    """No other exception, no crash of the process."""
    path = tmp_path / "fuzz.yaml"
    path.write_bytes(content)
    assert outcome(config_file=path) in {"settings", "problems"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(tree=st.dictionaries(keys, trees, max_size=4))
def test_any_tree_of_values_is_settings_or_a_config_error(tree: dict[str, object], tmp_path: Path) -> None:
    """Well-formed YAML of the wrong shape; as an override nothing else can happen either."""
    path = tmp_path / "fuzz.yaml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    assert outcome(config_file=path) in {"settings", "problems"}
    assert outcome(overrides=tree) in {"settings", "problems"}


def outcome(config_file: Path | None = None, overrides: dict[str, object] | None = None) -> str:
    """How loading ends: with settings that have a default chain, with a refusal that has problems, or else."""
    try:
        with catalogues_read_once():
            loaded = load_settings(config_file=config_file, environ={}, overrides=overrides)
    except ConfigError as exc:
        return "problems" if exc.problems else "an empty refusal"
    return "settings" if loaded.roles["default"] else "empty settings"


@given(tree=trees)
def test_what_a_yaml_writer_writes_is_read_back(tree: object) -> None:
    """The event reader is a YAML reader: quoting, nesting and numbers survive a round trip."""
    read, problems = parse_yaml(yaml.safe_dump(tree, allow_unicode=True, default_flow_style=False), "t")
    assert problems == []
    assert read.values == tree


@given(number=numbers)
def test_a_number_written_by_python_is_the_same_number(number: float) -> None:
    """Also in the exponent form that YAML 1.1 takes for a text."""
    read, _ = parse_yaml(repr(number), "t")
    assert isinstance(read.values, float)
    assert math.isclose(read.values, number, rel_tol=0, abs_tol=0)


@given(
    name=st.sampled_from(["variable", "key"]), tail=st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=24)
)
@pytest.mark.parametrize("prefix", ["sk-", "sk-ant-", "gsk_", "ghp_", "hf_", "xai-", "tvly-", "github_pat_"])
def test_a_key_of_a_known_shape_is_recognised_and_hidden(prefix: str, name: str, tail: str) -> None:
    """Whatever follows the prefix, and whatever stands around it."""
    key = f"{prefix}{tail}7"
    assert holds_secret(f"{name} {key} ")
    assert tail not in shown(name, key)
