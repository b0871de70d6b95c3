"""Nothing scripted: the real router, the real local model, the real cache, as a newcomer meets them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from engine.types import Source
from examples.first_light import as_promised

ROOT = Path(__file__).resolve().parents[2]


async def run(home: Path, *command: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a Python module run from the project's folder on a fresh data folder."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *command),
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "SWITCHGEAR_HOME": str(home / "data"),
            "COLUMNS": "100",
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.req("serve.embedded", "serve.preload")
@pytest.mark.timeout(180)
async def test_make_run_shows_three_answers_of_three_agents_and_one_hit_every_time(tmp_path: Path):
    """What the README promises of the first command, from the process that the Makefile starts; also later."""
    for _ in ("first", "again, on the same folder"):
        code, out, err = await run(tmp_path, "examples.first_light")
        assert code == 0, out + err
        routes = [line for line in out.splitlines() if line.startswith("└")]
        assert [line.split()[1] for line in routes[:3]] == ["python", "sql", "general"]
        assert all("smollm2" in line and "tokens" in line and "$" in line and "ms" in line for line in routes[:3])
        assert "exact cache" in routes[3]
        assert len(routes) == 4


@pytest.mark.req("serve.embedded")
@pytest.mark.parametrize(
    ("sources", "text", "kept"),
    [
        (("model", "model", "model", "exact_cache"), "words", True),
        (("exact_cache", "exact_cache", "exact_cache", "exact_cache"), "words", False),
        (("model", "model", "model", "model"), "words", False),
        (("model", "model", "exact_cache"), "words", False),
        (("model", "model", "model", "exact_cache"), " ", False),
    ],
)
def test_make_run_fails_when_it_did_not_show_what_it_promises(sources: tuple[Source, ...], text: str, kept: bool):
    """Three answers by the model, with words in them, and one hit; nothing else is exit code 0."""
    assert as_promised([(source, text) for source in sources]) is kept


@pytest.mark.req("obs.health", "serve.cli")
@pytest.mark.timeout(120)
async def test_doctor_uses_every_part_once_and_infers_for_real(tmp_path: Path):
    """Cache, router and local model answer; the backends that ran are listed with version and process."""
    code, out, err = await run(tmp_path, "engine.cli.main", "doctor", "--json")
    assert code == 0, err
    found = json.loads(out)
    checks = {check["name"]: check for check in found["checks"]}
    assert {name: check["verdict"] for name, check in checks.items()} == {
        "cache": "ok",
        "breakers": "ok",
        "router": "ok",
        "paraphrases": "ok",
        "model smollm2": "ok",
    }
    assert "answered" in checks["model smollm2"]["detail"]
    backends = {backend["name"]: backend for backend in found["backends"]}
    assert {"model", "redis.cache"} <= set(backends)
    assert all(backends[name]["pid"] > 0 for name in ("model", "redis.cache"))


@pytest.mark.req("obs.health")
async def test_doctor_says_which_key_is_missing_and_fails_when_the_router_cannot_load(tmp_path: Path):
    """A profile without keys is a warning with the variable's name; a broken router is exit code 1."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"")
    config = tmp_path / "mine.yaml"
    roles = {role: ["claude-haiku-5-5"] for role in ("default", "general", "code", "research", "data")}
    config.write_text(json.dumps({"encoder": {"model_path": str(broken)}, "roles": roles}))
    code, out, _ = await run(tmp_path, "engine.cli.main", "doctor", "--json", "--config", str(config))
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 1
    assert checks["router"]["verdict"] == "fail"
    assert str(broken) in checks["router"]["detail"]
    assert checks["model claude-haiku-5-5"] == {
        "name": "model claude-haiku-5-5",
        "verdict": "warn",
        "detail": "ANTHROPIC_API_KEY is not set",
        "took_ms": None,
    }
