"""Errors of stores and embedded backends.

::

    SwitchgearError
    ├── BackendUnavailable         a store cannot be reached or does not start; ``backend`` names it
    │   ├── BackendNotInstalled    the wheel that contains it is not here: install it, or name a real service
    │   └── BackendFileError       a file it needs is missing or damaged; ``path`` names it
    └── FolderNotUsable            the data folder cannot hold a backend; ``path`` names it

An engine can run without an unavailable backend, degraded and saying so. A folder that is not usable is the
operator's to fix: there is nothing to fall back to.
"""

from __future__ import annotations

from configs.errors import SwitchgearError
from configs.kernel import Failure


class BackendUnavailable(SwitchgearError):
    """A store, embedded or real, does not answer. ``failure`` is what its adapter saw, where one had a look."""

    code = "backend_unavailable"

    def __init__(self, backend: str, message: str, *, hint: str = "", failure: Failure | None = None) -> None:
        advice = hint if hint else "`switchgear doctor` shows what is reachable"
        super().__init__(f"{backend}: {message}", hint=advice)
        self.backend = backend
        self.failure = failure


class BackendNotInstalled(BackendUnavailable):
    """The platform or the installation lacks the wheel of an embedded backend."""

    code = "backend_not_installed"


class BackendFileError(BackendUnavailable):
    """A file that an embedded backend needs is missing, unreadable or not the file it should be."""

    code = "backend_file"

    def __init__(self, backend: str, path: str, problem: str, *, hint: str) -> None:
        super().__init__(backend, f"{path} {problem}", hint=hint)
        self.path = path


class FolderNotUsable(SwitchgearError):
    """The data folder cannot be made, written, locked or trusted."""

    code = "folder_not_usable"

    def __init__(self, path: str, problem: str, *, hint: str = "") -> None:
        advice = hint if hint else "choose another folder with `data_dir` or SWITCHGEAR_HOME"
        super().__init__(f"{path} {problem}", hint=advice)
        self.path = path
