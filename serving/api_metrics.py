"""What is measured of each HTTP request, and the limit on its size."""

from __future__ import annotations

import time
from itertools import pairwise

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import document

BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)
IN_TIME_S = 0.2
"""The objective of latency: 99 % of slates take no longer."""


class ApiMetrics:
    """Counters and histograms of the API."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._before = [0.0] * (len(BUCKETS) + 1)
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

    def answered(self) -> tuple[float, float]:
        """Requests answered by a server error, and all."""
        bad = total = 0.0
        for sample in next(iter(self.requests.collect())).samples:
            if sample.name.endswith("_total"):
                total += sample.value
                bad += sample.value if sample.labels["status"].startswith("5") else 0.0
        return bad, total

    def slates_late(self) -> tuple[float, float]:
        """Slates that took longer than :data:`IN_TIME_S`, and all."""
        in_time = total = 0.0
        for sample in next(iter(self.latency.collect())).samples:
            if sample.labels["route"].startswith("/v1/recommendations"):
                in_time += sample.value if sample.labels.get("le") == str(IN_TIME_S) else 0.0
                total += sample.value if sample.name.endswith("_count") else 0.0
        return total - in_time, total

    def latency_lately(self) -> dict[str, float | None]:
        """p50 and p99 of slates answered since last asked, ms, as near as the buckets tell; for the console."""
        upto = dict.fromkeys((*BUCKETS, float("inf")), 0.0)
        for sample in next(iter(self.latency.collect())).samples:
            if "le" in sample.labels and sample.labels["route"].startswith("/v1/recommendations"):
                upto[float(sample.labels["le"])] += sample.value
        totals = list(upto.values())
        cumulated = [now - before for now, before in zip(totals, self._before, strict=True)]
        counts = [high - low for low, high in pairwise([0.0, *cumulated])]
        self._before = totals
        return {"n": sum(counts), "p50": _quantile(counts, 0.5), "p99": _quantile(counts, 0.99)}


def _quantile(counts: list[float], share: float) -> float | None:
    """The ms below which a share of a histogram lies, interpolated within its bucket.

    >>> _quantile([0.0, 10.0] + [0.0] * 12, 0.5)
    1.5
    """
    left = share * sum(counts)
    if not left:
        return None
    for k, count in enumerate(counts):
        if left <= count:
            low, high = ((0.0, *BUCKETS)[k], (*BUCKETS, BUCKETS[-1])[k])
            return round(1_000.0 * (low + (high - low) * left / count), 3)
        left -= count
    return round(1_000.0 * BUCKETS[-1], 3)


class Measured:
    """ASGI middleware: times each request by route, and refuses a body that is too large."""

    def __init__(self, app: ASGIApp, *, metrics: ApiMetrics, max_body: int) -> None:
        self._app, self._metrics, self._max = app, metrics, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun, status, stream = time.perf_counter(), 500, False

        async def sending(message: Message) -> None:
            nonlocal status, stream
            if message["type"] == "http.response.start":
                status = message["status"]
                stream = dict(message["headers"]).get(b"content-type", b"").startswith(b"text/event-stream")
            await send(message)

        taken = 0

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max:  # sent in pieces, without its length
                raise HTTPException(413, f"more than {self._max} bytes")
            return message

        refusal = self._refusal(dict(scope["headers"]).get(b"content-length", b"0"))
        if refusal is not None:
            await refusal(scope, receive, sending)
        else:
            await self._app(scope, receiving, sending)
        route = getattr(scope.get("route"), "path", "(none)")
        if not stream:  # a stream lasts as long as somebody watches
            self._metrics.latency.labels(route).observe(time.perf_counter() - begun)
        self._metrics.requests.labels(route, str(status)).inc()

    def _refusal(self, length: bytes) -> Response | None:
        """The answer to a body that says it is too large, or does not say how large it is."""
        if not length.isdigit():
            return document(
                400, "Bad request", "content-length: not a number", [("content-length", "not a number")]
            )
        if int(length) > self._max:
            told = f"{int(length)} bytes, at most {self._max}"
            return document(413, "Too large", f"body: {told}", [("body", told)])
        return None
