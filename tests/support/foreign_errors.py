"""Real exceptions of other people's libraries, built the way the libraries build them, from plain data.

A case is one entry of ``tests/data/classify_cases.yaml``. Nothing here opens a connection: clients get a transport
that answers from the case.
"""

from __future__ import annotations

import importlib
import json
import socket
import ssl
from collections.abc import Callable
from typing import Any

import anyio  # noqa: F401 - cases name its classes
import httpx
import httpx2
import neo4j.exceptions as neo4j_errors
import openai
import redis.exceptions as redis_errors
from mcp.shared.exceptions import MCPError
from qdrant_client.http import models
from qdrant_client.http.api_client import ApiClient
from redis._parsers.base import BaseParser

Case = dict[str, Any]
HOST = "http://host.example/v1"
REQUEST = httpx.Request("POST", HOST)


def body_of(case: Case) -> bytes:
    """The bytes of an answer: JSON, text, bytes in hex, or one text many times."""
    body = case.get("body")
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, dict) and "hex" in body:
        return bytes.fromhex(body["hex"])
    if isinstance(body, dict) and "repeat" in body:
        return (body["repeat"] * body["times"]).encode()
    return json.dumps(body).encode()


def because(name: str) -> BaseException:
    """A cause, by its name; a Neo4j code stands for the driver's exception for it."""
    if name == "SSLCertVerificationError":
        refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
        refused.verify_code, refused.verify_message = 10, "certificate has expired"
        return refused
    if name.startswith("Neo."):
        return neo4j_code(name)
    known: dict[str, BaseException] = {
        "ConnectionRefusedError": ConnectionRefusedError(111, "Connect call failed"),
        "gaierror": socket.gaierror(-2, "Name or service not known"),
        "SSLError": ssl.SSLError(1, "wrong version number"),
    }
    return known[name]


def openai_status(case: Case) -> Exception:
    """What the OpenAI SDK raises for an answer."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(case["status"], headers=case.get("headers"), stream=httpx.ByteStream(body_of(case)))

    http = httpx.Client(transport=httpx.MockTransport(answer))
    client = openai.OpenAI(api_key="k", base_url=HOST, max_retries=0, http_client=http)
    return caught(lambda: client.chat.completions.create(model="m", messages=[]))


def openai_event(case: Case) -> Exception:
    """What the OpenAI SDK raises for an error event inside a stream."""
    return openai.APIError("an error event", REQUEST, body=case["body"])  # type: ignore[arg-type] - httpx, as we use it


def openai_transport(case: Case) -> Exception:
    """What the OpenAI SDK raises around a transport error of httpx."""
    inner = httpx_error(httpx, case["raises"])
    if "because" in case:
        inner.__cause__ = because(case["because"])
    outer = openai.APIConnectionError(request=REQUEST)  # type: ignore[arg-type] - httpx, as we use it
    outer.__cause__ = inner
    return outer


def redis_error(case: Case) -> Exception:
    """An error reply as redis-py parses it, or one of its exceptions."""
    if "reply" in case:
        return BaseParser.parse_error(case["reply"])
    exc: Exception = getattr(redis_errors, case["raises"])(case["text"])
    if "because" in case:
        exc.__cause__ = because(case["because"])
    return exc


def neo4j_code(code: str, message: str = "m") -> Exception:
    """What the driver raises for a code of the server's."""
    return neo4j_errors.Neo4jError._hydrate_neo4j(code=code, message=message)


def neo4j_error(case: Case) -> Exception:
    """An exception of the driver's, by the server's code or by its class."""
    if "code" in case:
        return neo4j_code(case["code"], case.get("text", "m"))
    cls = getattr(neo4j_errors, case["raises"])
    owned = (neo4j_errors.ResultError, neo4j_errors.TransactionError, neo4j_errors.SessionError)
    text = case.get("text", "m")
    exc = cls(None, text) if issubclass(cls, owned) else cls(text)
    if "because" in case:
        exc.__cause__ = because(case["because"])
    return exc


def qdrant_error(case: Case) -> Exception:
    """What the Qdrant client raises for an answer, or around a transport error."""

    def answer(request: httpx.Request) -> httpx.Response:
        if "raises" in case:
            raise httpx_error(httpx, case["raises"])
        return httpx.Response(case["status"], headers=case.get("headers"), content=body_of(case))

    client: ApiClient[Any] = ApiClient(HOST, transport=httpx.MockTransport(answer))
    return caught(lambda: client.request(type_=models.InlineResponse2005, method="GET", url="/collections/memory"))


def mcp_error(case: Case) -> Exception:
    """A JSON-RPC error, an HTTP status that a client raised for, or an exception under the SDK."""
    text = case.get("text", "m")
    if "code" in case:
        return MCPError(case["code"], text, {"text": text})
    if "status" in case:
        request = httpx2.Request("POST", HOST)
        response = httpx2.Response(case["status"], headers=case.get("headers"), text=text, request=request)
        return caught(response.raise_for_status)
    module, _, name = case["raises"].rpartition(".")
    exc: Exception = (
        httpx_error(httpx2, name, text)
        if module == "httpx2"
        else getattr(importlib.import_module(module), name)(text)
    )
    return ExceptionGroup("unhandled errors", [ExceptionGroup("again", [exc])]) if case.get("grouped") else exc


def httpx_error(library: Any, name: str, text: str = "m") -> Exception:
    """A transport error of httpx or httpx2."""
    return getattr(library, name)(text, request=library.Request("POST", HOST))


def caught(call: Callable[[], object]) -> Exception:
    """The exception that ``call`` raises."""
    try:
        call()
    except Exception as exc:  # noqa: BLE001 - whatever the library raises is what is wanted
        return exc
    raise AssertionError("nothing was raised")
