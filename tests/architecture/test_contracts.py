"""The import contracts are complete, and they break when the imports do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.architecture.contracts import listed, pure_modules
from tests.architecture.sources import PACKAGES, ROOT, code

# Modules that decide or describe, by plan; each enters the `pure` contract with the commit that creates it.
DECIDING = {
    *("configs.kernel", "configs.errors", "agents.contract", "agents.errors", "memory.contract", "memory.errors"),
    *("memory.recall", "memory.gate", "mcp_tools.contract", "mcp_tools.errors", "mcp_tools.chain"),
    *("engine.types", "engine.errors", "engine.events", "engine.cached", "engine.contract", "engine.state"),
    "engine.cache.flight_state",
    *("engine.cache.fingerprint", "engine.cache.verdict", "engine.cache.bound", "engine.cache.question"),
    "engine.cache.near",
    *("engine.cache.agree", "engine.cache.bound_region", "engine.cache.intervals", "engine.cache.tally"),
    *(
        "engine.cache.lexicon",
        "engine.cache.dictionary",
        "engine.cache.guard.align",
    ),
    *("engine.cache.guard.figures", "engine.cache.guard.language", "engine.cache.guard.names"),
    *(
        "engine.cache.guard.numbers",
        "engine.cache.guard.pieces",
        "engine.cache.guard.question",
        "engine.cache.guard.rules",
        "engine.cache.guard.text",
    ),
    *("engine.cache.guard.operators", "engine.cache.guard.order", "engine.cache.guard.signs"),
    *("engine.cache.guard.turns", "engine.cache.guard.wording"),
    *("engine.cache.features", "engine.cache.profile", "engine.cache.verifier"),
    *("engine.routing.decide", "engine.routing.select", "engine.routing.chain", "engine.cost.policy"),
    *("engine.routing.contract", "engine.routing.table", "engine.routing.words", "engine.routing.constraints"),
    *("engine.learning.averages", "engine.learning.contract", "engine.learning.ope"),
    *("engine.learning.results", "engine.learning.table"),
    *("engine.routing.explore", "engine.routing.turns"),
    *("engine.routing.policy", "engine.routing.traits"),
    *("engine.gateway.data_class", "engine.gateway.health_data", "engine.gateway.identifiers"),
    "engine.routing.locality",
    *("engine.resilience.gradient", "engine.resilience.latency"),
    *("engine.resilience.breaker", "engine.resilience.window", "engine.resilience.classify"),
    *("engine.resilience.record", "engine.resilience.retry", "engine.resilience.timing", "engine.resilience.wire"),
    *("engine.strategies.merge", "engine.gateway.admit"),
    *("engine.ticket", "engine.queue.contract", "engine.queue.stored"),
    *("engine.registry.contract", "engine.registry.stored"),
    *("engine.splits.assign", "engine.splits.contract", "engine.splits.judge", "engine.splits.report"),
    *("engine.history.contract", "engine.history.labelled", "engine.history.record"),
    *("engine.routing.balance", "engine.routing.facts", "engine.routing.limits"),
    *("engine.routing.features", "engine.routing.head"),
    *("engine.routing.models", "engine.routing.ordering"),
    *("configs.instances", "configs.ratelimit_headers"),
    *("configs.foreign", "configs.http_failure", "configs.retry_after", "memory.translate", "mcp_tools.translate"),
}
# Modules that open connections or start processes: only the composition root may name them.
ADAPTERS = {
    *("memory.embedded.attach", "memory.embedded.local_model", "memory.embedded.redis_server"),
    *("agents.model", "memory.hot", "memory.warm", "memory.cold"),
    *("engine.cache.store", "engine.resilience.shared", "engine.cost.journal"),
    *("engine.queue.redis_queue", "engine.registry.redis_registry", "engine.learning.redis_outcomes"),
    *("engine.cache.redis_leases", "engine.cache.redis_tally", "engine.splits.redis_splits"),
}
PLANTED = {
    "configs/planted.py": "import engine.types\n",
    "engine/cost/planted.py": "import engine.cache.fingerprint\n",
    "agents/planted.py": "import memory.planted\n",
    "memory/planted.py": "\n",
    "engine/gateway/planted.py": "import engine.cache.store\n",
    "engine/types.py": "import httpx\nimport redis\n",
    "engine/planted.py": "import langgraph_api\n",
}


def unlisted(planned: set[str], existing: set[str], contract: set[str]) -> list[str]:
    """Planned modules that exist but are not under the contract, and entries that the plan does not know."""
    missing = [f"{name} exists and is not in the contract" for name in sorted(planned & existing - contract)]
    return missing + [f"{name} is in the contract and not in the plan" for name in sorted(contract - planned)]


def test_every_deciding_module_is_kept_pure() -> None:
    """A deciding module enters the contract in the commit that creates it."""
    assert unlisted(DECIDING, {source.module for source in code()}, pure_modules()) == []


def test_every_adapter_is_kept_to_the_composition_root() -> None:
    """An adapter enters the contract in the commit that creates it."""
    existing = {source.module for source in code()}
    assert unlisted(ADAPTERS, existing, listed("adapters", "protected_modules")) == []


def test_a_forgotten_module_is_caught() -> None:
    """Both a missing entry and an entry out of nowhere are named."""
    assert unlisted({"a"}, {"a"}, set()) == ["a exists and is not in the contract"]
    assert unlisted({"a"}, set(), set()) == []
    assert unlisted(set(), {"b"}, {"b"}) == ["b is in the contract and not in the plan"]


def test_each_contract_breaks_on_a_planted_import(tmp_path: Path) -> None:
    """In a copy with one forbidden import per contract, every contract is reported broken."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=lambda _, names: [n for n in names if n == "data"]
        )
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for path, line in PLANTED.items():
        file = tmp_path / path
        file.write_text((file.read_text(encoding="utf-8") if file.exists() else "") + line, encoding="utf-8")
    ran = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    verdicts = [line for line in ran.stdout.splitlines() if line.endswith((" KEPT", " BROKEN"))]
    assert len(verdicts) == 7, ran.stdout + ran.stderr
    assert [line for line in verdicts if line.endswith(" KEPT")] == []
