"""``switchgear chaos``: a whole rehearsal on a user's own configuration, and the judgement of what was seen."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from configs.kernel import Outcome
from configs.load import load_settings
from configs.settings import Settings
from engine.chaos.faults import FAULTS
from engine.chaos.measure import Change, Moved, Seen, Shot, amplification, phases, recovered_s, verdicts
from engine.chaos.plan import Expect, parse_plan
from engine.chaos.rehearse import rehearse
from engine.chaos.report import COLUMNS, report_of
from engine.chaos.stage import staged
from engine.cli.chaos_view import rehearsal_view
from engine.cli.main import main
from engine.contract import BreakerState
from engine.types import Attempt
from tests.support.engines import ROLES
from tests.support.fault_lab import one_encoder

__all__ = ["one_encoder"]

KEY = "sk-canary-of-the-user-1234567890"
CONFIG: Mapping[str, Any] = {
    "providers": {
        "first": {"base_url": "https://first.invalid/v1", "api_key_env": "FIRST_API_KEY"},
        "second": {"base_url": "https://second.invalid/v1", "api_key_env": "SECOND_API_KEY"},
    },
    "models": {
        "one": {"provider": "first", "model": "big"},
        "two": {"provider": "second", "model": "big"},
    },
    "roles": {role: ["one", "two"] for role in ROLES},
    "cache": {"enabled": False},
    "breaker": {"shared": False, "open_s": 0.1, "open_s_max": 0.2},
    "shield": {"retries": 0},
}
PLAN: Mapping[str, Any] = {
    "name": "small outage",
    "seed": 7,
    "load": {"requests": 90, "concurrency": 4, "rate": 60.0, "agent": "general", "prompts": ["hello", "good day"]},
    "well": {"reply": "fine"},
    "steps": [
        {"after_requests": 20, "provider": "first", "fault": "503"},
        {"after_requests": 50, "provider": "first", "fault": "well"},
    ],
    "expect": {"success_rate_min": 1.0, "wasted_calls_max": 20, "opens_min": 1, "recovered_within_s": 3.0},
}


async def settings_of(tmp_path: Path, **sections: Any) -> Settings:
    """The user's configuration, as a file would give it."""
    overrides = {**CONFIG, "data_dir": str(tmp_path), **sections}
    return await asyncio.to_thread(load_settings, "local", environ={}, overrides=overrides)


def plan_of(**changes: Any) -> str:
    """The plan's text, with some keys replaced."""
    return yaml.safe_dump({**PLAN, **changes})


@pytest.mark.usefixtures("one_encoder")
async def test_a_rehearsal_fails_over_and_recovers_on_the_users_own_chain(tmp_path: Path) -> None:
    """Nothing fails, the breaker opens and closes, and every call of the outage is accounted for."""
    plan = parse_plan(plan_of(), "plan.yaml")
    done: list[tuple[int, int]] = []
    seen = await rehearse(plan, await settings_of(tmp_path), lambda *progress: done.append(progress))
    report = report_of(plan, "local", seen)
    assert report.holds, report.verdicts
    assert (report.offered, report.failed, report.errors) == (90, 0, {})
    assert report.ok + report.degraded == 90
    assert report.degraded >= 5
    assert done[-1] == (90, 90)
    assert [phase.label for phase in report.phases] == ["start", "provider first: 503", "provider first: well"]
    assert 19 <= report.phases[0].offered < 60  # 20, and what was offered while the change was made
    assert {move.subject for move in report.moves} == {"model:first/big#FIRST_API_KEY"}
    assert report.moves[-1].after is BreakerState.CLOSED
    assert report.wasted_calls["one"] == report.calls - 90 == sum(report.wasted_calls.values())
    assert all(len(drawn) == COLUMNS for _, drawn in report.picture)
    assert not (tmp_path / "redis.state").exists()


@pytest.mark.usefixtures("one_encoder")
async def test_a_store_can_be_broken_too_and_answers_keep_coming(tmp_path: Path) -> None:
    """An embedded cache of the rehearsal's own, behind a proxy: it serves repeats, is lost, and nobody fails."""
    text = plan_of(
        load={**PLAN["load"], "requests": 45, "cache": "default"},
        steps=[{"after_requests": 15, "store": "redis.cache", "network": {"down": True}}],
        expect={"success_rate_min": 1.0, "opens_min": 1},
    )
    settings = await settings_of(tmp_path, cache={"enabled": True}, redis={"timeout_s": 2.0})
    seen = await rehearse(parse_plan(text, "plan.yaml"), settings)
    report = report_of(parse_plan(text, "plan.yaml"), "local", seen)
    assert report.holds, report.verdicts
    before, after = report.phases
    assert any(shot.cached for shot in seen.shots)
    assert not any(shot.cached for shot in seen.shots if shot.due_s > after.from_s + 0.1)
    assert (before.label, after.label) == ("start", "store redis.cache: network: down")
    assert {move.subject for move in report.moves} == {"store:redis.cache"}
    # Without the cache the same question at the same moment is still one call (cache.flight), so there may be few.
    assert 2 * len(PLAN["load"]["prompts"]) <= report.calls <= 45


async def test_the_stage_has_the_users_names_and_none_of_the_users_keys(tmp_path: Path) -> None:
    """Providers, prices, credentials' names and chains stay; addresses are loopback, keys and stores stand-ins."""
    plan = parse_plan(plan_of(), "plan.yaml")
    mine = await settings_of(tmp_path, redis={"cache_url": "redis://example.invalid:6379/0"})
    async with staged(plan, mine) as stage:
        theirs = stage.settings
        assert {
            name: p.base_url.split(":")[1] for name, p in theirs.providers.items() if name in {"first", "second"}
        } == {
            "first": "//127.0.0.1",
            "second": "//127.0.0.1",
        }
        assert (theirs.roles, theirs.models, theirs.breaker) == (mine.roles, mine.models, mine.breaker)
        assert theirs.providers["first"].api_key_env == "FIRST_API_KEY"
        assert set(stage.environ) >= {"FIRST_API_KEY", "SECOND_API_KEY"}
        assert len(set(stage.environ.values())) == 1
        assert (theirs.redis.cache_url, theirs.data_dir == mine.data_dir) == (None, False)
        folder = theirs.data_dir
    assert not folder.exists()


async def test_the_same_seed_fails_the_same_share_of_calls(tmp_path: Path) -> None:
    """What each request of an intermittent fault meets is drawn by the plan's seed."""
    drawn: list[list[int]] = []
    for seed in (3, 3, 4):
        steps = [{"at_s": 0.0, "model": "one", "fault": "500", "share": 0.4}]
        plan = parse_plan(plan_of(seed=seed, steps=steps), "plan.yaml")
        async with staged(plan, await settings_of(tmp_path)) as stage:
            await stage.apply(plan.steps[0])
            choose = stage.providers["first"]._scripts["big"]
            drawn.append([choose().status for _ in range(60)])
    assert drawn[0] == drawn[1] != drawn[2]
    assert 10 < drawn[0].count(500) < 40


@pytest.mark.req("serve.cli")
async def test_the_command_prints_one_json_object_and_fails_when_an_expectation_does(tmp_path: Path) -> None:
    """Exit code 1, the verdict with its number, no key of the user's anywhere, nothing real called."""
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**CONFIG, "profile": "local"}))
    steps = [{"after_requests": 5, "provider": "first", "network": {"down": True}}]
    load = {**PLAN["load"], "requests": 30, "rate": 100.0}
    expect = {"success_rate_min": 1.0, "wasted_calls_max": 0}
    (tmp_path / "plan.yaml").write_text(plan_of(steps=steps, expect=expect, load=load))
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "FIRST_API_KEY": KEY,
        "SWITCHGEAR_HOME": str(tmp_path),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "engine.cli.main", "chaos", "--plan", str(tmp_path / "plan.yaml")),
        *("--config", str(tmp_path / "mine.yaml"), "--json"),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 1, err
    report = json.loads(out)
    verdicts_ = {v["name"]: (v["holds"], v["got"]) for v in report["verdicts"]}
    assert verdicts_["success_rate_min"] == (True, 1.0)
    assert verdicts_["wasted_calls_max"] == (False, report["wasted_calls"]["one"])
    assert (report["holds"], report["offered"], report["failed"]) == (False, 30, 0)
    assert KEY not in (out + err).decode()


@pytest.mark.req("serve.cli")
def test_the_command_lists_the_faults_and_refuses_a_bad_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--list as JSON; a plan with a mistake is exit code 2 and an error with a code, as is no plan at all."""
    codes: list[object] = []
    bad = tmp_path / "bad.yaml"
    bad.write_text(plan_of(seed="x"))
    for arguments in (["--list", "--json"], ["--plan", str(bad), "--json"], []):
        with pytest.raises(SystemExit) as caught:
            main(["chaos", *arguments])
        codes.append(caught.value.code)
    listed, refused = capsys.readouterr().out.split("\n{", 1)
    assert codes == [0, 2, 2]
    assert {"fault": "hang", "rows": [26], "needs_seconds": False}.items() <= next(
        one for one in json.loads(listed) if one["fault"] == "hang"
    ).items()
    assert json.loads("{" + refused)["error"]["code"] == "config_invalid"


@pytest.mark.req("serve.cli")
def test_people_see_a_picture_phases_changes_and_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    """Every part of the report has its place on the screen; --list shows a line for every fault."""
    report = report_of(parse_plan(plan_of(), "plan.yaml"), "local", SEEN)
    picture = dict(report.picture)
    with pytest.raises(SystemExit):
        main(["chaos", "--list"])
    listed = capsys.readouterr().out
    screen = Console(width=160)
    with screen.capture() as capture:
        screen.print(rehearsal_view(report))
    shown = capture.get()
    assert picture["m"] == "·" * 27 + "O" * 33
    assert picture["failed"].count("█") == 1
    for part in ("small outage", "seed 7", "model one: 500", "closed → open", "5 in a row", "amplification 1.60"):
        assert part in shown
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("✘")] == [
        "success_rate_min",
    ]
    assert all(f"{fault.text}" in listed for fault in FAULTS.values() if len(fault.text) < 30)


def attempt(model: str, outcome: Outcome, tries: int = 1) -> Attempt:
    """One attempt."""
    return Attempt(agent="a", model=model, outcome=outcome, called=tries > 0, latency_ms=1.0, tries=tries)


def shot(due_s: float, ended_s: float, *attempts: Attempt, fate: Any = "ok", cached: bool = False) -> Shot:
    """One request."""
    return Shot(due_s=due_s, ended_s=ended_s, fate=fate, attempts=attempts, cached=cached)


OUTAGE = Change(at_s=1.0, subject="model one", what="500", ends_it=False, routes=("one",))
WELL_AGAIN = Change(at_s=2.0, subject="model one", what="well", ends_it=True, routes=("one",))
FAILED, FINE = attempt("one", Outcome.FAIL, 2), attempt("two", Outcome.OK)
SEEN = Seen(
    shots=(
        shot(0.5, 0.6, attempt("one", Outcome.OK)),
        shot(1.5, 1.9, FAILED, FINE, fate="degraded"),
        shot(1.6, 1.7, fate="failed"),
        shot(2.5, 2.6, FINE, fate="degraded"),
        shot(2.9, 3.1, attempt("one", Outcome.OK, 2)),
        shot(3.0, 3.0, cached=True),
    ),
    moves=(
        Moved(at_s=1.8, subject="m", before=BreakerState.CLOSED, after=BreakerState.OPEN, reason="5 in a row"),
    ),
    changes=(OUTAGE, WELL_AGAIN),
    calls=8,
    ended_s=4.0,
    steps=2,
)


def test_every_expectation_is_judged_by_its_own_number() -> None:
    """Each limit just met holds, and just missed does not."""
    exact = {
        "success_rate_min": 5 / 6,
        "p95_ms_max": 400.0,
        "wasted_calls_max": 3.0,
        "amplification_max": 8 / 5,
        "opens_min": 1.0,
        "opens_max": 1.0,
        "recovered_within_s": 1.1,
    }
    got = {v.name: v.got for v in verdicts(SEEN, Expect(success_rate_min=0.0, p95_ms_max=1.0, wasted_calls_max=0,
           amplification_max=1.0, opens_min=0, opens_max=0, recovered_within_s=1.0))}  # fmt: skip
    assert got == {"steps": 2, **{name: pytest.approx(value) for name, value in exact.items()}}
    met = verdicts(SEEN, Expect(success_rate_min=0.8, p95_ms_max=401.0, wasted_calls_max=3, amplification_max=1.6,
                   opens_min=1, opens_max=1, recovered_within_s=1.2))  # fmt: skip
    assert all(verdict.holds for verdict in met)
    missed = verdicts(SEEN, Expect(success_rate_min=0.9, p95_ms_max=399.0, wasted_calls_max=2, opens_min=2,
                      amplification_max=1.5, opens_max=0, recovered_within_s=1.0))  # fmt: skip
    assert [v.name for v in missed if v.holds] == ["steps"]


def test_what_never_happened_fails_its_expectation() -> None:
    """A step that was never reached, and a recovery that never came."""
    cut = Seen(shots=SEEN.shots[:2], moves=(), changes=(OUTAGE,), calls=4, ended_s=2.0, steps=2)
    found = {v.name: v for v in verdicts(cut, Expect(recovered_within_s=9.0))}
    assert (found["steps"].holds, found["recovered_within_s"].holds) == (False, False)
    assert found["recovered_within_s"].got is None
    assert amplification(Seen(shots=(), moves=(), changes=(), calls=0, ended_s=0.0, steps=0)) == 0.0


def test_a_store_has_recovered_when_its_breaker_closes() -> None:
    """Or at once, when it never opened."""
    back = Change(at_s=2.0, subject="store redis.cache", what="well", ends_it=True, store="redis.cache")
    opened = Moved(
        at_s=1.0, subject="store:redis.cache", before=BreakerState.CLOSED, after=BreakerState.OPEN, reason=""
    )
    closed = Moved(
        at_s=2.5, subject="store:redis.cache", before=BreakerState.HALF_OPEN, after=BreakerState.CLOSED, reason=""
    )
    for moves, expected in (((opened, closed), 0.5), ((opened,), None), ((), 0.0)):
        seen = Seen(shots=(), moves=moves, changes=(back,), calls=0, ended_s=3.0, steps=1)
        assert recovered_s(seen) == expected


def test_phases_lie_between_the_changes() -> None:
    """By when a request was due; changes at the same moment are one."""
    found = phases(SEEN)
    assert [(p.label, p.offered, p.ok, p.degraded, p.failed) for p in found] == [
        ("start", 1, 1, 0, 0),
        ("model one: 500", 2, 0, 1, 1),
        ("model one: well", 3, 2, 1, 0),
    ]
    assert (found[1].p50_ms, found[0].from_s, found[2].to_s) == (pytest.approx(400.0), 0.0, 4.0)
    twice = Seen(shots=(), moves=(), changes=(OUTAGE, OUTAGE), calls=0, ended_s=2.0, steps=2)
    assert [p.label for p in phases(twice)] == ["start", "model one: 500; model one: 500"]
