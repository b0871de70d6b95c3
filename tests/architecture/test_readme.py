"""The README's Python example runs as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.architecture.sources import ROOT

BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def first_example(text: str) -> str | None:
    """The first Python block of a Markdown text."""
    found = BLOCK.search(text)
    return found["code"] if found else None


def test_the_first_python_block_is_found() -> None:
    """Blocks in other languages are passed over."""
    assert first_example("```sh\nmake\n```\n\n```python\nx = 1\n```\n\n```python\ny = 2\n```\n") == "x = 1\n"
    assert first_example("no code") is None


def test_the_readme_example_runs(tmp_path: Path) -> None:
    """Pasted into a file in an empty folder it ends well and prints something."""
    example = first_example((ROOT / "README.md").read_text(encoding="utf-8"))
    assert example is not None, "README.md shows no Python"
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={**os.environ, "SWITCHGEAR_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
