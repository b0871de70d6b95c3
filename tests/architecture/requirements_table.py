"""Prints what is built, partial and open: ``python -m tests.architecture.requirements_table``."""

from __future__ import annotations

from collections import Counter

from tests.architecture.manifest import MANIFEST, STATUSES, collect, parse, suite


def table() -> str:
    """The whole table as text."""
    requirements, _ = parse(MANIFEST.read_text(encoding="utf-8"))
    named = collect(suite())
    lines: list[str] = []
    for status in STATUSES:
        lines += [
            f"{status:8} {r.id:17} step {r.issue:<3} tests {len(named.get(r.id, [])):<4} {r.note or r.text}"
            for r in requirements
            if r.status == status
        ]
    counts = Counter(r.status for r in requirements)
    lines.append(", ".join(f"{counts[status]} {status}" for status in STATUSES) + f", {len(requirements)} in all")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())  # noqa: T201 - a command whose product is this text
