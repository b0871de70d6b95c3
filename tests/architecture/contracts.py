"""Reads ``.importlinter`` so that tests can hold its lists against the code and the plan."""

from __future__ import annotations

from configparser import ConfigParser
from functools import cache

from tests.architecture.sources import ROOT


@cache
def _contracts() -> ConfigParser:
    parser = ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    return parser


def listed(contract: str, key: str) -> set[str]:
    """The entries of one list of one contract."""
    return set(_contracts()[f"importlinter:contract:{contract}"][key].split())


def pure_modules() -> set[str]:
    """Modules that the ``pure`` contract keeps free of I/O."""
    return listed("pure", "source_modules")
