"""How to recognise exceptions of other people's libraries without importing them: by class name and library.

An adapter that imported its library for the class names would make the engine start with neo4j, qdrant or mcp
loaded. What an exception means is the adapters' part. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

UNTRUSTED: Mapping[int, str] = {
    9: "not valid yet",
    10: "expired",
    18: "self-signed",
    19: "self-signed authority",
    20: "unknown authority",
    62: "for another host",
}
"""OpenSSL's verification codes (X509_V_ERR_*), in words of ours: its own name the host."""


def class_names(exc: BaseException, *libraries: str) -> Iterator[str]:
    """Names of the classes of ``exc`` that belong to one of ``libraries``, the most specific first."""
    for cls in type(exc).__mro__:
        if cls.__module__.partition(".")[0] in libraries:
            yield cls.__name__


def causes(exc: BaseException) -> Iterator[BaseException]:
    """``exc`` and all that led to it, each once, nearest first; a group is followed by its members."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [exc]
    while waiting:
        current = waiting.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting.append(current.__cause__ or current.__context__)
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(reversed(cast("BaseExceptionGroup[BaseException]", current).exceptions))


def why_unconnected(exc: BaseException) -> str:
    """The reason why there is no connection, as the end of a sentence; empty where it is not known."""
    for cause in causes(exc):
        names = set(class_names(cause, "ssl", "socket"))
        if "SSLCertVerificationError" in names:
            why = UNTRUSTED.get(getattr(cause, "verify_code", 0), "refused by OpenSSL")
            return f": the certificate is not trusted ({why})"
        if "SSLError" in names:
            return ": the TLS handshake failed"
        if "gaierror" in names:
            return ": the host name cannot be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return ": refused"
    return ""
