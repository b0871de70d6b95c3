"""The loop of a command: an interrupt cancels, a second one breaks off, and neither is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

from engine.cli.loop import run


def interrupt_soon(ready: threading.Event) -> threading.Thread:
    """A Ctrl-C from outside, once the command says that it is idle."""

    def send() -> None:
        ready.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.req("serve.cli")
def test_an_interrupt_ends_an_idle_command_after_its_clean_up():
    """The command is cancelled like any task, and the caller sees ``KeyboardInterrupt``."""
    ready, cleaned = threading.Event(), list[str]()

    async def idle() -> None:
        try:
            ready.set()
            await asyncio.Event().wait()
        finally:
            cleaned.append("yes")

    thread = interrupt_soon(ready)
    with pytest.raises(KeyboardInterrupt):
        run(idle())
    thread.join()
    assert cleaned == ["yes"]


@pytest.mark.req("serve.cli")
def test_a_second_interrupt_breaks_off_a_clean_up_that_hangs():
    """Nobody has to kill a command that does not want to end."""

    async def stubborn() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        run(stubborn())


def test_without_an_interrupt_results_errors_and_cancellation_pass():
    """The loop adds nothing of its own, and leaves the handler as it found it."""
    before = signal.getsignal(signal.SIGINT)

    async def seven() -> int:
        return 7

    async def cancelled() -> None:
        raise asyncio.CancelledError

    assert run(seven()) == 7
    with pytest.raises(asyncio.CancelledError):
        run(cancelled())
    assert signal.getsignal(signal.SIGINT) is before
