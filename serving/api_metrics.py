"""What is measured of each HTTP request, and the limit on its size."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import document

BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)


class ApiMetrics:
    """Counters and histograms of the API."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.latency = Histogram(
            "freshet_http_request_seconds",
            "From a request's arrival to the end of its answer",
            ("route",),
            buckets=BUCKETS,
            registry=registry,
        )
        self.requests = Counter(
            "freshet_http_requests", "Requests answered", ("route", "status"), registry=registry
        )
        self.slates = Counter(
            "freshet_slates_served",
            "Slates answered over HTTP, by what was missing",
            ("state",),
            registry=registry,
        )


class Measured:
    """ASGI middleware: times each request by route, and refuses a body that is too large."""

    def __init__(self, app: ASGIApp, *, metrics: ApiMetrics, max_body: int) -> None:
        self._app, self._metrics, self._max = app, metrics, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        length = int(dict(scope["headers"]).get(b"content-length", b"0") or 0)
        if length > self._max:
            refusal = document(
                413, "Too large", f"body: {length} bytes, at most {self._max}", [("body", "too large")]
            )
            await refusal(scope, receive, sending)
        else:
            await self._app(scope, receive, sending)
        route = getattr(scope.get("route"), "path", "(none)")
        self._metrics.latency.labels(route).observe(time.perf_counter() - begun)
        self._metrics.requests.labels(route, str(status)).inc()
