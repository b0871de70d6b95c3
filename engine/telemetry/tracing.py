"""The only module that touches the OpenTelemetry SDK. Everything else calls the API with the tracer from here.

An application that has set a global tracer provider keeps it; otherwise the engine records with a provider of
its own, without an exporter, so that every answer has a real trace id.
"""

from __future__ import annotations

from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

SCOPE = "switchgear"
RELEASE = version("switchgear")
"""Read with the module, because it looks into the file system."""


def open_tracer() -> trace.Tracer:
    """A tracer whose spans have valid ids."""
    current = trace.get_tracer_provider()
    if isinstance(current, trace.ProxyTracerProvider):
        current = TracerProvider(
            resource=Resource({"service.name": SCOPE, "service.version": RELEASE}), shutdown_on_exit=False
        )
    return current.get_tracer(SCOPE, RELEASE)


def trace_id_of(span: trace.Span) -> str:
    """32 hex digits, as Jaeger shows them."""
    return trace.format_trace_id(span.get_span_context().trace_id)
