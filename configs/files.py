"""Reading a configuration file from disk, bounded, as UTF-8. Nothing here knows what the text means."""

from __future__ import annotations

import stat
from pathlib import Path

from configs.errors import ConfigError

BYTES_MAX = 1_048_576
"""A larger file is a mistake. Not a setting: it bounds the reading of the settings themselves."""


def read_text(path: Path, source: str) -> str:
    """The text of a regular file of at most ``BYTES_MAX`` bytes, called ``source`` in messages.

    Raises ``ConfigError`` for anything else: missing, a folder, a device, unreadable, too large, not UTF-8.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise ConfigError(f"{source}: {kind}", hint="name a YAML file")
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
    except FileNotFoundError as exc:
        raise ConfigError(f"{source}: there is no such file") from exc
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise ConfigError(f"{source}: cannot be read: {reason}") from exc
    if len(data) > BYTES_MAX:
        raise ConfigError(f"{source}: larger than {BYTES_MAX} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError(f"{source}: not UTF-8 at byte {exc.start} (line {line})") from exc
