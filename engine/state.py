"""The state that flows through the parent graph and its strategy subgraphs.

Plain data only, so that it can be checkpointed; the live objects are bound by closure when a graph is
built. Every key that more than one node writes has a reducer.
"""

from __future__ import annotations

import operator
from typing import Annotated, TypedDict

from engine.contract import Reservation
from engine.types import Attempt, Decision, Request


class RunInput(TypedDict):
    """What a run starts from. ``streaming``: somebody watches the tokens, so the commit point matters (F4)."""

    request: Request
    streaming: bool


class RunState(RunInput):
    """What nodes read: the input, and what earlier nodes found out."""

    decision: Decision
    reservation: Reservation
    attempts: Annotated[list[Attempt], operator.add]
    text: str
    shown: bool
    done: bool


class RunUpdate(TypedDict, total=False):
    """What a node may return: the keys it changes, and no others."""

    decision: Decision
    reservation: Reservation
    attempts: list[Attempt]
    text: str
    shown: bool
    done: bool
