"""A collector of traces: what is sent to it over OTLP/HTTP, decoded."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Told:
    """One span as it arrived."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    links: tuple[str, ...]  # trace ids
    attributes: dict[str, str]


@dataclass
class Collector:
    """Spans that have come so far."""

    endpoint: str
    spans: list[Told] = field(default_factory=list)

    def of(self, trace: str) -> dict[str, Told]:
        """The spans of one trace by name, the first of each."""
        found: dict[str, Told] = {}
        for told in self.spans:
            if told.trace == trace:
                found.setdefault(told.name, told)
        return found

    def wait(self, holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Until it holds of what has come."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, sorted({(s.service, s.name) for s in self.spans})
            time.sleep(0.05)


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a free port of this machine."""
    held = Collector("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                held.spans += _decoded(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    held.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield held
    server.shutdown()
    server.server_close()


def _decoded(body: bytes) -> list[Told]:
    found = []
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        named = {a.key: a.value.string_value for a in of_resource.resource.attributes}
        for scope in of_resource.scope_spans:
            found += [
                Told(
                    named["service.name"], s.name, s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex(),
                    tuple(link.trace_id.hex() for link in s.links),
                    {a.key: a.value.string_value or str(a.value.int_value) for a in s.attributes},
                )
                for s in scope.spans
            ]  # fmt: skip
    return found
