"""One process of a fleet that shares breakers: calls a backend that is up or down, and says what it does.

Run as ``python -m tests.support.breaker_member URL SUBJECT HEALTH_FILE``; lines on standard output:
``calls N`` (made so far), ``probe`` (one begins; a good moment to die), ``moved GENERATION BEFORE AFTER``, and
``alone REASON`` should Redis not have answered.
Ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import mmap
import sys
import time
import uuid
from pathlib import Path

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerMoved, Permit, Report
from tests.support.shared_breaker import replica

RULES = BreakerSettings(
    consecutive_failures=3,
    open_s=0.3,
    open_s_max=0.6,
    lease_s=0.5,
    probe_deadline_s=0.3,
    view_s=0.05,
    park_s_max=1.0,
    reprobe_s=1.0,
    events_kept=1_000,
)
PROBE_S = 0.02
"""How long a probe takes: long enough to die in it."""
PAUSE_S = 0.005
"""Between two questions of a caller that was refused."""
SAID_EVERY = 500
TASKS = 4


def say(line: str) -> None:
    """Tell whoever started this process."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def moved(event: BreakerMoved) -> None:
    """Tell of a change of state."""
    say(f"moved {event.generation} {event.before.value} {event.after.value}")


async def main(url: str, subject: str, health: mmap.mmap) -> None:
    """Call until standard input ends."""
    member = replica(url, RULES, time.monotonic)
    member.store.listeners = (moved,)
    over = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    calls = 0

    async def work() -> None:
        nonlocal calls
        while not over.done():
            permit = await member.store.acquire(subject, uuid.uuid4().hex)
            if member.store.degraded:
                say(f"alone {member.store.degraded}")
            if not isinstance(permit, Permit):
                await asyncio.wait({over}, timeout=PAUSE_S)
                continue
            if permit.probe:
                say("probe")
                await asyncio.wait({over}, timeout=PROBE_S)
            up = health[0] == ord("1")
            await member.store.report(permit, Report(outcome=Outcome.OK if up else Outcome.FAIL, reason="down"))
            calls += 1
            if calls % SAID_EVERY == 0:
                say(f"calls {calls}")
            await asyncio.sleep(0)

    await asyncio.gather(*[work() for _ in range(TASKS)])
    await over
    say(f"calls {calls}")
    await member.aclose()


if __name__ == "__main__":
    with Path(sys.argv[3]).open("r+b") as file, mmap.mmap(file.fileno(), 1) as shared:
        asyncio.run(main(sys.argv[1], sys.argv[2], shared))
