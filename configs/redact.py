"""What may be shown of a configured value, and which values are secrets in the wrong place.

Pure. Keys and tokens belong in the environment; a file that holds one is refused, and no message repeats a
value that could be one (fault 84).
"""

from __future__ import annotations

import re

HIDDEN = "(hidden)"
_SHOWN_CHARS = 80
_SECRET_KEY = re.compile(
    r"(^|_)(api_?key|secret|token|password|passwd|authorization|credentials?|private_?key|bearer)$"
)
_SECRET_VALUE = re.compile(
    r"""
      \b(sk|pk|rk|gsk|xai|tvly|hf|ghp|gho|ghs|glpat|pplx|lsv2)[-_](?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}
    | \bgithub_pat_\w{20,} | \bAIza[\w-]{30,} | \bAKIA[0-9A-Z]{16}\b | \bxox[abprs]-[\w-]{10,} | \bBSA[\w-]{24,}
    | \bBearer\s+(?=[A-Za-z_.-]*[0-9])\S{16,} | \beyJ[\w-]{8,}\.[\w-]{8,}\. | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY
    """,
    re.VERBOSE,
)
_URL_PASSWORD = re.compile(r"^[a-z][a-z0-9+.-]*://[^/\s@]*:[^/\s@]+@", re.IGNORECASE)
_OPAQUE = re.compile(r"(?=\S*[0-9])(?=\S*[A-Za-z])[A-Za-z0-9_+/=.\-]{24,}")


def is_secret_key(key: str) -> bool:
    """Whether a key says that its value is a credential; ``api_key_env`` names a variable and is not one."""
    return _SECRET_KEY.search(key.lower().replace("-", "_")) is not None


def holds_secret(value: str) -> bool:
    """Whether a text contains something that is certainly a credential: a known key shape, or a URL password."""
    return _SECRET_VALUE.search(value) is not None or _URL_PASSWORD.search(value) is not None


def shown(key: str, value: object) -> str:
    """``value`` for an error message: short, and hidden when it may be a secret.

    Wider than ``holds_secret``: any long opaque word stays hidden, because a wrong guess here costs nothing.
    """
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if is_secret_key(key) or holds_secret(value) or _OPAQUE.fullmatch(value):
        return HIDDEN
    return repr(value) if len(value) <= _SHOWN_CHARS else f"{value[:_SHOWN_CHARS]!r}…"


def is_utf8(value: str) -> bool:
    """Whether a text can be encoded; variables and arguments may hold the remains of bytes that were not text."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
