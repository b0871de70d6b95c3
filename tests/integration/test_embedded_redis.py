"""Embedded Redis as its users see it: one server per role and folder, what it keeps, whom it lets in."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError

from configs.settings import EmbeddedSettings
from memory.embedded.attach import Attachment, attach
from memory.embedded.folder import Home, make_home, write_private
from memory.embedded.locks import is_held, open_lock, try_exclusive
from memory.embedded.redis_server import redis_cache, redis_state
from memory.embedded.status import status
from memory.embedded.values import BackendStatus, Progress, Running
from tests.support.embedded import (
    SETTINGS,
    alive,
    assert_nothing_left,
    client_of,
    environment_of,
    files_with,
    gone,
    inet_sockets,
    open_files,
    pids,
    seen,
    shown,
    users,
)

RUNNING = Running(
    state="ready",
    address="unix:///somewhere",
    secret="5ec4e7",
    version="8.2.3",
    minder_pid=11,
    pid=12,
    host="here",
    started_at_s=1.5,
    restarts=0,
)
STATE, CACHE = redis_state(), redis_cache(16)
ODD_NAMES = {
    "spaces and quotes": 'it\'s "my" data \\ folder',
    "other scripts": "Ω данные 資料",
    "control characters": "two\nlines\tand a bell\a",
    "no text at all": os.fsdecode(b"\xff\xfe"),
    "percent signs": "100%41%",
}


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert_nothing_left(tmp_path)


@pytest.mark.req("serve.embedded")
async def test_both_roles_start_together_and_are_what_they_should_be(tmp_path: Path) -> None:
    """State is durable and never evicts, cache is capped and evicts, each in a process of its own (X0)."""
    state, cache = await asyncio.gather(attach(STATE, tmp_path, SETTINGS), attach(CACHE, tmp_path, SETTINGS))
    async with state, cache, client_of(state) as of_state, client_of(cache) as of_cache:
        kept, capped = await of_state.info(), await of_cache.info()
        assert (kept["maxmemory_policy"], kept["aof_enabled"], kept["maxmemory"]) == ("noeviction", 1, 0)
        assert (capped["maxmemory_policy"], capped["aof_enabled"]) == ("allkeys-lru", 0)
        assert capped["maxmemory"] == 16 * 1024 * 1024
        assert kept["process_id"] != capped["process_id"]
        assert state.version == kept["redis_version"]


async def test_a_second_process_shares_the_server_and_the_last_to_leave_stops_it(tmp_path: Path) -> None:
    """Attach-or-start: one server for all; it stays while anyone is left and ends with the last."""
    with users(tmp_path, 1, "redis.state") as (other,):
        addresses = other.attached()
        minder, server = await pids(tmp_path, "redis.state")
        async with await attach(STATE, tmp_path, SETTINGS) as mine:
            assert mine.address == addresses["redis.state"]
            assert await pids(tmp_path, "redis.state") == (minder, server)
            assert other.leave() == 0
            assert not gone(server, 0.2)
        assert gone(server, 0)
        assert gone(minder)


async def test_leaving_last_returns_when_everything_has_stopped(tmp_path: Path) -> None:
    """A caller may delete the folder right after."""
    async with await attach(STATE, tmp_path, SETTINGS):
        _, server = await pids(tmp_path, "redis.state")
        home = tmp_path / "embedded" / "redis.state"
        assert (home / "socket").is_socket()
    assert gone(server, 0)
    assert await seen(tmp_path, "redis.state") == BackendStatus(name="redis.state", state="stopped")
    assert not (home / "socket").exists()
    assert not (home / "ready.json").exists()


async def test_leaving_first_does_not_wait_for_the_others(tmp_path: Path) -> None:
    """Two attachments of one process are two users; the second to leave ends the server, and may do so twice."""
    first, second = await attach(STATE, tmp_path, SETTINGS), await attach(STATE, tmp_path, SETTINGS)
    await first.leave()
    async with client_of(second) as client:
        assert await client.ping()
    await second.leave()
    await second.leave()
    assert (await seen(tmp_path, "redis.state")).state == "stopped"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """The folder of ``redis.state``, made beforehand."""
    return make_home(tmp_path, "redis.state")


async def test_leaving_waits_for_a_minder_that_stops_already(home: Home) -> None:
    """Two users leave at once: the one that was not last waits as well, until the minder is gone."""
    with open_lock(home.minder_lock) as minder, open_lock(home.users_lock) as stopping:
        assert try_exclusive(minder)
        assert try_exclusive(stopping)
        leaving = asyncio.create_task(attachment_of(home, SETTINGS).leave())
        done, _ = await asyncio.wait((leaving,), timeout=0.1)
        assert not done
        minder.close()
        async with asyncio.timeout(2):
            await leaving


async def test_leaving_does_not_wait_for_a_server_that_someone_else_took_over(home: Home) -> None:
    """Last for a moment only: a server that is still announced is wanted, whoever it was that came."""
    patient = SETTINGS.model_copy(update={"stop_s": 60.0})
    await asyncio.to_thread(write_private, home.ready, RUNNING.to_json())
    with open_lock(home.minder_lock) as minder:
        assert try_exclusive(minder)
        async with asyncio.timeout(5):
            await attachment_of(home, patient).leave()
        assert await asyncio.to_thread(is_held, home.minder_lock)


def attachment_of(home: Home, settings: EmbeddedSettings) -> Attachment:
    """An attachment of a user whose lock is its only trace."""
    return Attachment("redis.state", home, RUNNING, open_lock(home.users_lock), settings)


async def test_both_roles_keep_their_data_over_a_clean_stop(tmp_path: Path) -> None:
    """State by its append-only file, the cache by a snapshot: two commands in a row share it."""
    for spec in (STATE, CACHE):
        async with await attach(spec, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
            await client.set("key", spec.name)
    for spec in (STATE, CACHE):
        async with await attach(spec, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
            assert await client.get("key") == spec.name.encode()


async def test_a_snapshot_is_read_once_so_that_a_crash_brings_nothing_back(tmp_path: Path) -> None:
    """What was deleted from the cache stays deleted, however the server ends."""
    async with await attach(CACHE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        await client.set("key", "wrong answer")
    async with await attach(CACHE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        assert await client.delete("key") == 1
        for pid in await pids(tmp_path, "redis.cache"):
            os.kill(pid, signal.SIGKILL)
    async with await attach(CACHE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        assert await client.dbsize() == 0


async def test_a_damaged_snapshot_costs_its_content_and_not_the_start(tmp_path: Path) -> None:
    """A cache that cannot be read is an empty cache."""
    async with await attach(CACHE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        await client.set("key", "value")
    damage(tmp_path / "embedded" / "redis.cache" / "data" / "dump.rdb")
    async with await attach(CACHE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        assert await client.dbsize() == 0


def damage(snapshot: Path) -> None:
    """Cut a file in the middle."""
    os.truncate(snapshot, snapshot.stat().st_size // 2)


async def test_the_data_is_locked_for_as_long_as_the_server_itself_lives(tmp_path: Path) -> None:
    """Not the minder but the server holds the lock that keeps a second one off the same file."""
    lock = tmp_path / "embedded" / "redis.state" / "child.lock"
    async with await attach(STATE, tmp_path, SETTINGS):
        minder, server = await pids(tmp_path, "redis.state")
        assert holders(lock, minder, server) == [server]
    assert holders(lock, minder, server) == []


def holders(lock: Path, *pids: int) -> list[int]:
    """Which of these processes have the file open."""
    return [pid for pid in pids if alive(pid) and str(lock) in open_files(pid)]


async def test_two_folders_are_two_worlds(tmp_path: Path) -> None:
    """Nothing written in one is seen in the other."""
    here, there = await asyncio.gather(
        attach(STATE, tmp_path / "a", SETTINGS), attach(STATE, tmp_path / "b", SETTINGS)
    )
    async with here, there, client_of(here) as mine, client_of(there) as theirs:
        await mine.set("key", "mine")
        assert await theirs.get("key") is None
        assert here.secret != there.secret


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES)
async def test_any_folder_name_works(tmp_path: Path, name: str) -> None:
    """Quoting is ours to get right, in redis.conf, in the URL and in the minder's plan."""
    async with await attach(STATE, tmp_path / name, SETTINGS) as attachment, client_of(attachment) as client:
        assert await client.set("key", "value")
    assert (tmp_path / name / "embedded" / "redis.state" / "data" / "appendonlydir").is_dir()


async def test_a_path_over_the_socket_limit_moves_the_socket_to_a_private_folder(tmp_path: Path) -> None:
    """A socket path has 107 bytes; the folder may have thousands. The detour is private and is cleaned up."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    async with await attach(STATE, deep, SETTINGS) as attachment, client_of(attachment) as client:
        short = Path(attachment.address.removeprefix("unix://")).parent
        assert short.name.startswith("switchgear-")
        assert private_folder(short)
        assert await client.ping()
    assert not private_folder(short)


def private_folder(path: Path) -> bool:
    """Whether the folder exists and is nobody else's business."""
    return path.is_dir() and path.stat().st_mode & 0o777 == 0o700 and path.stat().st_uid == os.geteuid()


async def test_redis_listens_on_no_port(tmp_path: Path) -> None:
    """Nobody reaches it over the network, not even from this machine."""
    async with await attach(STATE, tmp_path, SETTINGS), await attach(CACHE, tmp_path, SETTINGS):
        for name in ("redis.state", "redis.cache"):
            _, server = await pids(tmp_path, name)
            assert inet_sockets(server) == []


async def test_an_application_cannot_take_the_server_apart(tmp_path: Path) -> None:
    """X6: what the engine never needs, a confused engine cannot do; its scripts still run."""
    destructive = ("FLUSHALL", "FLUSHDB", "KEYS *", "CONFIG GET *", "SHUTDOWN", "REPLICAOF NO ONE", "ACL LIST")
    async with await attach(CACHE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        for command in destructive:
            with pytest.raises(NoPermissionError):
                await client.execute_command(*command.split())
        assert await client.eval("return redis.call('INCR', KEYS[1])", 1, "counter") == 1


async def test_the_password_is_checked_and_shown_nowhere(tmp_path: Path) -> None:
    """A second fence behind the folder's 0700; no process list or environment gives it away."""
    async with await attach(STATE, tmp_path, SETTINGS) as attachment:
        assert attachment.secret is not None
        secret = attachment.secret.get_secret_value()
        client = Redis.from_url(attachment.address, password="wrong")
        with pytest.raises(RedisConnectionError, match="invalid username-password"):
            await client.ping()
        await client.aclose()
        for pid in await pids(tmp_path, "redis.state"):
            assert secret not in shown(pid) + environment_of(pid)
        assert secret not in repr(attachment.secret)
        assert files_with(tmp_path, secret) == {"ready.json": 0o600, "secret": 0o600}


async def test_provider_keys_do_not_reach_the_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minder and server get an environment of their own."""
    monkeypatch.setenv("SOME_PROVIDER_KEY", "canary-7f3a")
    async with await attach(STATE, tmp_path, SETTINGS):
        for pid in await pids(tmp_path, "redis.state"):
            assert "canary-7f3a" not in environment_of(pid)


async def test_a_key_press_in_the_terminal_does_not_reach_them(tmp_path: Path) -> None:
    """Ctrl-C goes to the terminal's session; minder and server live in one of their own."""
    async with await attach(STATE, tmp_path, SETTINGS):
        assert os.getsid(0) not in {os.getsid(pid) for pid in await pids(tmp_path, "redis.state")}


async def test_people_see_in_the_process_list_what_runs_where(tmp_path: Path) -> None:
    """Role and folder stand in the arguments of both processes."""
    async with await attach(STATE, tmp_path, SETTINGS):
        for pid in await pids(tmp_path, "redis.state"):
            assert "redis.state" in shown(pid)
            assert str(tmp_path) in shown(pid)


async def test_status_starts_and_makes_nothing(tmp_path: Path) -> None:
    """``doctor`` on a folder that was never used leaves it unused."""
    assert await asyncio.to_thread(status, tmp_path / "never") == ()
    assert files_with(tmp_path, "") == {}
    async with await attach(STATE, tmp_path, SETTINGS) as attachment:
        running = await seen(tmp_path, "redis.state")
        assert (running.state, running.address, running.version) == (
            "ready",
            attachment.address,
            attachment.version,
        )
        assert running.restarts == 0
        assert running.uptime_s is not None
        assert running.uptime_s >= 0


async def test_progress_tells_a_start_from_joining_one(tmp_path: Path) -> None:
    """A bar has something to show while a server starts, and nothing to invent when it runs already."""
    told: list[Progress] = []
    first = await attach(STATE, tmp_path, SETTINGS, progress=told.append)
    async with first, await attach(STATE, tmp_path, SETTINGS, progress=told.append):
        await asyncio.sleep(0)
    assert [(one.backend, one.phase) for one in told] == [
        ("redis.state", phase) for phase in ("checking", "starting", "ready", "ready")
    ]
