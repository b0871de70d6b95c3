"""An artifact folder, written: complete or not at all, and the old one stays until the new one is (route.train).

Everything goes into a hidden sibling, is read back by the check that an engine makes, and takes the place of the
old folder in one step. Not the contents.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engine.errors import TrainingRefused
from engine.routing.artifact import is_artifact

AT_FDCWD: Final = -2 if sys.platform == "darwin" else -100
EXCHANGE: Final = 2
"""``RENAME_EXCHANGE`` of Linux and ``RENAME_SWAP`` of macOS, by chance the same number."""


def check_target(path: Path, is_ours: Callable[[Path], bool] = is_artifact) -> Path:
    """``path`` without links, if an artifact may be written there: nothing, an empty folder, or an older artifact.

    ``is_ours`` says what an older one is. Raises ``TrainingRefused``: ``out_not_artifact``, ``out_unwritable``.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not (target.is_dir() and (not any(target.iterdir()) or is_ours(target))):
            raise TrainingRefused(
                f"{path} holds something else than what would be written, and would be lost",
                hint="name another folder with --out",
                code="out_not_artifact",
            )
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    if not os.access(target.parent, os.W_OK):
        raise TrainingRefused(f"cannot write into {path.parent}", hint=_ELSEWHERE, code="out_unwritable")
    return target


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each file."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def write_folder(
    path: Path,
    files: Mapping[str, bytes],
    check: Callable[[Path], object],
    is_ours: Callable[[Path], bool] = is_artifact,
) -> None:
    """Let ``files`` be all that is in folder ``path``, once ``check`` has accepted them.

    A process that dies on the way leaves the old folder as it was and a hidden sibling; the next one removes that.
    Only the owner may read what is written: it is made from what people asked, which the history keeps encrypted.
    Raises what ``check`` raises, and ``TrainingRefused``.
    """
    target = check_target(path, is_ours)
    prefix = f".{target.name}.writing-"
    try:
        _sweep(target.parent, prefix)
        _restore(target, is_ours)
        with _sibling(target.parent, prefix) as made:
            for name, data in files.items():
                _write(made / name, data)
            _sync_folder(made)
            check(made)
            check_target(path, is_ours)
            _take_place(made, target)
            _sync_folder(target.parent)
    except OSError as exc:
        raise _unwritable(path, exc) from exc


@contextmanager
def _sibling(parent: Path, prefix: str) -> Generator[Path]:
    """A new folder, locked for as long as its maker lives; whatever is there under its name at the end goes."""
    made = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    handle = os.open(made, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(handle)


def _sweep(parent: Path, prefix: str) -> None:
    """Remove what processes left that died while writing; a living one holds its lock."""
    for left in parent.glob(f"{prefix}*"):
        handle = os.open(left, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(handle)


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _take_place(made: Path, target: Path) -> None:
    """One step: there is no moment without a folder at ``target``. What was there is at ``made`` afterwards."""
    if not target.exists():
        made.rename(target)
    elif not _exchange(made, target):
        # A file system that cannot exchange. Between the two steps the old one stands under a name that says so.
        old = _set_aside(target)
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
        made.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _set_aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _restore(target: Path, is_ours: Callable[[Path], bool]) -> None:
    """Put back what a process had set aside that died before the new one was in its place; else remove it."""
    old = _set_aside(target)
    if not target.exists() and is_ours(old):
        old.rename(target)
    elif is_ours(old):
        shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically, by ``renameat2`` of Linux or ``renameatx_np`` of macOS. Whether it was done."""
    library = ctypes.CDLL(None, use_errno=True)
    call = getattr(library, "renameatx_np" if sys.platform == "darwin" else "renameat2", None)
    if call is None:
        return False
    here = ctypes.c_int(AT_FDCWD)
    return call(here, os.fsencode(one), here, os.fsencode(other), ctypes.c_uint(EXCHANGE)) == 0


_ELSEWHERE: Final = "name another folder with --out"


def _unwritable(path: Path, exc: OSError) -> TrainingRefused:
    return TrainingRefused(f"cannot write {path}: {exc.strerror}", hint=_ELSEWHERE, code="out_unwritable")
