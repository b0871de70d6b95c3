"""Exceptions of redis-py, the Neo4j driver and the Qdrant client become a ``Failure``, here and nowhere else.

What the failure means is ``engine/resilience/classify.py``'s decision. Libraries are recognised by the names of
their classes and never imported. Details are sentences of ours and codes are from lists of ours: nothing that a
server or a caller wrote ever passes (F7). Qdrant is spoken to by HTTP; there is no reading of gRPC errors. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from configs.foreign import class_names, why_unconnected
from configs.http_failure import failure_of_answer, failure_of_transport
from configs.kernel import Failure, FailureKind

K = FailureKind
Reading = tuple[FailureKind, str]

REDIS_CODES: Mapping[str, Reading] = {
    "NOAUTH": (K.DENIED, "it wants a password, and there is none"),
    "WRONGPASS": (K.DENIED, "user or password are wrong"),
    "NOPERM": (K.DENIED, "its user may not do this"),
    "DENIED": (K.DENIED, "protected mode refuses connections from here"),
    "LOADING": (K.UNABLE, "it is loading its data"),
    "BUSY": (K.UNABLE, "a script of somebody's keeps it busy"),
    "UNKILLABLE": (K.UNABLE, "a script of somebody's keeps it busy"),
    "OOM": (K.UNABLE, "its memory is full"),
    "MISCONF": (K.UNABLE, "it cannot save to disk and takes no writes"),
    "READONLY": (K.UNABLE, "it is a replica and takes no writes"),
    "MASTERDOWN": (K.UNABLE, "it is a replica without its primary"),
    "NOREPLICAS": (K.UNABLE, "it has too few replicas to take writes"),
    "CLUSTERDOWN": (K.UNABLE, "its cluster is down"),
    "MOVED": (K.UNABLE, "it is one node of a cluster, and the key is on another"),
    "ASK": (K.CONFLICT, "the key is moving to another node"),
    "TRYAGAIN": (K.CONFLICT, "the keys are moving to another node"),
    "NOSCRIPT": (K.CONFLICT, "it does not have the script any more"),
    "EXECABORT": (K.INVALID, "the transaction was refused"),
    "CROSSSLOT": (K.INVALID, "the keys belong to different nodes"),
    "WRONGTYPE": (K.INVALID, "the key holds another type"),
}
"""By the first word of an error reply (redis.io, "Redis server errors"). Any other one: our command is wrong."""
REDIS_CLASSES: Mapping[str, str] = {
    "BusyLoadingError": "LOADING",
    "OutOfMemoryError": "OOM",
    "ReadOnlyError": "READONLY",
    "MasterDownError": "MASTERDOWN",
    "ClusterDownError": "CLUSTERDOWN",
    "MovedError": "MOVED",
    "AskError": "ASK",
    "TryAgainError": "TRYAGAIN",
    "NoScriptError": "NOSCRIPT",
    "ExecAbortError": "EXECABORT",
    "ClusterCrossSlotError": "CROSSSLOT",
    "CrossSlotTransactionError": "CROSSSLOT",
    "NoPermissionError": "NOPERM",
}
"""Classes that stand for one error reply: redis-py cuts the word off, and older ones do not keep it."""
REDIS_KINDS: Mapping[str, Reading] = {
    "AuthenticationWrongNumberOfArgsError": (K.DENIED, "it does not know user names; give a password only"),
    "ExternalAuthProviderError": (K.UNABLE, "the service that checks its passwords is out"),
    "AuthenticationError": (K.DENIED, "user or password are wrong, or not wanted"),
    "AuthorizationError": (K.DENIED, "its user may not do this"),
    "MaxConnectionsError": (K.REFUSED, "all connections to it are in use"),
    "WatchError": (K.CONFLICT, "a watched key was changed"),
    "LockError": (K.CONFLICT, "the lock is not held"),
    "InvalidResponse": (K.MALFORMED, "its answer is not Redis"),
    "InvalidPipelineStack": (K.MALFORMED, "its answer is not Redis"),
    "DataError": (K.INVALID, "our command is wrong"),
    "PubSubError": (K.INVALID, "our command is wrong"),
    "ResponseError": (K.INVALID, "our command is wrong"),
    "RedisClusterException": (K.UNABLE, "its cluster cannot be reached"),
    "RedisError": (K.UNABLE, "it cannot serve"),
}
REDIS_POOL_IS_EMPTY = "No connection available"

NEO4J_CODES: Mapping[str, Reading] = {
    "Neo.ClientError.Security.AuthorizationExpired": (K.CONFLICT, "it wants us to log in again"),
    "Neo.ClientError.Database.DatabaseNotFound": (K.ABSENT, "there is no such database"),
    "Neo.ClientError.Cluster.NotALeader": (K.UNABLE, "it is not the leader and takes no writes"),
    "Neo.ClientError.Cluster.Routing": (K.UNABLE, "its cluster cannot route"),
    "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase": (K.UNABLE, "it takes no writes"),
    "Neo.ClientError.Routing.DbmsInPanic": (K.UNABLE, "it is in panic"),
    "Neo.ClientError.Routing.RoutingFailed": (K.UNABLE, "its cluster cannot route"),
    "Neo.ClientError.Transaction.TransactionTimedOut": (
        K.IDLE_TIMEOUT,
        "it stopped a query at its own time limit",
    ),
    "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration": (
        K.DEADLINE,
        "it stopped a query at our time limit",
    ),
    "Neo.ClientError.Schema.ConstraintValidationFailed": (K.INVALID, "a constraint forbids it"),
    "Neo.ClientError.Statement.SyntaxError": (K.INVALID, "the query is not Cypher"),
    "Neo.TransientError.Transaction.DeadlockDetected": (K.CONFLICT, "two transactions waited for each other"),
    "Neo.TransientError.Transaction.ConstraintsChanged": (K.CONFLICT, "its constraints changed meanwhile"),
    "Neo.TransientError.Transaction.Outdated": (K.CONFLICT, "the transaction is outdated"),
    "Neo.TransientError.Transaction.LockAcquisitionTimeout": (K.CONFLICT, "a lock was not free in time"),
    "Neo.TransientError.Transaction.LeaseExpired": (K.CONFLICT, "the leader changed"),
    "Neo.TransientError.General.DatabaseUnavailable": (K.UNABLE, "the database is not available"),
    "Neo.TransientError.General.MemoryPoolOutOfMemoryError": (K.UNABLE, "its memory is full"),
    "Neo.TransientError.General.OutOfMemoryError": (K.UNABLE, "its memory is full"),
    "Neo.TransientError.Transaction.MaximumTransactionLimitReached": (K.UNABLE, "it has too many transactions"),
}
"""By code (neo4j.com/docs/status-codes); the rest goes by its prefix or its class."""
NEO4J_PREFIXES: tuple[tuple[str, Reading], ...] = (
    ("Neo.ClientError.Security.", (K.DENIED, "user, password or rights are wrong")),
    ("Neo.ClientError.", (K.INVALID, "our query is wrong")),
    ("Neo.TransientError.Transaction.", (K.CONFLICT, "the transaction lost against another")),
    ("Neo.TransientError.", (K.UNABLE, "it cannot serve now")),
    ("Neo.DatabaseError.", (K.UNABLE, "it failed inside")),
)
NEO4J_KINDS: Mapping[str, Reading] = {
    "IncompleteCommit": (K.RESET, "the connection broke during a commit"),
    "ServiceUnavailable": (K.CONNECT, "no connection"),
    "SessionExpired": (K.RESET, "the connection broke"),
    "ConnectionPoolError": (K.REFUSED, "all connections to it are in use"),
    "AuthConfigurationError": (K.DENIED, "the credentials cannot be used"),
    "ConfigurationError": (K.ABSENT, "the driver cannot be set up for it"),
    "BrokenRecordError": (K.MALFORMED, "a record cannot be decoded"),
    "DriverError": (K.INVALID, "session, transaction or result were used wrongly"),
    "GqlError": (K.UNABLE, "it failed inside"),
}

QDRANT = "qdrant_client"
DIMENSION = re.compile(rb"expected dim|dimension error", re.IGNORECASE)
NO_COLLECTION = re.compile(rb"Not found: Collection ", re.IGNORECASE)


def failure_of(exc: BaseException) -> Failure | None:
    """What an exception of a store's client says, or ``None`` for one that is none of theirs."""
    for read in (redis_failure, neo4j_failure, qdrant_failure):
        failure = read(exc)
        if failure is not None:
            return failure
    if isinstance(exc, TimeoutError):
        return Failure(kind=K.IDLE_TIMEOUT, detail="it fell silent")
    return _broken(exc) if isinstance(exc, OSError) else None


def redis_failure(exc: BaseException) -> Failure | None:
    """What a ``redis.exceptions`` class says. Codes are the first words of Redis' error replies."""
    names = tuple(class_names(exc, "redis"))
    if not names:
        return None
    code = next((REDIS_CLASSES[name] for name in names if name in REDIS_CLASSES), None) or _redis_word(exc)
    if code is not None:
        return _failure(REDIS_CODES[code], code)
    if "TimeoutError" in names:
        connecting = str(exc).startswith("Timeout connecting")
        return (
            Failure(kind=K.CONNECT_TIMEOUT, detail="no connection within the connect timeout")
            if connecting
            else Failure(kind=K.IDLE_TIMEOUT, detail="it fell silent")
        )
    reading = next((REDIS_KINDS[name] for name in names if name in REDIS_KINDS and name != "RedisError"), None)
    if reading is None and "ConnectionError" in names:
        pool = str(exc).startswith(REDIS_POOL_IS_EMPTY)
        return _failure(REDIS_KINDS["MaxConnectionsError"]) if pool else _broken(exc)
    return _failure(reading or REDIS_KINDS["RedisError"])


def neo4j_failure(exc: BaseException) -> Failure | None:
    """What a ``neo4j.exceptions`` class says. A failed result says what the failure behind it says."""
    names = tuple(class_names(exc, "neo4j"))
    if not names:
        return None
    if "ResultFailedError" in names and exc.__cause__ is not None:
        return neo4j_failure(exc.__cause__)
    code = getattr(exc, "code", None)
    if isinstance(code, str):
        if code in NEO4J_CODES:
            return _failure(NEO4J_CODES[code], code)
        reading = next((reading for prefix, reading in NEO4J_PREFIXES if code.startswith(prefix)), None)
        return _failure(reading or NEO4J_KINDS["GqlError"])
    reading = next((NEO4J_KINDS[name] for name in names if name in NEO4J_KINDS), NEO4J_KINDS["GqlError"])
    failure = _failure(reading)
    return replace(failure, detail=failure.detail + why_unconnected(exc)) if failure.kind is K.CONNECT else failure


def qdrant_failure(exc: BaseException) -> Failure | None:
    """What an exception of the Qdrant client says. Waits are those that the server asked for."""
    names = tuple(class_names(exc, QDRANT))
    if "UnexpectedResponse" in names:
        return _qdrant_answer(exc)
    if "ResponseHandlingException" in names:
        source = getattr(exc, "source", None)
        found = failure_of_transport(source) if isinstance(source, BaseException) else None
        return found or Failure(kind=K.MALFORMED, detail="its answer cannot be decoded")
    if "ResourceExhaustedResponse" in names:
        wait_s = getattr(exc, "retry_after_s", None)
        return Failure(
            kind=K.STATUS,
            detail="it limits our rate",
            status=429,
            retry_after_s=float(wait_s) if isinstance(wait_s, int) else None,
        )
    return Failure(kind=K.UNABLE, detail="it cannot serve") if names else None


def _qdrant_answer(exc: BaseException) -> Failure:
    """Qdrant has no error codes: its texts are compared with two known ones and go no further."""
    status, content = getattr(exc, "status_code", None), getattr(exc, "content", b"")
    text = content if isinstance(content, bytes) else b""
    if not isinstance(status, int):
        return Failure(kind=K.MALFORMED, detail="its answer has no status")
    read = failure_of_answer(status, cast("Mapping[str, str]", getattr(exc, "headers", None) or {}), None)
    if status == 429 and read.retry_after_s is None:  # no spend limit, as it would be from a provider of models
        return replace(read, kind=K.UNABLE, detail="it limits our rate")
    if status == 404 and not NO_COLLECTION.search(text):
        return replace(read, kind=K.INVALID, detail="there is no such point")
    if status == 404:
        return replace(read, kind=K.ABSENT, detail="there is no such collection", code="collection_not_found")
    if status == 400 and DIMENSION.search(text):
        said = "its vectors have another dimension than ours"
        return replace(read, kind=K.ABSENT, detail=said, code="dimension_mismatch")
    return replace(read, detail=f"it answered {status}")


def _redis_word(exc: BaseException) -> str | None:
    word = getattr(exc, "status_code", None) or str(exc).partition(" ")[0]
    return word if word in REDIS_CODES else None


def _broken(exc: BaseException) -> Failure:
    why = why_unconnected(exc)
    if why:
        return Failure(kind=K.CONNECT, detail="no connection" + why)
    return Failure(kind=K.RESET, detail="the connection broke")


def _failure(reading: Reading, code: str | None = None) -> Failure:
    kind, said = reading
    return Failure(kind=kind, detail=said + (f" ({code})" if code else ""), code=code)
