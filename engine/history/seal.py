"""Encryption of what history keeps: AES-256-GCM under a key of each user's own, itself wrapped by a master key.

The master key comes from ``SWITCHGEAR_HISTORY_KEY`` (base64 of 32 bytes) or from a file of the data folder that
only its owner may read. Whoever has the database without it has no text. Nonces are random, 96 bits (NIST SP
800-38D, 8.2.2): with a key per user the bound of 2³² messages is far away. The data that is authenticated along
names row and field, so that a blob cannot be moved to another place.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from configs.history import HISTORY_KEY
from engine.errors import HistoryRefused

KEY_BYTES = 32
NONCE_BYTES = 12
PLAIN, SEALED = b"\x00", b"\x01"
"""First byte of a stored blob."""
KEY_FILE = "history.key"


class Master:
    """The master key: makes, wraps and unwraps the keys of users."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.id = hashlib.sha256(b"switchgear history master\0" + key).hexdigest()[:16]
        """Tells keys wrapped by this one from those of another; gives nothing of it away."""

    def new_key(self, user: str) -> bytes:
        """A fresh key for ``user``, wrapped."""
        return _seal(self._cipher, AESGCM.generate_key(KEY_BYTES * 8), f"key/{user}")

    def unwrap(self, user: str, wrapped: bytes) -> bytes | None:
        """The key of ``user``; ``None`` when it is damaged or not under this master key."""
        key = _open(self._cipher, wrapped, f"key/{user}")
        return key if key is not None and len(key) == KEY_BYTES else None


def seal(key: bytes | None, data: bytes, *, row_id: str, field: str) -> bytes:
    """The blob to store; not encrypted when ``key`` is ``None``."""
    if key is None:
        return PLAIN + data
    return SEALED + _seal(AESGCM(key), data, f"{row_id}/{field}")


def unseal(key: bytes | None, blob: bytes, *, row_id: str, field: str) -> bytes | None:
    """What was sealed; ``None`` when it cannot be read: damaged, moved, or its key gone."""
    if blob[:1] == PLAIN:
        return blob[1:]
    if blob[:1] != SEALED or key is None:
        return None
    return _open(AESGCM(key), blob[1:], f"{row_id}/{field}")


def has_master(folder: Path, environ: Mapping[str, str]) -> bool:
    """Whether there is a master key already."""
    return bool(environ.get(HISTORY_KEY)) or (folder / KEY_FILE).exists()


def load_master(folder: Path, environ: Mapping[str, str]) -> Master:
    """The master key, made on first use. Raises ``HistoryRefused`` (history_key) and ``OSError``."""
    if given := environ.get(HISTORY_KEY):
        return Master(_decoded(given, HISTORY_KEY))
    path = folder / KEY_FILE
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise HistoryRefused(
            f"{path} can be read by others", hint=f"chmod 600 {path}; better make a new key", code="history_key"
        )
    return Master(_decoded(path.read_text(encoding="ascii", errors="replace"), str(path)))


def _create(path: Path) -> None:
    """Write a new key in one step: of several processes one wins, and nobody sees half a file."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=KEY_FILE)  # made with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise HistoryRefused(
            f"{where} is not base64 of {KEY_BYTES} bytes",
            hint="`openssl rand -base64 32` makes one",
            code="history_key",
        )
    return key


def _seal(cipher: AESGCM, data: bytes, place: str) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, place.encode())


def _open(cipher: AESGCM, blob: bytes, place: str) -> bytes | None:
    if len(blob) < NONCE_BYTES:
        return None
    try:
        return cipher.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], place.encode())
    except InvalidTag:
        return None
