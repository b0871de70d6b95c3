"""``switchgear cache`` on an embedded cache that an engine has filled."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from configs.kernel import Principal, Usage
from configs.load import load_settings
from configs.settings import Settings
from engine import compose
from engine.app import Engine
from engine.cache import verifier_file
from engine.cache.fingerprint import tenant_of, user_of
from engine.cache.question import pack
from engine.cache_desk import CacheDesk
from engine.cached import CachedAnswer, Entry, Provenance
from engine.cli import console
from engine.cli.main import main
from engine.gateway.admit import Options, build_request
from engine.types import Request
from tests.support.answer_caches import DECISION
from tests.support.paraphrases import believe, one_encoder

ASKED = "Write a Python function that sorts people by age"
FLOUR = "How many grams are in [5] kg of flour?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


class Command:
    """``switchgear cache`` in this process, in a folder of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: str | Path) -> Ran:
        """Run it with ``args``."""
        for cached in (console.out, console.err):
            cached.cache_clear()
        with pytest.raises(SystemExit) as left:
            main(["cache", *map(str, args)])
        said = self._capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Ran(code=left.value.code, out=said.out, err=said.err)

    def refusal(self, *args: str | Path) -> tuple[int, str]:
        """Exit code and code of the error that ``--json`` prints; nothing is on stderr then."""
        ran = self(*args, "--json")
        assert ran.err == ""
        return ran.code, ran.json["error"]["code"]

    def count(self) -> int:
        """Entries in the cache."""
        return int(self("stats", "--json").json["entries"])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command with an empty home, and a verifier that believes what the guard lets through."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWITCHGEAR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(compose, "load_encoder", one_encoder)
    monkeypatch.setattr(verifier_file, "load_verifier", believe)
    return Command(capsys)


@pytest.fixture
def filled(cache: Command, tmp_path: Path) -> Command:
    """Three answers: two of ada's, one of them tagged, and one of bob's in another tenant."""
    asyncio.run(_fill(load_settings("local", environ={"SWITCHGEAR_HOME": str(tmp_path / "home")})))
    return cache


async def _fill(settings: Settings) -> None:
    async with Engine.open(settings=settings) as engine:
        for text, user, tenant, options in (
            (ASKED, "ada", "default", Options(tags={"team": "red"})),
            (FLOUR, "ada", "default", Options(agent="general")),
            (ASKED, "bob", "acme", Options(agent="python")),
        ):
            who = Principal(user_id=user, tenant_id=tenant)
            request = build_request(text, who, options, settings, request_id="r", now_s=0.0)
            await _put(engine.cache, request, options.agent or "python")


async def _put(desk: CacheDesk, request: Request, agent: str) -> None:
    """An answer to it, as an engine stores one."""
    who = request.principal
    source = Provenance(
        by=user_of(who),
        tenant=tenant_of(who.tenant_id),
        agent=agent,
        agent_version="0" * 64,
        request_id=request.id,
        tags=request.tags,
    )
    said = CachedAnswer(
        text="the [answer] of a model",
        decision=replace(DECISION, agent=agent),
        model="m",
        usage=Usage(),
        stored_at_s=1e9,
        question=request.question,
        provenance=source,
    )
    read = await desk.read(request.question)
    assert read is not None
    assert desk.store is not None
    entry = Entry(place=desk.lookup_of(request).own, answer=said, ttl_s=600, question=pack(read))
    assert await desk.store.put(entry)


@pytest.mark.req("serve.cli", "cache.write")
def test_entries_are_counted_found_and_exported(filled: Command, tmp_path: Path):
    """By words, tag, agent, age, user and tenant; the export has texts and provenance, for its owner only."""
    assert filled("stats", "--json").json["vectors"] == 3
    for choice, count in (
        (("the [answer]", "--tag", "team=red", "--agent", "python", "--user", "ada"), 1),
        (("--user", "bob", "--tenant", "acme"), 1),
        (("--tenant", "default"), 2),
        (("--agent-version", "0000", "--older-than", "1h"), 3),
        (("--agent-version", "00001"), 0),
    ):
        assert len(filled("search", *choice, "--json").json) == count, choice
    shown = filled("search", "--limit", "1")
    assert (shown.code, FLOUR in shown.out or ASKED in shown.out, "2 more" in shown.err) == (0, True, True)
    assert "[answer]" in shown.out
    file = tmp_path / "entries.jsonl"
    assert filled("export", file, "--user", "ada", "--json").json == {"entries": 2, "file": str(file)}
    rows = {row["question"]: row for row in map(json.loads, file.read_text().splitlines())}
    assert set(rows) == {ASKED, FLOUR}
    assert rows[ASKED]["provenance"]["tags"] == {"team": "red"}
    assert rows[ASKED]["text"] == "the [answer] of a model"
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.req("serve.cli", "cache.write")
def test_a_dry_run_deletes_nothing_and_yes_deletes_what_it_showed(filled: Command):
    """Twice the same count, first without and then with ``--yes``; everything has to be said."""
    dry = filled("invalidate", "--user", "ada")
    assert (dry.code, "2 entries would be forgotten; say --yes" in dry.err) == (0, True)
    assert FLOUR in dry.out
    assert filled.count() == 3
    done = filled("invalidate", "--user", "ada", "--yes", "--json").json
    assert (done["count"], done["dry_run"], len(done["examples"])) == (2, False, 2)
    assert filled.count() == 1
    everything = filled("invalidate", "--everything", "--yes")
    assert (everything.code, "1 entry forgotten" in everything.err) == (0, True)
    assert filled.count() == 0
    assert filled("search", "--json").json == []
    assert "no such entry" in filled("search").err


@pytest.mark.req("serve.cli", "cache.semantic", "cache.scope")
def test_what_is_near_a_question_is_shown_for_one_user_with_the_verdict(filled: Command):
    """Ada's own entry with its rule; nothing for bob of the same tenant."""
    asked = ("search", "--near", FLOUR.replace("5", "50"), "--agent", "general", "--user", "ada")
    (near,) = filled(*asked, "--json").json
    assert (near["question"], near["agent"], near["verdict"]["rule"]) == (FLOUR, "general", "number")
    assert "50 against 5" in filled(*asked).out
    nobody = filled("search", "--near", FLOUR, "--user", "bob", "--agent", "general")
    assert (
        nobody.code,
        nobody.out,
        "user bob, tenant default, agent general, this configuration" in nobody.err,
    ) == (0, "", True)


@pytest.mark.req("serve.cli", "cache.verify")
def test_a_pair_is_explained_in_the_words_that_decide(cache: Command):
    """Which rule refused and in which words; served; one text, which never gets that far; none at all."""
    refused = cache("explain", "How do I enable 2FA?", "How do I disable 2FA?")
    assert refused.code == 0
    assert "not served: antonym: disable against enable" in refused.out
    assert "refused by the guard" in refused.out
    served = cache("explain", "How do I enable 2FA?", "How can I enable 2FA?", "--json").json
    assert (served["exact"], served["accepted"], served["rule"]) == (False, True, "accepted")
    same = cache("explain", "How do I enable 2FA?", "How do I enable 2FA?  ")
    assert same.out.startswith("the same text: the exact tier serves it")
    assert "served: one answer does for both" in same.out
    assert cache.refusal("explain", "", "How do I enable 2FA?") == (2, "unreadable_question")


@pytest.mark.req("serve.cli", "cache.write")
@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("invalidate",), "empty_selection"),
        (("invalidate", "--yes"), "empty_selection"),
        (("invalidate", "", "--yes"), "blank_selection"),
        (("invalidate", "--agent", "python", "--agent-version", "", "--yes"), "blank_selection"),
        (("invalidate", "--user", " ", "--yes"), "blank_selection"),
        (("invalidate", "--tag", "=red", "--yes"), "blank_selection"),
        (("invalidate", "--everything", "--agent", "python", "--yes"), "contradictory_selection"),
        (("invalidate", "--older-than", "5x"), "invalid_age"),
        (("search", "--older-than", "-5s"), "invalid_age"),
        (("search", "--near"), "invalid_search"),
        (("search", "flour", "--near", "--tag", "team"), "invalid_search"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_opens(
    cache: Command, tmp_path: Path, args: tuple[str, ...], code: str
):
    """Exit code 2 and a hint; no data folder has come into being. A variable a script forgot deletes nothing."""
    assert cache.refusal(*args) == (2, code)
    ran = cache(*args)
    assert (ran.code, ran.out, "→" in ran.err) == (2, "", True)
    assert not (tmp_path / "home").exists()


@pytest.mark.req("serve.cli")
def test_an_agent_without_entries_that_nobody_knows_is_a_typing_error(cache: Command, tmp_path: Path):
    """With the nearest name; a known agent without entries is none."""
    for command in (("search",), ("invalidate", "--yes"), ("export", tmp_path / "x.jsonl")):
        ran = cache(*command, "--agent", "pyton")
        assert (ran.code, "did you mean 'python'?" in ran.err) == (2, True)
    assert not (tmp_path / "x.jsonl").exists()
    none = cache("invalidate", "--agent", "python")
    assert (none.code, none.out, none.err.startswith("no such entry")) == (0, "", True)


@pytest.mark.req("serve.cli")
def test_without_a_cache_commands_fail_and_say_why(cache: Command, tmp_path: Path):
    """Exit code 1; explaining needs none."""
    config = tmp_path / "off.yaml"
    config.write_text("cache: {enabled: false}\n")
    for args in (("stats",), ("invalidate", "--everything"), ("export", tmp_path / "x.jsonl")):
        ran = cache(*args, "--config", config)
        assert (ran.code, "the cache is switched off" in ran.err, ran.out) == (1, True, "")
    assert cache.refusal("stats", "--config", config) == (1, "backend_unavailable")
    assert cache("explain", "How do I enable 2FA?", "How do I disable 2FA?", "--config", config).code == 0
