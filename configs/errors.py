"""The root of every error Switchgear raises, and the errors of configuration itself.

::

    SwitchgearError            code, message, hint
    └── ConfigError            the operator must change a file, a flag or the environment
"""

from __future__ import annotations


class SwitchgearError(Exception):
    """Root of the tree drawn in ``engine/errors.py``.

    ``code`` is stable and for programs; the message says what happened; ``hint`` says what to do about it.
    """

    code: str = "switchgear_error"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(SwitchgearError):
    """A setting is missing, misspelt or impossible; names the key and, where there is one, the nearest valid key."""

    code = "config_invalid"
