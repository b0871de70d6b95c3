"""The files that are shipped: presets, models, profiles, the manual, and which keys they wait for."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from genai_prices.data_snapshot import get_snapshot

from configs.describe import document
from configs.environment import OTHER_VARIABLES, read_environment
from configs.kernel import Message, Sampling
from configs.keys import missing_keys, usable_models
from configs.load import load_settings, profiles
from configs.schema import variables
from engine.cost.prices import PriceBook

ROOT = Path(__file__).parents[2]
TODAY = datetime(2026, 11, 21, tzinfo=UTC)
ASKED = (Message("user", "x" * 1_000),)
SAMPLE = Sampling(max_tokens=1_000)
PRESETS = {
    "openai",
    "anthropic",
    "gemini",
    "groq",
    "together",
    "openrouter",
    "ollama",
    "vllm",
    "lmstudio",
    "litellm",
    "embedded",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.req("serve.providers")
def test_every_promised_provider_is_a_preset() -> None:
    """By name, with a URL, and with the variable of its key unless it runs here."""
    providers = load_settings(environ={}).providers
    assert set(providers) == PRESETS
    assert [n for n, p in providers.items() if not p.base_url] == ["embedded"]
    assert {n for n, p in providers.items() if p.local} == {"embedded", "ollama", "vllm", "lmstudio"}
    assert [n for n, p in providers.items() if not p.local and p.api_key_env is None] == []


@pytest.mark.req("serve.providers")
@pytest.mark.parametrize("profile", profiles())
def test_every_model_is_priced_by_the_installed_data_or_by_hand(profile: str) -> None:
    """A profile that names a model nobody knows a price for would charge the ceiling price for it."""
    settings = load_settings(profile, environ={})
    prices = PriceBook(settings)
    assert [m for m in settings.models if prices.source(m, now=TODAY) == "ceiling"] == []


@pytest.mark.req("serve.providers")
def test_a_model_that_nobody_prices_would_be_noticed(tmp_path: Path) -> None:
    """The twin of the test above: it can fail."""
    config = tmp_path / "c.yaml"
    config.write_text("models: {guess: {provider: openai, model: gpt-99-imagined}}")
    prices = PriceBook(load_settings(config_file=config, environ={}))
    assert prices.source("guess", now=TODAY) == "ceiling"


@pytest.mark.req("serve.providers")
def test_shipped_cloud_models_are_current_and_say_how_much_they_hold() -> None:
    """Known to the installed data under exactly this name, not deprecated, with a context window."""
    settings = load_settings(environ={})
    prices = PriceBook(settings)
    cloud = {m: s for m, s in settings.models.items() if not settings.providers[s.provider].local}
    wrong: list[str] = []
    for model_id, model in cloud.items():
        listed = settings.providers[model.provider].prices
        _, entry = get_snapshot().find_provider_model(model.model, None, listed, None)
        if entry.id != model.model or entry.deprecated or not prices.context_window(model_id):
            wrong.append(model_id)
    assert wrong == []
    assert len(cloud) >= 12


@pytest.mark.req("cost.presets")
def test_profiles_cost_more_from_local_to_premium() -> None:
    """The first choice of each role, for the same thousand tokens in and out."""
    ladder: list[list[float]] = []
    for profile in ("local", "budget", "balanced", "premium"):
        settings = load_settings(profile, environ={})
        prices = PriceBook(settings)
        ladder.append([prices.upper_bound(c[0], ASKED, SAMPLE, now=TODAY).usd for c in settings.roles.values()])
    local, budget, balanced, premium = ladder
    assert local == [0.0] * 5
    assert all(0 < a < b < c for a, b, c in zip(budget, balanced, premium, strict=True))


@pytest.mark.req("cost.presets")
@pytest.mark.parametrize("profile", profiles())
def test_every_chain_ends_in_the_embedded_model_and_changes_provider(profile: str) -> None:
    """Something always answers, and one provider's outage never takes a whole chain."""
    settings = load_settings(profile, environ={})
    for chain in settings.roles.values():
        providers = [settings.models[model].provider for model in chain]
        assert providers[-1] == "embedded"
        assert len(chain) == 1 or len(set(providers)) >= 3


def test_every_profile_has_the_same_roles_and_they_are_those_of_the_agents() -> None:
    """Changing the profile must not change which role an agent finds."""
    loaded = [load_settings(profile, environ={}) for profile in profiles()]
    roles = {agent.role for agent in loaded[0].agents} | {"default"}
    assert [set(settings.roles) for settings in loaded] == [roles] * 4


def test_a_route_without_its_key_is_unusable_and_says_which_variable() -> None:
    """Local ones are always usable; a blank key is no key."""
    settings = load_settings("balanced", environ={})
    environ = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "  "}
    reasons = usable_models(settings, environ)
    assert reasons["gpt-6.1-terra"] is None
    assert reasons["claude-sonnet-5-5"] == "ANTHROPIC_API_KEY is not set"
    assert reasons["smollm2"] is None
    assert reasons["ollama-gpt-oss-20b"] is None
    assert set(reasons) == set(settings.models)


def test_a_local_provider_with_a_key_variable_is_usable_without_the_key(tmp_path: Path) -> None:
    """vLLM may be started with a key, and mostly is not."""
    config = tmp_path / "c.yaml"
    config.write_text("models: {own: {provider: vllm, model: org/own}, far: {provider: litellm, model: a/b}}")
    reasons = usable_models(load_settings(config_file=config, environ={}), {})
    assert (reasons["own"], reasons["far"]) == (None, "LITELLM_API_KEY is not set")


def test_missing_keys_lists_only_what_the_profile_waits_for() -> None:
    """Doctor must not ask for keys of providers that no role uses."""
    balanced = load_settings("balanced", environ={})
    assert missing_keys(balanced, {"ANTHROPIC_API_KEY": "k"}) == {
        "OPENAI_API_KEY": ("gpt-6.1-terra", "gpt-6.1-sol"),
        "GEMINI_API_KEY": ("gemini-3.8-flash",),
    }
    assert missing_keys(load_settings("local", environ={}), {}) == {}


def test_the_manual_is_what_the_models_say() -> None:
    """Run `python -m configs.describe > docs/configuration.md` after changing a setting."""
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == document()


def test_the_manual_names_every_variable() -> None:
    """A setting that cannot be found is not a setting."""
    manual = document()
    names = set(variables())
    single = {name for name in names if not any(other.startswith(f"{name}__") for other in names)}
    wanted = single | set(OTHER_VARIABLES)
    assert len(wanted) > 60
    assert [name for name in sorted(wanted) if f"`{name}`" not in manual and "CEILING_PRICE__" not in name] == []


def test_the_example_in_the_manual_loads(tmp_path: Path) -> None:
    """What people paste must work."""
    (example,) = re.findall(r"```yaml\n(.*?)```", document(), flags=re.DOTALL)
    path = tmp_path / "example.yaml"
    path.write_text(example, encoding="utf-8")
    settings = load_settings(config_file=path, environ={})
    assert (settings.profile, settings.roles["code"]) == ("balanced", ("our-llama", "smollm2"))


def test_the_example_dotenv_names_every_key_and_is_valid(tmp_path: Path) -> None:
    """With every line switched on it loads, and no provider's key is forgotten."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    on = [line.removeprefix("#") for line in lines if re.match(r"#[A-Z_]+=", line)]
    (tmp_path / ".env").write_text("\n".join(on).replace("switchgear.yaml", ""), encoding="utf-8")
    environ = read_environment(tmp_path)
    settings = load_settings(environ=environ)
    keys = {p.api_key_env for p in settings.providers.values()} - {None}
    assert keys <= set(environ)
    assert settings.data_dir == Path(".switchgear")


def test_loading_settings_imports_nothing_heavy() -> None:
    """Every command pays for it, so neither prices nor LangChain nor an encoder come along."""
    code = "import sys; from configs.load import load_settings; load_settings(environ={}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert "configs.settings" in loaded
    assert loaded & {"genai_prices", "pydantic_settings", "dotenv", "langchain_core", "numpy", "httpx"} == set()
