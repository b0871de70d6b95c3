"""Files that appear when they are whole, and that only their writer may read."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from configs.errors import ConfigError


def write_lines(file: Path, rows: Iterable[Mapping[str, object]]) -> int:
    """JSON lines in ``file``; how many. Raises ``ConfigError`` when it cannot be written, and leaves nothing.

    A link is followed; what is no regular file, a device or a pipe, stays what it is.
    """
    part: Path | None = None
    count = 0
    try:
        file = file.resolve()
        if file.exists() and not file.is_file():
            raise ConfigError(f"{file} is no regular file", hint="name a file, or one that does not exist yet")
        # A name that nobody can have put there before, made with mode 0600.
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
        part = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as target:
            for row in rows:
                # ASCII, so that half a surrogate pair can be written too.
                target.write(json.dumps(row) + "\n")
                count += 1
        part.replace(file)
    except OSError as exc:
        raise ConfigError(f"{file} cannot be written: {exc.strerror}") from exc
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    return count
