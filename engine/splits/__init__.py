"""Sticky shares of traffic that try something else, a report, and automatic roll-back (route.split)."""

from __future__ import annotations
