"""Spans around the parts of a worker and of an API replica, put there from outside when traces are wanted.

Without traces nothing of this is imported and the parts are what they were: not a line runs per event or request. With
them, a click is one trace from its producer on:

    send freshet.events                     the producer, or POST /v1/events
      fold freshet.events                   linked to the batch it was folded in, a trace of its own
        slate                               retrieve, rank, re-rank
          send freshet.recommendations      and the exposures, which carry the context on

A span says what was done to how many, never for whom.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from itertools import groupby
from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode

from online_models.history import UserRecord
from serving.recommender import Recommender
from streams.ingest import Ingest
from streams.outputs import Message, Outputs, carried
from streams.publish import Publisher
from streams.slates import Owed
from streams.slates_apart import SlatesApart
from streams.tracing import Tracing, of_headers, received, sent, under_way, within
from streams.transport_batch import Batch, Record

if TYPE_CHECKING:
    from streams.slate_process import SlateProcess

MOST_LINKS = 128
"""Records a batch's span is linked to; the SDK keeps no more."""
MOST_CAUSES = 10_000
"""Traced actions whose slate is still to come; the oldest is forgotten."""
_STREAM = "/v1/live"
"""Lasts as long as somebody watches: no request to be timed."""
_STORE = ("read", "read_many", "commit", "claim", "intern")


@dataclass(slots=True)
class Causes:
    """Contexts of actions by their event id, until their slate is made."""

    _held: OrderedDict[str, SpanContext]

    def keep(self, event_id: str, context: SpanContext) -> None:
        """An action was folded in this context."""
        self._held[event_id] = context
        if len(self._held) > MOST_CAUSES:
            self._held.popitem(last=False)

    def take(self, event_id: str) -> SpanContext | None:
        """The context of an action, once."""
        return self._held.pop(event_id, None)


def process(tracing: Tracing, recommender: Recommender, of_store: object, of_outputs: Outputs) -> None:
    """Spans around what every process that answers has: the pipeline, the store, what it sends."""
    pipeline(tracing, recommender)
    store(tracing, of_store)
    outputs(tracing, of_outputs)


def pipeline(tracing: Tracing, recommender: Recommender) -> None:
    """Spans around the stages of a request, below whatever asked for it."""
    for part, name, told in (
        (recommender.retrieval, "candidates", "retrieve"),
        (recommender.retrieval, "reserves", "fill up"),
        (recommender.ranking, "order", "rank"),
        (recommender.selection, "select", "re-rank"),
    ):
        setattr(part, name, _timed(tracing, getattr(part, name), told))


def store(tracing: Tracing, of: object) -> None:
    """Spans around round trips to Redis, where a trace is under way."""
    for name in _STORE:
        setattr(of, name, _awaited(tracing, getattr(of, name), f"redis {name}"))


def outputs(tracing: Tracing, of: Outputs) -> None:
    """Each record sent within a trace carries its context; its span ends with the acknowledgement."""
    send = of.send

    @wraps(send)
    async def sending(message: Message) -> Any:
        if not under_way():
            return await send(message)
        topic = f"{of.namespace}.{message.topic}"
        told = {"messaging.system": "kafka", "messaging.destination.name": topic}
        with tracing.tracer.start_as_current_span(
            f"send {topic}", kind=SpanKind.PRODUCER, attributes=told, end_on_exit=False
        ) as span:
            if not carried(message.headers):
                message = replace(message, headers=(*message.headers, *sent()))
            try:
                answer = await send(message)
            except BaseException:
                span.end()
                raise
        answer.add_done_callback(lambda done: _acknowledged(span, done))
        return answer

    of.send = sending  # type: ignore[method-assign]


def worker(tracing: Tracing, ingest: Ingest, publisher: Publisher) -> Causes:
    """Spans around folds and slates; what an action caused is in the trace of the action."""
    causes = Causes(OrderedDict())
    fold, serve, answer = ingest.batch, publisher.serve_owed, publisher.answer

    @wraps(fold)
    async def folding(batch: Batch) -> None:
        with _batch_span(tracing, "fold", batch) as span, _each(tracing, batch, span, causes):
            await fold(batch)

    @wraps(serve)
    async def serving(owed: Owed, record: UserRecord | None = None) -> Any:
        above = None if under_way() else within(causes.take(owed.cause))
        with tracing.tracer.start_as_current_span("slate", above):
            return await serve(owed, record)

    @wraps(answer)
    async def answering(batch: Batch) -> None:
        for is_traced, some in groupby(batch.records, lambda record: _sampled(record) is not None):
            records = tuple(some)
            for part in [(record,) for record in records] if is_traced else [records]:
                piece = replace(batch, records=part)
                context = _sampled(part[0])
                with tracing.tracer.start_as_current_span(
                    f"answer {batch.topic}", within(context), SpanKind.CONSUMER, _of(piece)
                ):
                    await answer(piece)

    ingest.batch = folding  # type: ignore[method-assign]
    publisher.serve_owed = serving  # type: ignore[method-assign]
    publisher.answer = answering  # type: ignore[method-assign]
    return causes


def slates_apart(tracing: Tracing, of: SlatesApart, causes: Causes) -> None:
    """A debt handed over to the process that makes slates takes its trace along."""
    serve = of.serve

    @wraps(serve)
    async def serving(owed: Owed) -> Any:
        with tracing.tracer.start_as_current_span("hand over", within(causes.take(owed.cause))):
            return await serve(owed)

    of.serve = serving  # type: ignore[method-assign]
    of.context = lambda: dict(sent()).get("traceparent", b"").decode()


def slate_process(tracing: Tracing, of: SlateProcess) -> None:
    """A slate made there is in the trace its debt came with."""
    make = of.make

    @wraps(make)
    async def making(number: int, owed: Owed, record: UserRecord | None, context: str) -> None:
        above = of_headers({"traceparent": context} if context else {})
        with tracing.tracer.start_as_current_span("slate", within(above)):
            await make(number, owed, record, context)

    of.make = making  # type: ignore[method-assign]


# ---------------------------------------------------------------------- HTTP


class TracedHttp:
    """ASGI middleware around an application: a request of ``/v1/`` goes on with the trace it came with."""

    def __init__(self, app: Any, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith("/v1/") or path == _STREAM:
            await self._app(scope, receive, send)
            return
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        method = scope["method"]

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                _answered(span, method, scope, message["status"])
            await send(message)

        with self._tracing.tracer.start_as_current_span(
            method, within(of_headers(carrier)), SpanKind.SERVER, {"http.request.method": method}
        ) as span:
            await self._app(scope, receive, sending)


def _answered(span: Span, method: str, scope: Any, status: int) -> None:
    route = getattr(scope.get("route"), "path", "")  # never the path: it may hold a user's id
    if route:
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)


# ---------------------------------------------------------------------- spans


def _timed(tracing: Tracing, call: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(call)
    def timed(*args: Any, **named: Any) -> Any:
        if not under_way():
            return call(*args, **named)
        with tracing.tracer.start_as_current_span(name):
            return call(*args, **named)

    return timed


def _awaited(
    tracing: Tracing, call: Callable[..., Awaitable[Any]], name: str
) -> Callable[..., Awaitable[Any]]:
    @wraps(call)
    async def awaited(*args: Any, **named: Any) -> Any:
        if not under_way():
            return await call(*args, **named)
        with tracing.tracer.start_as_current_span(
            name, kind=SpanKind.CLIENT, attributes={"db.system.name": "redis"}
        ):
            return await call(*args, **named)

    return awaited


def _batch_span(tracing: Tracing, name: str, batch: Batch) -> Any:
    """A trace of its own, linked to those of the records in it."""
    contexts = [found for record in batch.records if record.headers and (found := received(record.headers))]
    links = [Link(context) for context in contexts[:MOST_LINKS]]
    return tracing.tracer.start_as_current_span(
        f"{name} batch", within(None), SpanKind.CONSUMER, _of(batch), links
    )


def _of(batch: Batch) -> dict[str, Any]:
    return {
        "messaging.system": "kafka",
        "messaging.destination.name": batch.topic,
        "messaging.destination.partition.id": str(batch.partition),
        "messaging.batch.message_count": len(batch.records),
    }


def _sampled(record: Record) -> SpanContext | None:
    context = received(record.headers) if record.headers else None
    return context if context is not None and context.trace_flags.sampled else None


@contextmanager
def _each(tracing: Tracing, batch: Batch, span: Span, causes: Causes) -> Iterator[None]:
    """A span in the trace of each record that brought one, for as long as its batch is folded."""
    begun, spans = time.time_ns(), []
    link = [Link(span.get_span_context())]
    for record in batch.records:
        context = _sampled(record)
        if context is None:
            continue
        one = tracing.tracer.start_span(
            f"fold {batch.topic}", within(context), SpanKind.CONSUMER, links=link, start_time=begun
        )
        spans.append(one)
        causes.keep(_event_id(record), one.get_span_context())
    try:
        yield
    finally:
        _end(spans)


def _end(spans: Sequence[Span]) -> None:
    for span in spans:
        span.end()


def _event_id(record: Record) -> str:
    try:
        event = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError:
        return ""
    return str(event.get("event_id", "")) if isinstance(event, dict) else ""


def _acknowledged(span: Span, answer: Any) -> None:
    if answer.cancelled() or answer.exception() is not None:
        span.set_status(StatusCode.ERROR)
    span.end()
