"""What every group of settings is made of: the frozen base model and the types that several groups share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]


class Section(BaseModel):
    """A frozen group of settings; unknown keys are errors."""

    # Inputs stay out of pydantic's own texts: one of them may be a URL with a password.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def at_most(section: BaseModel, low: str, high: str) -> None:
    """Refuse a value that exceeds its own maximum."""
    if getattr(section, low) > getattr(section, high):
        raise ValueError(f"{low} ({getattr(section, low)}) must not exceed {high} ({getattr(section, high)})")


def _expand(path: Path) -> Path:
    """Let ``~`` stand for the home folder, also where no shell expands it (YAML, ``.env``)."""
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise ValueError(f"no home folder for {path.parts[0]}") from exc


File = Annotated[Path, AfterValidator(_expand)]
