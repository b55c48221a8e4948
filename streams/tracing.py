"""Traces by OpenTelemetry: a provider that sends them over OTLP, and the context that travels in record headers.

Imported only where traces are wanted (:func:`streams.build.tracing`); :mod:`streams.traced` puts the spans around the
parts. Contexts travel as W3C Trace Context: ``traceparent`` and ``tracestate``, of HTTP requests and of Kafka records.
Which share is kept is the SDK's own business (``OTEL_TRACES_SAMPLER``), as are headers and timeouts of the exporter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from streams.outputs import carried

Headers = tuple[tuple[str, bytes], ...]
_W3C = TraceContextTextMapPropagator()
_PATH = "/v1/traces"


class Tracing:
    """The tracer of one process.

    Args:
        provider: of OpenTelemetry's SDK, or the application's own (``trace.get_tracer_provider()``).

    >>> tracing = Tracing(TracerProvider())
    >>> with tracing.tracer.start_as_current_span("a") as span:
    ...     headers = sent()
    >>> received(headers).trace_id == span.get_span_context().trace_id
    True
    """

    def __init__(self, provider: trace.TracerProvider) -> None:
        self.provider = provider
        self.tracer = provider.get_tracer("freshet", version("freshet"))

    @contextmanager
    def producing(self, topic: str) -> Iterator[Headers]:
        """A span for handing one record over, as a child of what is under way; the headers it is to carry."""
        with self.tracer.start_as_current_span(f"send {topic}", kind=SpanKind.PRODUCER) as span:
            span.set_attributes({"messaging.system": "kafka", "messaging.destination.name": topic})
            yield sent()

    def close(self) -> None:
        """Send what is left."""
        ending: Callable[[], None] | None = getattr(self.provider, "shutdown", None)
        if ending is not None:
            ending()


def exporting(endpoint: str, service: str) -> Tracing:
    """Traces sent over OTLP/HTTP, in the background, in batches; a collector that is away costs the traces only.

    Args:
        endpoint: of the collector, ``http://host:4318``; with or without ``/v1/traces``.
        service: what this process calls itself, unless ``OTEL_SERVICE_NAME`` says otherwise.
    """
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    whole = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
    return to(OTLPSpanExporter(endpoint=whole), service)


def to(exporter: SpanExporter, service: str) -> Tracing:
    """Traces handed to an exporter."""
    named = Resource.create({"service.name": service, "service.version": version("freshet")})
    # OTEL_SERVICE_NAME goes before: the detector reads it into an empty resource
    provider = TracerProvider(resource=named.merge(Resource.create()) if _is_named() else named)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider)


def _is_named() -> bool:
    return not str(Resource.create().attributes["service.name"]).startswith("unknown_service")


def sent() -> Headers:
    """The context under way as headers; empty outside of a trace."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return tuple((name, value.encode()) for name, value in carrier.items())


def received(headers: Iterable[tuple[str, bytes]]) -> SpanContext | None:
    """The context a record was sent with; None without one, or with one that is no context."""
    return of_headers({name: value.decode("latin-1") for name, value in carried(headers) if value})


def of_headers(carrier: Mapping[str, str]) -> SpanContext | None:
    """The context in a request's headers, by lower-case name; None without one."""
    if "traceparent" not in carrier:
        return None
    found = trace.get_current_span(_W3C.extract(carrier, Context())).get_span_context()
    return found if found.is_valid else None


def within(context: SpanContext | None) -> Context:
    """Where a span begins: below a remote one, or a trace of its own."""
    return trace.set_span_in_context(NonRecordingSpan(context), Context()) if context else Context()


def under_way() -> bool:
    """Whether a span is current."""
    return trace.get_current_span().get_span_context().is_valid


def ids() -> dict[str, str]:
    """``trace_id`` and ``span_id`` for a line of log; empty outside of a trace."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }
