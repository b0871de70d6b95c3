"""What holds for every test: clean environment, no network, no blocking, no task left behind, a clock."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
from hypothesis import Phase, settings

from configs.settings import EmbeddedSettings
from memory.embedded.attach import attach
from memory.embedded.redis_server import redis_cache, redis_state
from memory.embedded.values import BackendSpec
from tests.support.clock import FakeClock
from tests.support.guards import NetworkGuard, loop_guard, scrub_environment, scrubbed, tasks_left_behind
from tests.support.postgres import postgres_url  # noqa: F401 - a fixture for every test
from tests.support.provider import provider  # noqa: F401 - a fixture for every test
from tests.support.reports import sendable

scrub_environment()

# The same examples every time and no limit by wall clock: what fails once fails again. `make test-long` explores.
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=10_000)
settings.register_profile("mutation", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
settings.load_profile("house")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector off what imports and collection make, then and later: it all stays to the end.

    Walking over it again and again took a sixth of the suite's time. What tests make is collected as always.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give every async test the task check, first in and therefore last out of its fixtures."""
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.fixturenames.insert(0, "no_task_left_behind")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """Keep what a worker process reports free of text that cannot be sent."""
    return sendable((yield))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in scrubbed(os.environ):
        monkeypatch.delenv(name)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")


@pytest.fixture(scope="session")
def network_guard() -> NetworkGuard:
    """The one guard of this process."""
    return NetworkGuard()


@pytest.fixture(autouse=True)
def network(network_guard: NetworkGuard) -> Iterator[NetworkGuard]:
    """Loopback and unix sockets only."""
    with network_guard.watching() as guard:
        yield guard


@pytest.fixture(scope="session", autouse=True)
def _no_blocking_in_the_loop() -> Iterator[None]:
    guard = loop_guard()
    guard.activate()
    yield
    guard.deactivate()


@pytest.fixture
async def no_task_left_behind() -> AsyncIterator[None]:
    """Fails an async test that ends while tasks it started still run."""
    yield
    left = await tasks_left_behind()
    assert not left, f"tasks left behind: {left}"


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis of the cache role, shared by the tests of this process; they must not expect it empty."""
    yield from _embedded_redis(redis_cache(16), tmp_path_factory)


@pytest.fixture(scope="session")
def redis_state_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis of the state role, shared by the tests of this process; they must not expect it empty."""
    yield from _embedded_redis(redis_state(), tmp_path_factory)


def _embedded_redis(spec: BackendSpec, folders: pytest.TempPathFactory) -> Iterator[str]:
    attachment = asyncio.run(attach(spec, folders.mktemp(spec.name), EmbeddedSettings()))
    secret = attachment.secret.get_secret_value() if attachment.secret is not None else ""
    yield attachment.address.replace("unix://", f"unix://:{secret}@")
    asyncio.run(attachment.leave())


@pytest.fixture
def clock() -> FakeClock:
    """A fresh fake clock."""
    return FakeClock()
