"""Errors of agents and models.

::

    SwitchgearError
    ├── CallFailed             a model or agent call broke; carries the ``Failure`` that classify() reads
    └── AgentNotUsable         a registration cannot work: duplicate name, not callable, unknown role
"""

from __future__ import annotations

from configs.errors import SwitchgearError
from configs.kernel import Failure


class CallFailed(SwitchgearError):
    """A call failed; ``failure`` says how. Raised by adapters, turned into an ``Outcome`` by the shield."""

    code = "call_failed"

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class AgentNotUsable(SwitchgearError):
    """A developer registered something that cannot be an agent."""

    code = "agent_not_usable"
