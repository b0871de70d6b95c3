"""The root of every error Switchgear raises, and the errors of configuration itself.

::

    SwitchgearError            code, message, hint
    └── ConfigError            the operator must change a file, a flag or the environment; lists every Problem
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with the configuration, safe to show: a value that may be a secret is never in it."""

    where: str
    """The file and line, the variable or the argument it came from."""
    key: str
    """Full key path such as ``cache.ttl_s``; empty when the whole source is meant."""
    reason: str
    """What is wrong, with the value, what is allowed, and the nearest valid name."""

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.reason}" if self.key else f"{self.where}: {self.reason}"


class ConfigError(SwitchgearError):
    """Settings are missing, misspelt or impossible. ``problems`` holds all of them, not the first."""

    code = "config_invalid"

    def __init__(
        self, message: str, *, hint: str = "", code: str | None = None, problems: Iterable[Problem] = ()
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.problems = tuple(problems)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> ConfigError:
        """The error that lists ``problems``, one per line."""
        found = tuple(problems)
        if len(found) == 1:
            return cls(str(found[0]), problems=found)
        lines = "\n".join(f"  {problem}" for problem in found)
        return cls(f"{len(found)} problems in the configuration:\n{lines}", problems=found)
