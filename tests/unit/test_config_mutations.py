"""Fault 84: every impossible configuration is refused with its key and the reason; possible ones are accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.config import load_text, nested, numbers, refusal

NUMBERS = dict(numbers())
NEVER_A_NUMBER = {"-1": "-1", '"a text"': "'a text'", "[1]": "a list", "true": "true"}

# The file, the key it must name, and what else must be said.
BAD: list[tuple[str, str, str]] = [
    # unknown keys, with the nearest valid one
    ("cashe: {ttl_s: 5}", "cashe", "did you mean 'cache'?"),
    ("cache: {ttl: 5}", "cache.ttl", "did you mean 'ttl_s'?"),
    ("request: {deadline: 5}", "request.deadline", "did you mean 'deadline_s'?"),
    ("breaker: {consecutive_failure: 5}", "breaker.consecutive_failure", "did you mean 'consecutive_failures'?"),
    ("models: {m: {provider: openai, model: x, ctx: 1}}", "models.m.ctx", "known: concurrency_max,"),
    ("providers: {p: {url: 'http://h'}}", "providers.p.url", "unknown key"),
    ("agents: [{name: a, description: d, rol: code}]", "agents.a.rol", "did you mean 'role'?"),
    ("teams: [{name: t, description: d, agent: [sql]}]", "teams.t.agent", "did you mean 'agents'?"),
    ("tools: [{name: t, description: d, provider: [x]}]", "tools.t.provider", "did you mean 'providers'?"),
    ("redis: {url: x}", "redis.url", "known: cache_max_mb, cache_url"),
    ("Cache: {ttl_s: 5}", "Cache", "did you mean 'cache'?"),
    ("cache.ttl_s: 5", "cache.ttl_s", "unknown key"),
    ("shield: {<<: {retries: 1}}", "shield.<<", "unknown key"),
    # wrong types
    ("cache: 5", "cache", "must be a mapping; got 5"),
    ("cache: [ttl_s]", "cache", "must be a mapping; got a list"),
    ("cache: {enabled: 1}", "cache.enabled", "must be true or false; got 1"),
    ("cache: {enabled: 'yes'}", "cache.enabled", "must be true or false; got 'yes'"),
    ("cache: {enabled: no}", "cache.enabled", "must be true or false; got 'no'"),
    ("cache: {ttl_s: 1.5}", "cache.ttl_s", "must be a whole number; got 1.5"),
    ("cache: {ttl_s: 007}", "cache.ttl_s", "got '007'"),
    ("cache: {ttl_s: 1:30}", "cache.ttl_s", "got '1:30'"),
    ("cache: {ttl_s: 99999999999999999999}", "cache.ttl_s", "must be a whole number"),
    ("cache: {ttl_s: null}", "cache.ttl_s", "must be a whole number; got nothing"),
    ("data_dir: 5", "data_dir", "must be a text; got 5"),
    ("redis: {cache_url: 5}", "redis.cache_url", "must be a text; got (hidden)"),
    ("roles: {default: smollm2}", "roles.default", "must be a list; got 'smollm2'"),
    ("roles: [smollm2]", "roles", "must be a mapping; got a list"),
    ("roles: {default: [{a: 1}]}", "roles.default[0]", "must be a text; got a mapping"),
    ("agents: {sql: {role: code}}", "agents", "must be a list of `- name: …` records; got a mapping"),
    ("agents: [sql]", "agents[0]", "every record needs a `name`"),
    ("agents: [{description: d}]", "agents[0]", "every record needs a `name`"),
    ("agents: [{name: 5, description: d}]", "agents[0]", "every record needs a `name`"),
    ("agents: [{name: sql, enabled: 'no'}]", "agents.sql.enabled", "must be true or false; got 'no'"),
    ("agents: [{name: sql, keywords: select}]", "agents.sql.keywords", "must be a list; got 'select'"),
    ("tools: [{name: git, read_only: 1}]", "tools.git.read_only", "must be true or false; got 1"),
    # numbers that cannot be
    ("breaker: {consecutive_failures: 0}", "breaker.consecutive_failures", "must be greater than 0; got 0"),
    ("breaker: {failure_rate: 0}", "breaker.failure_rate", "must be greater than 0; got 0"),
    ("breaker: {failure_rate: 1.1}", "breaker.failure_rate", "must be less than or equal to 1; got 1.1"),
    ("breaker: {jitter: 1}", "breaker.jitter", "must be less than 1; got 1"),
    ("shield: {retries: 6}", "shield.retries", "must be less than or equal to 5; got 6"),
    ("request: {deadline_s: 0}", "request.deadline_s", "must be greater than 0; got 0"),
    ("request: {deadline_s: .inf}", "request.deadline_s", "finite"),
    ("request: {deadline_s: .nan}", "request.deadline_s", "must be"),
    ("request: {deadline_s: 1e999}", "request.deadline_s", "finite"),
    ("routing: {out_of_scope: 2}", "routing.out_of_scope", "must be less than or equal to 1; got 2"),
    ("agents: [{name: sql, temperature: 2.5}]", "agents.sql.temperature", "must be less than or equal to 2"),
    ("agents: [{name: sql, avg_latency_ms: 0}]", "agents.sql.avg_latency_ms", "must be greater than 0"),
    ("models: {smollm2: {context_window: 0}}", "models.smollm2.context_window", "must be greater than 0"),
    ("models: {smollm2: {price: {input: -1, output: 0}}}", "models.smollm2.price.input", "got -1"),
    ("models: {smollm2: {price: {input: 1}}}", "models.smollm2.price.output", "is required"),
    ("ceiling_price: {input: -0.1, output: 1}", "ceiling_price.input", "must be greater than or equal to 0"),
    # values that contradict each other
    ("breaker: {lease_s: 20}", "breaker", "probe_deadline_s (30.0) must be below lease_s (20.0)"),
    ("breaker: {probe_deadline_s: 35}", "breaker", "must be below lease_s"),
    ("breaker: {open_s: 400}", "breaker", "open_s (400.0) must not exceed open_s_max (300.0)"),
    ("request: {deadline_s: 4000}", "request", "must not exceed deadline_s_max"),
    ("request: {max_tokens: 40000}", "request", "must not exceed max_tokens_max"),
    ("cache: {ttl_s_max: 60}", "cache", "must not exceed ttl_s_max (60)"),
    ("shield: {backoff_s: 2}", "shield", "must not exceed backoff_s_max"),
    # names that nothing answers to
    ("models: {m: {provider: opnai, model: x}}", "models.m.provider", "did you mean 'openai'?"),
    ("roles: {code: [gpt-6-lunar]}", "roles.code[0]", "did you mean 'gpt-6-luna'?"),
    ("agents: [{name: sql, role: dat}]", "agents.sql.role", "did you mean 'data'?"),
    ("agents: [{name: sql, tools: [databse]}]", "agents.sql.tools[0]", "did you mean 'database'?"),
    ("teams: [{name: data, agents: [sqll]}]", "teams.data.agents[0]", "did you mean 'sql'?"),
    ("routing: {general_agent: genral}", "routing.general_agent", "did you mean 'general'?"),
    ("routing: {fallback_agents: [nobody-at-all]}", "routing.fallback_agents[0]", "known: analytics"),
    ("cache: {semantic: {grey_role: nobody}}", "cache.semantic.grey_role", "unknown role 'nobody'"),
    ("profile: premum", "profile", "did you mean 'premium'?"),
    ("profile: ../premium", "profile", "unknown profile"),
    ("profile: 5", "profile", "unknown profile 5"),
    ("agents: [{name: general, enabled: false}]", "routing.general_agent", "it is disabled in"),
    ("agents: [{name: viz, enabled: false}]", "teams.data.agents[2]", "it is disabled in"),
    ("agents: [{name: vizz, enabled: false}]", "agents.vizz", "did you mean 'viz'?"),
    # chains that end nowhere or return to themselves
    ("roles: {code: []}", "roles.code", "must have at least 1 item"),
    ("roles: {code: [smollm2, gpt-6-luna, smollm2]}", "roles.code[2]", "'smollm2' stands in this list twice"),
    ("routing: {fallback_agents: [general, general]}", "routing.fallback_agents[1]", "twice"),
    ("teams: [{name: data, agents: []}]", "teams.data.agents", "must have at least 1 item"),
    ("teams: [{name: data, agents: [sql, sql]}]", "teams.data.agents[1]", "twice"),
    ("tools: [{name: web_search, providers: [brave, brave]}]", "tools.web_search.providers[1]", "twice"),
    ("tools: [{name: web_search, providers: []}]", "tools.web_search.providers", "must have at least 1 item"),
    # names and texts that are none
    ("models: {Upper: {provider: openai, model: x}}", "models.Upper", "must match the pattern"),
    ("roles: {'two words': [smollm2]}", "roles.two words", "must match the pattern"),
    ("agents: [{name: Ünter, description: d}]", "agents.Ünter.name", "must match the pattern"),
    ("agents: [{name: a, description: ''}]", "agents.a.description", "must have at least 1 character"),
    ("agents: [{name: a}]", "agents.a.description", "is required"),
    (
        "agents: [{name: sql, cost_tier: cheap}]",
        "agents.sql.cost_tier",
        "must be 'free', 'low', 'medium' or 'high'",
    ),
    ("models: {m: {provider: openai}}", "models.m.model", "is required"),
    ("providers: {p: {}}", "providers.p", "base_url is required unless the provider is embedded"),
    ("providers: {p: {base_url: 'ftp://h/v1'}}", "providers.p", "base_url must be http(s)://"),
    ("providers: {p: {base_url: 'h/v1'}}", "providers.p", "base_url must be http(s)://"),
    ("providers: {p: {base_url: 'https://h/v1?key=1'}}", "providers.p", "without user, password or query"),
    ("providers: {openai: {api_key_env: my-key}}", "providers.openai.api_key_env", "must match the pattern"),
    # written twice
    ("cache: {ttl_s: 5}\ncache: {ttl_s: 6}", "cache", "the key stands here twice, first on line 1"),
    ("cache:\n  ttl_s: 5\n  ttl_s: 6", "cache.ttl_s", "the key stands here twice, first on line 2"),
    ("agents:\n- {name: a, description: d}\n- {name: a, description: e}", "agents.a", "first in"),
    ("teams:\n- {name: data}\n- {name: data}", "teams.data", "the name stands here twice"),
    # secrets in a file
    ("api_key: sk-abcdefghijklmnopqrstuvw7", "api_key", "a secret does not belong in a file"),
    ("providers: {openai: {api_key: hunter2}}", "providers.openai.api_key", "api_key_env names that variable"),
    ("providers: {openai: {api_key_env: sk-abcdefghijklmnopqrstuvw7}}", "api_key_env", "a secret does not belong"),
    ("redis: {state_url: 'redis://:pa55word@h:6379'}", "redis.state_url", "a secret does not belong in a file"),
    ("models: {m: {provider: openai, model: x, token: t}}", "models.m.token", "a secret does not belong"),
    ("agents: [{name: a, description: 'ghp_abcdefghijklmnopqrst0123'}]", "agents.a.description", "a secret"),
    ("agents: [{name: a, description: d, keywords: [AKIAABCDEFGHIJKLMNOP]}]", "keywords[0]", "a secret does not"),
    ("password: x", "password", "a secret does not belong in a file"),
]

# Texts that are not even a file of settings, and what is said about the place.
NOT_YAML: list[tuple[str | bytes, str]] = [
    ("cache: {ttl_s: 5", "not YAML"),
    ("cache: [", "(line 2, column 1)"),
    ("cache: ttl_s: 5", "mapping values are not allowed in this context (line 1, column 13)"),
    ('a: "open', "unexpected end of stream"),
    ("\tcache: 1", "(line 1, column 1)"),
    ("a: 1\n b: 2", "(line 2"),
    ("@a: 1", "(line 1, column 1)"),
    ("a: \x01", "control characters"),
    ('cache: "\\0"', "control characters"),
    ("- cache", "must hold settings as `key: value`; got a list"),
    ("cache", "must hold settings as `key: value`; got 'cache'"),
    ("5", "got 5"),
    ("cache: {ttl_s: 5}\n---\ncache: {ttl_s: 6}", "a second document starts here"),
    ("a: &x {ttl_s: 5}\ncache: *x", "anchors (&name) are not supported"),
    ("cache: *x", "aliases (*name) are not supported"),
    ("cache: !!python/object/apply:os.system [id]", "tags (!name) are not supported"),
    ("cache: !foo 5", "tags (!name) are not supported"),
    ("? {a: 1}\n: 2", "a key must be a text"),
    ("? [a]\n: 2", "a key must be a text"),
    ("[" * 100_000, "nested deeper than 16 levels"),
    ("{a: " * 40 + "1" + "}" * 40, "nested deeper than 16 levels"),
    ("roles: {default: [" + "a," * 60_000 + "]}", "more than 50000 values"),
    ("%YAML 9.0\n---\na: 1", "incompatible YAML"),
    (b"cache: \xff\xfe", "not UTF-8 at byte 7 (line 1)"),
    ("cache: {ttl_s: 5}".encode("utf-16"), "not UTF-8"),
    (b"#" * 1_048_577, "larger than 1048576 bytes"),
]

GOOD: list[str] = [
    "",
    "# nothing yet\n",
    "---\n",
    "\ufeffcache: {ttl_s: 5}",
    "cache:\nshield:\n# both headings are still empty\n",
    "profile: budget",
    "data_dir: ~/switchgear",
    "cache: {enabled: false}",
    "request: {deadline_s: 1e2}",
    "roles: {code: [claude-opus-5-5, smollm2]}",
    "roles: {vision: [gemini-3.8-flash]}\nagents: [{name: eyes, description: Looks., role: vision}]",
    "agents: [{name: python, temperature: 0}]",
    "agents: [{name: rust, enabled: false}]\nteams: [{name: code, agents: [python, javascript]}]",
    "teams: [{name: data, enabled: false}]",
    "providers: {vllm: {base_url: 'http://gpu-1.internal:8000/v1'}}",
    "providers: {v6: {base_url: 'http://[::1]:8000/v1', local: true}}",
    "providers: {litellm: {api_key_env: null}}",
    "models: {m: {provider: vllm, model: 'org/model:tag', context_window: 8192}}",
    "models: {smollm2: {price: {input: 0.1, output: 0.2, cached: 0.01, cache_write: 0.2}}}",
    "models: {smollm2: {price: null}}",
    "tools: [{name: weather, description: Tells the weather., providers: [met]}]",
    "agents: [{name: a, description: 'Knows sk-learn, keys and tokens.'}]",
    "agents: [{name: a, description: 'Bearer authentication, key-value-stores and sk-learn-pipelines-for-all.'}]",
    "roles: {token: [smollm2]}\nmodels: {secret: {provider: ollama, model: s}}",
    "redis: {cache_url: 'redis://cache.internal:6379/1'}",
    'cache: {"ttl_s": 60}',
    "teams: [{name: all, description: 'no', agents: [sql, python]}]",
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_at_least_two_hundred_mutants_and_fifty_good_files_are_tried() -> None:
    """The two families below have the size that fault 84 asks for."""
    assert len(NUMBERS) * len(NEVER_A_NUMBER) + len(BAD) + len(NOT_YAML) >= 200
    assert len(NUMBERS) + len(GOOD) >= 50


def test_no_number_accepts_a_negative_a_text_a_list_or_a_truth(tmp_path: Path) -> None:
    """Each refusal names file, line, full key path and value."""
    accepted: list[str] = []
    for path in NUMBERS:
        for text, told in NEVER_A_NUMBER.items():
            said = refusal(tmp_path, nested(path, text))
            if not all(part in said for part in ("user.yaml, line 2", ".".join(path), f"got {told}")):
                accepted.append(f"{path} = {text}: {said}")
    assert accepted == []


@pytest.mark.parametrize(("text", "key", "reason"), BAD)
def test_an_impossible_setting_is_refused_with_its_key_and_the_reason(
    text: str, key: str, reason: str, tmp_path: Path
) -> None:
    """One wrong thing per file, and the message says where and what."""
    said = refusal(tmp_path, text)
    assert key in said
    assert reason in said


@pytest.mark.parametrize(("text", "reason"), NOT_YAML)
def test_a_text_that_holds_no_settings_is_refused_with_the_place(
    text: str | bytes, reason: str, tmp_path: Path
) -> None:
    """Syntax, encoding, size and nesting are the file's problem and nobody's crash."""
    said = refusal(tmp_path, text)
    assert "user.yaml" in said
    assert reason in said


def test_every_number_takes_another_number_that_fits(tmp_path: Path) -> None:
    """What the limits allow is accepted, one setting at a time, and arrives."""
    arrived: dict[tuple[str, ...], float] = {}
    wanted: dict[tuple[str, ...], float] = {}
    for path, default in NUMBERS.items():
        share = default * 0.95 if default else 0.5
        other = share if isinstance(default, float) and default <= 1 else default + 1
        here: object = load_text(tmp_path, nested(path, str(other)))
        for key in path:
            here = getattr(here, key)
        assert isinstance(here, float | int)
        arrived[path], wanted[path] = here, other
    assert arrived == wanted


@pytest.mark.parametrize("text", GOOD)
def test_a_possible_file_is_accepted(text: str, tmp_path: Path) -> None:
    """0 false refusals."""
    assert refusal(tmp_path, text) == ""


def test_no_refusal_repeats_the_secret(tmp_path: Path) -> None:
    """What looks like a key stays out of the message, whatever the key path is called."""
    secrets = ["sk-abcdefghijklmnopqrstuvw7", "hunter2", "pa55word", "ghp_abcdefghijklmnopqrst0123"]
    said = "\n".join(refusal(tmp_path, text) for text, _, _ in BAD)
    assert [secret for secret in secrets if secret in said] == []


def test_all_problems_of_all_sources_arrive_in_one_message(tmp_path: Path) -> None:
    """Three wrong lines and a wrong variable are four problems, not one at a time."""
    said = refusal(
        tmp_path,
        "cache: {ttl: 5}\nbreaker: {open_s: -5}\nroles: {code: [nope]}",
        {"SWITCHGEAR_CASHE__TTL_S": "5"},
    )
    assert said.startswith("4 problems in the configuration:")
    assert all(key in said for key in ("cache.ttl", "breaker.open_s", "roles.code[0]", "SWITCHGEAR_CASHE__TTL_S"))
