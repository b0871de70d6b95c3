"""Experiments, and requests of many users."""

from __future__ import annotations

from typing import Any

from configs.kernel import Deadline, Message, Principal
from configs.splits import Arm, Experiment
from engine.types import Request


def arm(name: str = "new", share: float = 0.5, **fields: Any) -> Arm:
    """One that lets ``viz`` answer for ``sql``, unless ``fields`` say otherwise."""
    base: dict[str, Any] = {} if "models" in fields else {"agents": {"sql": "viz"}}
    return Arm(name=name, share=share, **(base | fields))


def experiment(*arms: Arm, **fields: Any) -> Experiment:
    """``trial``, with these arms or with one that has half of the traffic."""
    return Experiment(**({"name": "trial", "arms": arms or (arm(),)} | fields))


def asked(user: str = "ada", tenant: str = "acme", request_id: str = "r") -> Request:
    """A request of somebody."""
    return Request(
        id=request_id,
        principal=Principal(user_id=user, tenant_id=tenant),
        messages=(Message("user", "count the rows"),),
        deadline=Deadline(1.0),
        ttl_s=60,
    )
