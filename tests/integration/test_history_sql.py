"""History in real databases: what lies on the disk, whose key opens it, migrations, and who may not."""

from __future__ import annotations

import asyncio
import base64
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from configs.errors import ConfigError
from configs.history import HISTORY_KEY, HistorySettings
from engine.errors import HistoryRefused
from engine.history.contract import ALL_ROWS, HistoryRow
from engine.history.migrate import VERSION_TABLE
from engine.history.schema import metadata
from engine.history.seal import KEY_FILE
from engine.history.store import DAY_S, RowStore
from engine.history.writer import SqlHistory
from memory.errors import BackendUnavailable
from tests.support.history import EMPTY, NOW_S, SETTINGS, empty, row

SECRET = "the-owl-flies-at-midnight"
MOVE = """UPDATE switchgear_requests SET prompt = (SELECT prompt FROM switchgear_requests WHERE id = 'row-0')
 WHERE id = 'row-1'"""
CUT = "UPDATE switchgear_requests SET answer = :cut, degraded = 'no json' WHERE id = 'row-3'"
MakeStore = Callable[..., RowStore]


@pytest.fixture(params=["sqlite", "postgresql"])
def make(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Iterator[MakeStore]:
    """Makes stores on the same empty database, each like a process of its own."""
    base = SETTINGS
    made: list[RowStore] = []
    if request.param == "postgresql":
        empty(postgres_url)
        base = base.model_copy(update={"url": SecretStr(postgres_url)})

    def store(folder: str = "", environ: Mapping[str, str] = EMPTY, **settings: object) -> RowStore:
        made.append(RowStore(base.model_copy(update=settings), tmp_path / folder, environ))
        return made[-1]

    yield store
    for one in made:
        one.close()


def read(store: RowStore) -> list[HistoryRow]:
    """Every row."""
    return list(store.rows(ALL_ROWS))


def execute(make: MakeStore, statement: str, **values: object) -> None:
    """Do something to the database behind the back of history."""
    with make()._database().begin() as connection:
        connection.execute(text(statement), values)


def on_disk(folder: Path) -> bytes:
    """Everything in the files of SQLite, its log included."""
    files = sorted(folder.glob("history.db*"))
    assert files
    return b"".join(file.read_bytes() for file in files)


@pytest.mark.req("obs.privacy")
@pytest.mark.parametrize(("content", "readable"), [("encrypted", False), ("none", False), ("plain", True)])
def test_only_a_plain_history_can_be_read_off_the_disk(tmp_path: Path, content: str, readable: bool):
    """Neither question nor answer stands in any file of the data folder, unless the policy says so."""
    store = RowStore(SETTINGS.model_copy(update={"content": content}), tmp_path, EMPTY)
    store.write([row(1, prompt=row(1, answer=SECRET).prompt, answer=SECRET)], NOW_S)
    assert (SECRET.encode() in on_disk(tmp_path)) is readable
    assert (b"question 1" in on_disk(tmp_path)) is readable
    store.close()


@pytest.mark.req("obs.privacy")
def test_what_was_forgotten_is_gone_from_the_disk(tmp_path: Path):
    """Also where it was never encrypted: pages are overwritten and the log is emptied."""
    store = RowStore(SETTINGS.model_copy(update={"content": "plain"}), tmp_path, EMPTY)
    long = SECRET * 2_000  # in pages of its own, which are freed
    store.write([row(1, answer=long)], NOW_S)
    assert SECRET.encode() in on_disk(tmp_path)
    assert store.forget(row().user) == 1
    assert SECRET.encode() not in on_disk(tmp_path)
    store.close()


@pytest.mark.req("obs.privacy")
def test_files_of_history_are_for_their_owner_only(tmp_path: Path):
    """Database, logs and key."""
    store = RowStore(SETTINGS, tmp_path / "new", EMPTY)
    store.write([row(1)], NOW_S)
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "new").iterdir()}
    store.close()
    assert modes == dict.fromkeys(("history.db", "history.db-shm", "history.db-wal", KEY_FILE), 0o600)


@pytest.mark.req("obs.privacy")
def test_without_the_master_key_texts_are_missing(make: MakeStore):
    """Rows stay; the other key writes and reads rows of its own beside them, and the first one still its own."""
    make().write([row(1)], NOW_S)
    other = {HISTORY_KEY: base64.b64encode(b"k" * 32).decode()}
    bare = replace(row(1), prompt=None, answer=None, embedding=None)
    assert read(make(environ=other)) == [bare]
    make(environ=other).write([row(2)], NOW_S)
    assert read(make(environ=other)) == [bare, row(2)]
    assert read(make())[0] == row(1)
    assert read(make())[1].prompt is None


@pytest.mark.req("obs.privacy")
def test_replicas_with_one_master_key_read_each_others_rows(make: MakeStore, caplog: pytest.LogCaptureFixture):
    """From the variable, whatever folder they have; without it a shared database is warned about."""
    given = {HISTORY_KEY: base64.b64encode(bytes(range(32))).decode()}
    folders = ["", "", ""] if make()._settings.url is None else ["a", "b", "c"]
    make(folders[0], given).write([row(1)], NOW_S)
    make(folders[1], given).write([row(2)], NOW_S)
    assert read(make(folders[2], given)) == [row(1), row(2)]
    assert HISTORY_KEY not in caplog.text
    make("d").open()
    assert (HISTORY_KEY in caplog.text) is (make()._settings.url is not None)


@pytest.mark.req("obs.privacy")
def test_damaged_and_moved_texts_are_missing_and_nothing_else(make: MakeStore):
    """A blob of another row, a cut one, one of another kind: each is missing, rows and neighbours are not."""
    make().write([row(n) for n in range(5)], NOW_S)
    execute(make, MOVE)
    execute(make, "UPDATE switchgear_requests SET prompt = answer WHERE id = 'row-2'")
    execute(make, CUT, cut=b"\x01short")
    found = read(make())
    assert [one.question for one in found] == ["question 0", None, None, "question 3", "question 4"]
    assert [one.answer is None for one in found] == [False, False, False, True, False]
    assert [one.degraded for one in found][2:4] == [("fallback", "cache"), ()]


@pytest.mark.req("obs.privacy")
def test_a_damaged_user_key_is_replaced(make: MakeStore):
    """What it opened is missing for good, later rows can be read."""
    make().write([row(1)], NOW_S)
    execute(make, "UPDATE switchgear_user_keys SET wrapped = :cut", cut=b"cut")
    assert [one.prompt for one in read(make())] == [None]
    make().write([row(2)], NOW_S)
    assert [one.question for one in read(make())] == [None, "question 2"]


@pytest.mark.req("obs.privacy")
def test_texts_of_an_earlier_policy_stay_readable(make: MakeStore):
    """Plain ones under ``encrypted``, encrypted ones under ``none``."""
    make(content="plain").write([row(1)], NOW_S)
    make().write([row(2)], NOW_S)
    assert read(make()) == [row(1), row(2)]
    assert read(make(content="none")) == [row(1), row(2)]


@pytest.mark.req("obs.privacy")
@pytest.mark.parametrize("wrong", ["short", base64.b64encode(b"k" * 31).decode(), "ä" * 44])
def test_a_master_key_that_is_none_is_refused_without_being_shown(tmp_path: Path, wrong: str):
    """From the variable and from the file alike; nothing is written unencrypted instead."""
    with pytest.raises(HistoryRefused, match="32 bytes") as caught:
        RowStore(SETTINGS, tmp_path, {HISTORY_KEY: wrong}).write([row(1)], NOW_S)
    assert caught.value.code == "history_key"
    assert wrong not in str(caught.value)
    (tmp_path / KEY_FILE).write_text(wrong)
    (tmp_path / KEY_FILE).chmod(0o600)
    with pytest.raises(HistoryRefused, match="32 bytes"):
        RowStore(SETTINGS, tmp_path, EMPTY).write([row(1)], NOW_S)


@pytest.mark.req("obs.privacy")
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path):
    """It protects nothing."""
    RowStore(SETTINGS, tmp_path, EMPTY).open()
    (tmp_path / KEY_FILE).chmod(0o640)
    with pytest.raises(HistoryRefused, match="read by others"):
        RowStore(SETTINGS, tmp_path, EMPTY).open()


@pytest.mark.req("route.history")
def test_the_migrations_make_the_schema_that_the_code_expects(make: MakeStore):
    """Alembic finds no difference, and a second run does nothing."""
    make().open()
    make().open()
    with make()._database().connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "include_object": _of_history}
        )
        assert compare_metadata(context, metadata) == []


def _of_history(_object: object, name: str | None, kind: str, *_rest: object) -> bool:
    return kind != "table" or str(name).startswith("switchgear_")


@pytest.mark.req("route.history")
def test_processes_that_start_at_once_agree_on_schema_and_keys(make: MakeStore):
    """Eight migrate and write at the same time, for one new user: every row can be read afterwards."""
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda n: make().write([row(n)], NOW_S), range(8)))
    assert written == [0] * 8
    assert read(make()) == [row(n) for n in range(8)]


@pytest.mark.req("route.history")
def test_a_database_of_a_later_release_is_refused(make: MakeStore, tmp_path: Path):
    """To read and to write, saying so; a history in front of it counts its rows as dropped."""
    make().open()
    execute(make, "UPDATE switchgear_history_version SET version_num = '9999'")
    for attempt in (lambda: read(make()), lambda: make().write([row(1)], NOW_S), make().open):
        with pytest.raises(HistoryRefused, match="9999") as caught:
            attempt()
        assert caught.value.code == "history_newer"
    assert asyncio.run(_dropped(make()._settings, tmp_path)) == 1


async def _dropped(settings: HistorySettings, folder: Path) -> int:
    history = SqlHistory(settings, folder, EMPTY)
    history.put(row(1))
    with pytest.raises(HistoryRefused):
        await history.flush()
    await history.aclose()
    return history.dropped


@pytest.mark.req("route.history")
def test_a_batch_that_was_written_already_is_not_refused(make: MakeStore):
    """Its commit's reply was lost: rows that are there stay, the others come in, none is refused."""
    make().write([row(1)], NOW_S)
    assert make().write([row(1, answer="other"), row(2)], NOW_S) == 0
    assert read(make()) == [row(1), row(2)]


@pytest.mark.req("route.history")
def test_a_row_that_does_not_fit_keeps_no_other_out(make: MakeStore):
    """PostgreSQL refuses one whose agent is too long; SQLite takes it."""
    refused = make().write([row(1), row(2, agent="x" * 500), row(3)], NOW_S)
    names = [one.id for one in read(make())]
    assert refused == (0 if make()._settings.url is None else 1)
    assert {"row-1", "row-3"} <= set(names)
    assert len(names) == 3 - refused


@pytest.mark.req("route.history")
def test_rows_older_than_the_settings_say_are_deleted_with_keys_nobody_uses(make: MakeStore):
    """In pieces, the oldest first; younger rows and the keys they need stay."""
    keep_s = SETTINGS.keep_days * DAY_S
    old = [row(n, at_s=NOW_S - keep_s - 10 + n, user=f"old-{n % 2}") for n in range(5)]
    make().write(old, NOW_S - keep_s - 2 * DAY_S)
    young = row(5, at_s=NOW_S - keep_s + 10)
    make().write([young], NOW_S)
    assert [make().sweep(NOW_S) for _ in range(3)] == [True, True, False]
    assert read(make()) == [young]
    with make()._database().connect() as connection:
        assert connection.execute(text('SELECT "user" FROM switchgear_user_keys')).scalars().all() == [young.user]


@pytest.mark.req("route.history")
@pytest.mark.parametrize(
    "url", ["mysql://u:hunter2@h/d", "postgresql://u:hunter2@h/d", "postgresql+psycopg://u:hunter2@h:port/d"]
)
def test_an_address_of_another_kind_is_refused_without_its_password(tmp_path: Path, url: str):
    """The message names the setting."""
    with pytest.raises(ConfigError, match=r"history\.url") as caught:
        RowStore(HistorySettings(url=SecretStr(url)), tmp_path, EMPTY).open()
    assert "hunter2" not in str(caught.value)


@pytest.mark.req("route.history")
def test_a_database_that_is_not_there_is_unavailable_and_its_password_not_shown(tmp_path: Path):
    """A PostgreSQL nobody runs, a folder that is a file."""
    nobody = HistorySettings(url=SecretStr("postgresql+psycopg://u:hunter2@127.0.0.1:1/d"), timeout_s=1)
    with pytest.raises(BackendUnavailable) as caught:
        RowStore(nobody, tmp_path, EMPTY).open()
    assert "hunter2" not in str(caught.value)
    (tmp_path / "file").touch()
    with pytest.raises(BackendUnavailable):
        RowStore(SETTINGS, tmp_path / "file", EMPTY).open()


@pytest.mark.req("route.history")
def test_a_file_that_is_no_database_is_unavailable_and_left_alone(tmp_path: Path):
    """Nothing overwrites what may be somebody's data."""
    (tmp_path / "history.db").write_bytes(b"no database" * 100)
    with pytest.raises(BackendUnavailable):
        RowStore(SETTINGS, tmp_path, EMPTY).open()
    assert (tmp_path / "history.db").read_bytes() == b"no database" * 100


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.support.history import EMPTY, SETTINGS, row
from engine.history.writer import SqlHistory
history = SqlHistory(SETTINGS.model_copy(update={"batch_rows": 10}), Path(sys.argv[1]), EMPTY)
for number in range(100_000):
    history.put(row(number))
    if number % 10 == 9:
        asyncio.run(history.flush())
        print(number + 1, flush=True)
"""


@pytest.mark.req("route.history")
def test_a_killed_process_loses_the_last_batch_at_most(tmp_path: Path):
    """Everything it saw written is there, whole and readable, and the next process goes on."""
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    seen = [int(child.stdout.readline()) for _ in range(5)][-1]
    child.send_signal(signal.SIGKILL)
    rest = re.findall(r"^(\d+)$", child.stdout.read(), re.MULTILINE)
    child.wait()
    child.stdout.close()
    written = int(rest[-1]) if rest else seen
    store = RowStore(SETTINGS, tmp_path, EMPTY)
    found = read(store)
    assert written <= len(found) <= written + 10
    assert found == [row(n) for n in range(len(found))]
    store.write([row(200_000)], NOW_S)
    assert read(store)[-1] == row(200_000)
    store.close()


@pytest.mark.req("route.history")
async def test_writing_goes_on_after_postgresql_lost_every_connection(tmp_path: Path, postgres_url: str):
    """A restart of the server in between costs no row."""
    await asyncio.to_thread(empty, postgres_url)
    history = SqlHistory(SETTINGS.model_copy(update={"url": SecretStr(postgres_url)}), tmp_path, EMPTY)
    history.put(row(1))
    await history.flush()
    await asyncio.to_thread(_cut_connections, postgres_url)
    history.put(row(2))
    await history.flush()
    await history.aclose()
    assert history.dropped == 0
    assert [one.id for one in await asyncio.to_thread(lambda: list(history.rows(ALL_ROWS)))] == ["row-1", "row-2"]


def _cut_connections(url: str) -> None:
    engine = create_engine(url, hide_parameters=True)
    with engine.begin() as connection:
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'postgres'"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) {others}"))
    engine.dispose()
