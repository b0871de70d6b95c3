"""Embedded backends when processes die: nothing outlives its users, nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.settings import EmbeddedSettings
from memory.embedded.attach import attach
from memory.embedded.redis_server import redis_cache, redis_state
from memory.errors import BackendUnavailable
from tests.support.embedded import (
    SETTINGS,
    assert_nothing_left,
    client_of,
    gone,
    pids,
    plant_server,
    processes_of,
    seen,
    users,
)

STATE, CACHE = redis_state(), redis_cache(16)
DIES_AFTER_ANSWERS = """
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
for _ in range({answers}):
    peer, _ = server.accept()
    login = "+OK\\r\\n+PONG\\r\\n" if b"AUTH" in peer.recv(4096) else "-NOAUTH\\r\\n"
    peer.sendall(f"{{login}}$21\\r\\nredis_version:8.2.3\\r\\n\\r\\n".encode())
    peer.close()
sys.exit("out of answers")
"""


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert_nothing_left(tmp_path)


@pytest.mark.req("serve.embedded")
def test_nothing_outlives_a_kill_of_every_user(tmp_path: Path) -> None:
    """Three users die by SIGKILL at once; servers and minders follow by themselves."""
    with users(tmp_path, 3, "redis.state", "redis.cache") as everyone:
        for user in everyone:
            user.attached()
        running = processes_of(tmp_path / "embedded") | processes_of(tmp_path)
        for user in everyone:
            user.kill()
        backends = [pid for pid, arguments in running.items() if "embedded_user" not in arguments]
        assert len(backends) == 4
        assert all(gone(pid) for pid in backends)


def test_three_processes_that_start_at_once_share_one_server(tmp_path: Path) -> None:
    """A race for the start has one winner; the others get what it started."""
    with users(tmp_path, 3, "redis.state") as everyone:
        addresses = {user.attached()["redis.state"] for user in everyone}
        servers = [text for text in processes_of(tmp_path).values() if text.startswith("switchgear redis.state")]
        assert len(addresses) == 1
        assert len(servers) == 1


async def test_a_killed_server_comes_back_with_its_data(tmp_path: Path) -> None:
    """SIGKILL loses nothing that was acknowledged; address and password stay."""
    async with await attach(STATE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        await client.set("key", "value")
        minder, server = await pids(tmp_path, "redis.state")
        os.kill(server, signal.SIGKILL)
        assert gone(server)
        async with await attach(STATE, tmp_path, SETTINGS):
            status = await seen(tmp_path, "redis.state")
            assert (status.minder_pid, status.restarts) == (minder, 1)
            assert status.pid != server
            assert await client.get("key") == b"value"


async def test_a_killed_minder_takes_its_server_along_and_the_next_attach_starts_anew(tmp_path: Path) -> None:
    """No server without a minder; whoever was attached goes on with the next one, same address and password."""
    async with await attach(STATE, tmp_path, SETTINGS) as before, client_of(before) as client:
        await client.set("key", "value")
        minder, server = await pids(tmp_path, "redis.state")
        os.kill(minder, signal.SIGKILL)
        assert gone(minder)
        assert gone(server)
        assert (await seen(tmp_path, "redis.state")).state == "stopped"
        async with await attach(STATE, tmp_path, SETTINGS) as after:
            assert (after.address, after.secret) == (before.address, before.secret)
            assert await client.get("key") == b"value"


async def test_minder_and_server_killed_together_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """A hundred writes, then both die: all hundred are there."""
    async with await attach(STATE, tmp_path, SETTINGS) as before, client_of(before) as client:
        for number in range(100):
            await client.set(f"key{number}", number)
        for pid in await pids(tmp_path, "redis.state"):
            os.kill(pid, signal.SIGKILL)
    async with await attach(STATE, tmp_path, SETTINGS) as after, client_of(after) as client:
        assert await client.dbsize() == 100


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_minder_that_is_told_to_stop_stops_its_server_cleanly(
    tmp_path: Path, order: signal.Signals
) -> None:
    """A signal to the minder, as at shutdown of the machine: data is synced and users can return."""
    async with await attach(STATE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        await client.set("key", "value")
        minder, server = await pids(tmp_path, "redis.state")
        os.kill(minder, order)
        assert gone(minder)
        assert gone(server, 0)
        assert not (tmp_path / "embedded" / "redis.state" / "ready.json").exists()
        async with await attach(STATE, tmp_path, SETTINGS):
            assert await client.get("key") == b"value"


@pytest.mark.parametrize("phase", ["checking", "starting"])
async def test_a_starter_that_is_killed_leaves_the_start_to_the_next(tmp_path: Path, phase: str) -> None:
    """Its half-made start is finished or thrown away, never left standing."""
    with users(tmp_path, 1, "redis.state", dies_at=phase) as (victim,):
        assert victim.process.wait() == -signal.SIGKILL
        async with await attach(STATE, tmp_path, SETTINGS) as heir, client_of(heir) as client:
            assert await client.ping()


async def test_a_hung_server_is_replaced(tmp_path: Path) -> None:
    """A server that is stopped, not dead, answers nothing: after ``hung_s`` it is killed and started again."""
    impatient = SETTINGS.model_copy(update={"hung_s": 0.5, "probe_s": 0.1})
    async with await attach(STATE, tmp_path, impatient) as attachment, client_of(attachment) as client:
        await client.set("key", "value")
        _, server = await pids(tmp_path, "redis.state")
        os.kill(server, signal.SIGSTOP)
        assert gone(server)
        async with await attach(STATE, tmp_path, impatient):
            assert await client.get("key") == b"value"


async def test_a_server_that_keeps_dying_is_reported_to_who_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restarts go on in the background, slower each time; who attaches meanwhile hears why it does not work."""
    quick = EmbeddedSettings(start_s=1.0, stop_s=0.5, restart_backoff_s=0.05, restart_backoff_s_max=30.0)
    site = tmp_path / "site"
    binary = plant_server(site, DIES_AFTER_ANSWERS.format(answers=2))
    monkeypatch.syspath_prepend(str(site))
    async with await attach(STATE, tmp_path, quick):
        binary.write_text("#!/bin/sh\necho no more; exit 7\n")
        minder = (await seen(tmp_path, "redis.state")).minder_pid
        with pytest.raises(BackendUnavailable, match=r"being restarted: the server .*status 7; .*no more"):
            await attach(STATE, tmp_path, quick)
        status = await seen(tmp_path, "redis.state")
        assert (status.state, status.minder_pid) == ("restarting", minder)
        assert 2 <= status.restarts <= 7  # 0.05 s, doubled each time, within 2 s


async def test_a_folder_that_was_deleted_and_made_again_belongs_to_its_new_minder(tmp_path: Path) -> None:
    """The minder of the deleted folder ends with its users and does not touch what came after it."""
    old = await attach(STATE, tmp_path, SETTINGS)
    old_minder, old_server = await pids(tmp_path, "redis.state")
    await asyncio.to_thread(shutil.rmtree, tmp_path / "embedded")
    async with await attach(STATE, tmp_path, SETTINGS) as new, client_of(new) as client:
        await old.leave()
        assert gone(old_minder)
        assert gone(old_server)
        assert (await seen(tmp_path, "redis.state")).state == "ready"
        assert await client.ping()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_storm_of_starts_kills_and_leaves_ends_in_calm(tmp_path: Path) -> None:
    """Sixty rounds of users that come, leave and die, and of minders killed: always one server, at last none."""
    chance = random.Random(7)
    for _ in range(60):
        with users(tmp_path, chance.randint(1, 4), "redis.state", "redis.cache") as everyone:
            survivors = [user for user in everyone if chance.random() < 0.7]
            for user in everyone:
                if user not in survivors:
                    user.kill()
            for user in survivors:
                assert set(user.attached()) == {"redis.state", "redis.cache"}
            running = processes_of(tmp_path)
            servers = [text for text in running.values() if text.startswith("switchgear redis.state")]
            assert len(servers) == (1 if survivors else len(servers))
            if chance.random() < 0.5:
                for minder in [pid for pid, text in running.items() if "embedded.minder" in text][:1]:
                    os.kill(minder, signal.SIGKILL)
        assert_nothing_left(tmp_path)
