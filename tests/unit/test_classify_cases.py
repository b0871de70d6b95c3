"""What providers, stores and tools really answer, through adapter and ``classify`` (brk.classify, G5).

The cases are data: ``tests/data/classify_cases.yaml``. Each exception is built by its own library.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from mcp_types import CallToolResult
from pydantic import ValidationError
from qdrant_client.http.exceptions import UnexpectedResponse

import mcp_tools.translate
import memory.translate
from agents.translate import to_failure
from configs.http_failure import failure_of_response
from configs.kernel import Failure, FailureKind, Outcome
from engine.resilience.classify import classify, counts, may_fall_back, may_retry, parks
from engine.resilience.leave import KEY_IS_BAD
from tests.support import foreign_errors as foreign

CASES: dict[str, list[foreign.Case]] = yaml.safe_load(
    (Path(__file__).parents[1] / "data" / "classify_cases.yaml").read_text(encoding="utf-8")
)
STORES: dict[str, Callable[[foreign.Case], Exception]] = {
    "redis": foreign.redis_error,
    "neo4j": foreign.neo4j_error,
    "qdrant": foreign.qdrant_error,
}


def cases(group: str) -> list[Any]:
    """The cases of one group, by name."""
    return [pytest.param(case, id=case["name"]) for case in CASES[group]]


def said(failure: Failure, parked: str) -> list[str]:
    """Outcome and consequences, in the words of the table."""
    outcome = classify(failure)
    words = {
        "counts": counts(outcome),
        parked: parks(outcome),
        "retry": may_retry(outcome, produced=False),
        "fallback": may_fall_back(outcome),
    }
    return [outcome.value, *(word for word, holds in words.items() if holds)]


def parked_by(failure: Failure) -> str:
    """What a model's failure parks: its credential, or only the route (fault 4 to 7)."""
    return "parks credential" if classify(failure) in KEY_IS_BAD else "parks route"


def differences(case: foreign.Case, failure: Failure | None, parked: str) -> dict[str, object]:
    """Where ``failure`` is not what the case expects."""
    if failure is None:
        return {"failure": None}
    found: dict[str, object] = {"expect": said(failure, parked)}
    found |= {"wait": failure.retry_after_s, "kind": failure.kind.value, "says": failure.code}
    return {name: value for name, value in found.items() if name in case and value != case[name]}


def test_the_table_is_as_large_as_promised_and_reaches_every_outcome() -> None:
    """At least 150 cases over every adapter; names are unique within a group."""
    assert sum(map(len, CASES.values())) >= 150
    assert all(len({case["name"] for case in group}) == len(group) for group in CASES.values())
    reached = {Outcome(case["expect"][0]) for group in CASES.values() for case in group}
    elsewhere = {Outcome.OK, Outcome.CANCEL, Outcome.QUALITY}
    assert reached == set(Outcome) - elsewhere


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize("case", cases("response"))
def test_an_answer_is_read_as_the_table_says(case: foreign.Case) -> None:
    """Status, headers and raw body decide."""
    failure = failure_of_response(case["status"], httpx.Headers(case.get("headers")), foreign.body_of(case))
    assert differences(case, failure, parked_by(failure)) == {}


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize("case", cases("response"))
def test_the_sdks_exception_for_an_answer_says_the_same(case: foreign.Case) -> None:
    """There is one reading of an answer, whoever carries it."""
    failure = to_failure(foreign.openai_status(case), produced=False, secret=None)
    assert differences(case, failure, parked_by(failure)) == {}
    assert failure == failure_of_response(
        case["status"], httpx.Headers(case.get("headers")), foreign.body_of(case)
    )


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize("case", cases("stream"))
@pytest.mark.parametrize("produced", [False, True])
def test_an_error_inside_a_stream_is_read_as_the_table_says(case: foreign.Case, produced: bool) -> None:
    """Fault 25; after text was shown nothing is tried again (F4)."""
    failure = to_failure(foreign.openai_event(case), produced, secret=None)
    assert differences(case, failure, parked_by(failure)) == {}
    assert failure.produced_text is produced
    assert not may_retry(classify(failure), produced=True)


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize("case", cases("httpx"))
def test_a_broken_connection_is_read_as_the_table_says(case: foreign.Case) -> None:
    """Also deep inside what the SDK raises around it (faults 19 to 23, 26)."""
    failure = to_failure(foreign.openai_transport(case), produced=False, secret=None)
    assert differences(case, failure, "parks route") == {}


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize(
    ("library", "case"),
    [pytest.param(name, case, id=f"{name}: {case['name']}") for name in STORES for case in CASES[name]],
)
def test_a_stores_exception_is_read_as_the_table_says(library: str, case: foreign.Case) -> None:
    """Redis, Neo4j and Qdrant, as their clients raise (faults 57 to 66)."""
    failure = memory.translate.failure_of(STORES[library](case))
    assert differences(case, failure, "parks store") == {}
    assert failure is None or not failure.produced_text


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize("case", cases("mcp"))
def test_a_tools_exception_is_read_as_the_table_says(case: foreign.Case) -> None:
    """JSON-RPC codes, transports and servers that do not start (faults 48 to 55)."""
    failure = mcp_tools.translate.failure_of(foreign.mcp_error(case))
    assert differences(case, failure, "parks tool") == {}


@pytest.mark.parametrize(
    "exc", [ValueError("x"), KeyError("x"), RuntimeError("x"), ExceptionGroup("x", [ValueError()])]
)
def test_an_exception_of_nobodys_is_left_to_others(exc: Exception) -> None:
    """A programming error behind a store or a tool must not look like an outage."""
    assert memory.translate.failure_of(exc) is None
    assert mcp_tools.translate.failure_of(exc) is None


def test_a_class_that_only_shares_a_name_is_not_taken_for_a_librarys() -> None:
    """Recognised by library and name, not by name alone."""
    namesake = type("NoScriptError", (Exception,), {"__module__": "somewhere"})
    assert memory.translate.failure_of(namesake("x")) is None


def test_a_subclass_is_read_as_what_it_derives_from() -> None:
    """Somebody's own subclass of a library's exception keeps its meaning."""
    derived = type("Mine", (foreign.redis_errors.ReadOnlyError,), {"__module__": "mine"})
    failure = memory.translate.failure_of(derived("x"))
    assert failure is not None
    assert failure.code == "READONLY"


def test_an_answer_that_breaks_the_protocol_is_the_tools_failure() -> None:
    """Fault 50: pydantic refuses it, and its sentence quotes the answer."""
    with pytest.raises(ValidationError) as caught:
        CallToolResult.model_validate({"content": "secret-words"})
    failure = mcp_tools.translate.failure_of(caught.value)
    assert failure == Failure(kind=FailureKind.MALFORMED, detail="its answer breaks the protocol")


def test_a_silent_socket_of_a_store_is_a_timeout() -> None:
    """asyncio's own exception, where no client wraps it (fault 59)."""
    assert memory.translate.failure_of(TimeoutError()) == Failure(
        kind=FailureKind.IDLE_TIMEOUT, detail="it fell silent"
    )


@pytest.mark.parametrize(("status", "kind"), [(None, FailureKind.MALFORMED), (503, FailureKind.STATUS)])
def test_an_answer_of_qdrants_may_lack_status_or_headers(status: int | None, kind: FailureKind) -> None:
    """Its client types both as optional."""
    bare = UnexpectedResponse(status, "", b"", None)  # type: ignore[arg-type] - what a client without headers passes
    failure = memory.translate.failure_of(bare)
    assert failure is not None
    assert (failure.kind, failure.status) == (kind, status)


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        ("SSLCertVerificationError", ": the certificate is not trusted (expired)"),
        ("SSLError", ": the TLS handshake failed"),
        ("gaierror", ": the host name cannot be resolved"),
        ("ConnectionRefusedError", ": refused"),
    ],
)
def test_a_missing_connection_says_why_and_a_broken_one_does_not(cause: str, why: str) -> None:
    """Faults 19 to 21, for a provider and for a store."""
    missing = foreign.openai_transport({"raises": "ConnectError", "because": cause})
    assert to_failure(missing, produced=False, secret=None).detail == f"no connection{why}"
    broken = foreign.openai_transport({"raises": "ReadError", "because": cause})
    assert to_failure(broken, produced=False, secret=None).detail == "the connection broke"
    store = memory.translate.failure_of(foreign.neo4j_error({"raises": "ServiceUnavailable", "because": cause}))
    assert store == Failure(kind=FailureKind.CONNECT, detail=f"no connection{why}")
    commit = memory.translate.failure_of(foreign.neo4j_error({"raises": "IncompleteCommit", "because": cause}))
    assert commit == Failure(kind=FailureKind.RESET, detail="the connection broke during a commit")
