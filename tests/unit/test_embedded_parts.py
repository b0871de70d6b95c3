"""Parts of the embedded backends that need no server: values, quoting, locks, the folder, the weights' check."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.settings import EmbeddedSettings
from memory.embedded import local_model, socket_path
from memory.embedded.child import end_leftover, take_child_lock
from memory.embedded.folder import Home, home_of, log_tail, make_home, read_ready, remove_leftovers, write_private
from memory.embedded.local_model import WEIGHTS_BYTES, WEIGHTS_FILE, verify_weights
from memory.embedded.locks import is_held, open_lock, try_exclusive, try_shared
from memory.embedded.redis_server import configuration, quoted, redis_cache, redis_state
from memory.embedded.socket_path import place_socket
from memory.embedded.status import status
from memory.embedded.values import BackendStatus, Place, Plan, Running
from memory.errors import BackendFileError
from tests.support.embedded import gone

RUNNING = Running(
    state="restarting",
    address="unix:///somewhere",
    secret="5ec4e7",
    version="8.2.3",
    minder_pid=11,
    pid=12,
    host="here",
    started_at_s=1.5,
    restarts=3,
    detail="it fell over",
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A fresh folder of a backend."""
    return make_home(tmp_path, "redis.state")


def test_a_plan_survives_the_pipe_with_bytes_that_are_no_text() -> None:
    """The minder reads exactly what the starter meant, odd paths included."""
    plan = Plan(
        name="redis.state",
        folder=os.fsdecode(b"/data/\xff"),
        argv=("redis-server", "-"),
        config='port 0\nunixsocket "a"\n',
        env={"PATH": "/bin"},
        address=None,
        secret="s",
        probe="redis",
        min_version=None,
        snapshots=("dump.rdb",),
        lock_fd=7,
        start_s=1.0,
        stop_s=2.0,
        probe_s=0.5,
        hung_s=None,
        backoff_s=0.1,
        backoff_s_max=1.0,
    )
    assert plan.to_json().isascii()
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"text"', b'{"state": "ready"}', b"{} {}"])
def test_a_torn_ready_file_counts_as_none(home: Home, data: bytes) -> None:
    """After a power cut a file may hold anything; nothing but a whole record is believed."""
    home.ready.write_bytes(data)
    assert read_ready(home) is None
    write_private(home.ready, RUNNING.to_json())
    assert read_ready(home) == RUNNING


def test_a_private_file_is_whole_or_absent_and_nobody_elses(home: Home) -> None:
    """A failed write leaves the old content and no draft."""
    write_private(home.ready, b"first")
    assert home.ready.stat().st_mode & 0o777 == 0o600
    (home.folder / "blocked").mkdir()
    with pytest.raises(OSError, match="blocked"):
        write_private(home.folder / "blocked", b"second")
    assert home.ready.read_bytes() == b"first"
    assert [path.name for path in home.folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/plain/path", '"/plain/path"'),
        ('say "hi"', r'"say \x22hi\x22"'),
        ("back\\slash", r'"back\x5cslash"'),
        ("two\nlines", r'"two\x0alines"'),
        ("é", r'"\xc3\xa9"'),
        (os.fsdecode(b"\xff"), r'"\xff"'),
    ],
)
def test_text_of_any_kind_stays_one_word_of_redis_conf(text: str, expected: str) -> None:
    """No path can end a line of the configuration and begin another."""
    assert quoted(text) == expected


def test_the_redis_configuration_contains_no_password_and_no_port() -> None:
    """Only the digest is written down; both roles listen on the socket alone."""
    place = Place(folder=Path("/f"), socket=Path("/f/socket"), secret="hunter2")
    state = configuration("redis.state", ("appendonly yes",), place).splitlines()
    assert "hunter2" not in "\n".join(state)
    assert state[0] == "port 0"
    assert 'unixsocket "/f/socket"' in state
    assert [line for line in state if line.startswith(("loadmodule", "bind", "port"))] == ["port 0"]


def test_each_role_names_its_own_setting_for_the_real_service() -> None:
    """What to do instead is the first thing a platform without the wheel asks."""
    assert "`redis.state_url`" in redis_state().instead
    assert "`redis.cache_url`" in redis_cache(16).instead
    assert "providers" in local_model.local_model(EmbeddedSettings()).instead


def test_sharers_keep_the_exclusive_one_out_and_the_other_way_round(home: Home) -> None:
    """Users share; the minder gets the lock only after the last of them."""
    path = home.users_lock
    with open_lock(path) as one, open_lock(path) as two, open_lock(path) as minder:
        assert try_shared(one)
        assert try_shared(two)
        assert not try_exclusive(minder)
        one.close()
        assert not try_exclusive(minder)
        two.close()
        assert try_exclusive(minder)
        assert is_held(path)
    assert not is_held(path)


def test_asking_for_a_lock_that_nobody_made_makes_none(home: Home) -> None:
    """``doctor`` writes nothing."""
    assert not is_held(home.minder_lock)
    assert not home.minder_lock.exists()


def test_a_lock_is_not_inherited_by_other_programs(home: Home) -> None:
    """A tool that an agent starts must not keep a backend alive."""
    with open_lock(home.users_lock) as mine:
        assert try_exclusive(mine)
        program = (sys.executable, "-c", "print(flush=True); input()")
        child = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
        assert child.stdout is not None
        child.stdout.readline()  # it runs
    try:
        assert not is_held(home.users_lock)
    finally:
        child.communicate(b"\n")


def test_a_socket_goes_into_its_folder_while_the_path_fits(tmp_path: Path) -> None:
    """The limit itself still fits, one byte more does not."""
    room = 107 - len(os.fsencode(tmp_path)) - len("/embedded//socket")
    exact, over = make_home(tmp_path, "n" * room), make_home(tmp_path, "n" * (room + 1))
    assert place_socket(exact) == exact.socket
    assert not exact.socket.exists()
    elsewhere = place_socket(over)
    assert elsewhere.parent.name.startswith("switchgear-")
    assert over.socket.readlink() == elsewhere.parent
    remove_leftovers(over)
    assert not elsewhere.parent.exists()


def test_a_file_system_without_sockets_sends_the_socket_elsewhere(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shared folders of virtual machines hold files and no sockets."""
    real = socket_path._can_bind
    monkeypatch.setattr(socket_path, "_can_bind", lambda path: path != home.socket and real(path))
    elsewhere = place_socket(home)
    assert elsewhere.parent.stat().st_mode & 0o777 == 0o700
    remove_leftovers(home)
    assert not elsewhere.parent.exists()


@pytest.mark.parametrize(("folder", "file"), [("switchgear-kept", "theirs"), ("something-else", "socket")])
def test_cleaning_up_removes_only_what_a_start_made(home: Home, tmp_path: Path, folder: str, file: str) -> None:
    """A planted link cannot make us delete someone's files."""
    target = tmp_path / folder
    target.mkdir()
    (target / file).touch()
    home.socket.symlink_to(target)
    remove_leftovers(home)
    assert (target / file).exists()
    assert not home.socket.is_symlink()


def test_no_folder_for_a_socket_leaves_none_behind(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing can be bound anywhere, the trial folders are removed and the reason is said."""
    made: list[Path] = []
    monkeypatch.setattr(socket_path, "_can_bind", lambda path: made.append(path.parent) or False)
    with pytest.raises(OSError, match="short enough"):
        place_socket(home)
    assert [folder.exists() for folder in made] == [True, False, False]


def test_the_end_of_a_log_is_short_plain_and_without_the_secret(home: Home) -> None:
    """What goes into an error message fits on a screen and can be pasted into an issue."""
    noise = "".join(f"11:M 21 Nov 2026 10:03:27.958 * line {n}\n" for n in range(1_000))
    home.server_log.write_text(f"{noise}\n11:M 21 Nov 2026 10:03:27.958 # Fatal: wrong 5ec4e7\n")
    assert log_tail(home.server_log, "5ec4e7") == "line 997 | line 998 | line 999 | Fatal: wrong …"
    assert log_tail(home.folder / "no-such.log") == ""


def test_status_tells_starting_restarting_and_stopped_apart(home: Home, tmp_path: Path) -> None:
    """Only the minder's lock proves life: a ready file that a kill left behind does not."""
    write_private(home.ready, RUNNING.to_json())
    assert status(tmp_path) == (BackendStatus(name="redis.state", state="stopped"),)
    with open_lock(home.minder_lock) as lock:
        assert try_exclusive(lock)
        (shown,) = status(tmp_path)
        assert (shown.state, shown.pid, shown.restarts, shown.detail) == ("restarting", 12, 3, "it fell over")
        home.ready.unlink()
        assert status(tmp_path) == (BackendStatus(name="redis.state", state="starting"),)


def test_the_next_server_waits_for_the_one_before(home: Home) -> None:
    """Two servers on one append-only file would destroy it."""
    with open_lock(home.child_lock) as before:
        assert try_exclusive(before)
        looks = iter((True, True, False))
        with pytest.raises(TimeoutError, match="does not end"):
            take_child_lock(home, lambda: next(looks))
        before.close()
        with take_child_lock(home, lambda: False) as lock:
            assert not lock.closed
            assert is_held(home.child_lock)


def test_a_server_that_its_minder_left_behind_is_ended(home: Home) -> None:
    """Where the kernel does not do it, the next start does, by the pid in the lock that only it can hold."""
    left = subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE)
    home.child_lock.write_text(str(left.pid))
    end_leftover(home.child_lock)
    assert gone(left.pid)
    assert left.communicate() == (None, None)
    home.child_lock.write_text("")
    end_leftover(home.child_lock)


def _real_weights() -> Path:
    found = local_model._weights()
    assert found is not None
    return found


def test_the_shipped_weights_are_read_once_per_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """98 MB are hashed the first time; later starts compare place, size and time."""
    weights, digests = _real_weights(), _counted(monkeypatch)
    verify_weights(weights, tmp_path)
    verify_weights(weights, tmp_path)
    assert len(digests) == 1
    verify_weights(weights, make_home(tmp_path, "another").folder)
    assert len(digests) == 2


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    seen: list[object] = []
    real: Callable[..., object] = local_model.hashlib.file_digest

    def digest(file: object, name: str) -> object:
        seen.append(file)
        return real(file, name)

    monkeypatch.setattr(local_model.hashlib, "file_digest", digest)
    return seen


def test_weights_of_the_right_size_and_wrong_content_are_refused(tmp_path: Path) -> None:
    """A flipped disk block keeps the size; the hash tells, every time, until the file is replaced."""
    forged = tmp_path / WEIGHTS_FILE
    with forged.open("wb") as file:
        file.truncate(WEIGHTS_BYTES)
    for _ in range(2):
        with pytest.raises(BackendFileError, match="SHA-256") as caught:
            verify_weights(forged, tmp_path)
    assert caught.value.code == "backend_file"
    assert not (tmp_path / "verified.json").exists()


def test_weights_that_were_never_installed_are_asked_for_by_name(tmp_path: Path) -> None:
    """The package may be there for the server and not for the weights."""
    with pytest.raises(BackendFileError, match=f"{WEIGHTS_FILE} is not installed") as caught:
        verify_weights(None, tmp_path)
    assert "`local` extra" in caught.value.hint


def test_a_verdict_does_not_outlive_a_change_of_the_file(tmp_path: Path) -> None:
    """Weights that were touched are read again, also when their place and size are the same."""
    weights = tmp_path / WEIGHTS_FILE
    weights.symlink_to(_real_weights())
    verify_weights(weights, tmp_path)
    weights.unlink()
    with weights.open("wb") as file:
        file.truncate(WEIGHTS_BYTES)
    with pytest.raises(BackendFileError, match="SHA-256"):
        verify_weights(weights, tmp_path)


def test_a_home_is_found_by_any_name_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, through a link, or with a tilde: two users of one folder must meet."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    ways = (tmp_path / "real", Path("real"), tmp_path / "link", Path("~/real"), Path("link/../real"))
    assert {home_of(way, "redis.state").folder for way in ways} == {tmp_path / "real" / "embedded" / "redis.state"}
