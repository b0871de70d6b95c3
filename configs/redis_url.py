"""Which Redis URLs are taken. Pure, and no message repeats any part of one: a password may stand anywhere in it.

Stricter than redis-py, which reads ``redis://:12/secret@host`` as port 12 of this machine and says nothing.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

_DATABASE = re.compile(r"/?|/[0-9]{1,9}")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")


def check_redis_url(url: str) -> None:
    """Raises ``ValueError``, saying what a URL must look like."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # Python's own message quotes what it could not read.
        raise ValueError(_wrong_form()) from None
    if parts.scheme not in ("redis", "rediss", "unix") or not url.lower().startswith(f"{parts.scheme}://"):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    if _BLANK.search(url) or parts.fragment or "@" in parts.query or not _names_a_server(parts):
        raise ValueError(_wrong_form())


def _names_a_server(parts: SplitResult) -> bool:
    if parts.scheme == "unix":
        return parts.path not in ("", "/") and not parts.hostname and parts.port is None
    return bool(parts.hostname) and _DATABASE.fullmatch(parts.path) is not None


def _wrong_form() -> str:
    return (
        "must be redis://[user:password@]host[:port][/database], the same with rediss://, or "
        "unix://[user:password@]/path; percent-encode a password with / # ? @ or blanks in it"
    )
