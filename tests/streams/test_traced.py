"""Traces in one process: HTTP goes on with the trace it came with, logs name it, without traces nothing is there."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from online_models.errors import SettingsError
from serving.api import create_app
from serving.api_metrics import ApiMetrics
from streams import logging as freshet_logging
from streams import settings as freshet_settings
from streams import traced, traces, tracing
from streams.ingest import Ingest
from streams.publish import Publisher
from streams.settings import Settings
from streams.tracing import Tracing
from streams.worker import Worker
from tests.serving.test_api import MemoryBackend

TRACE, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
REMOTE = f"00-{TRACE}-{ABOVE}-01"


@pytest.fixture
def kept() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def ours(kept: InMemorySpanExporter) -> Tracing:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return Tracing(provider)


def client_of(backend: MemoryBackend, ours: Tracing) -> httpx.AsyncClient:
    traced.pipeline(ours, backend.recommender)
    app = traced.TracedHttp(create_app(backend, ApiMetrics(backend.registry)), ours)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://api")


async def test_a_request_goes_on_with_the_trace_it_came_with(
    ours: Tracing, kept: InMemorySpanExporter
) -> None:
    async with client_of(MemoryBackend(), ours) as api:
        answer = await api.get("/v1/recommendations/ann", headers={"traceparent": REMOTE})
    assert answer.status_code == 200
    spans: dict[str, Any] = {span.name: span for span in kept.get_finished_spans()}
    request = spans["GET /v1/recommendations/{user_id}"]
    assert f"{request.context.trace_id:032x}" == TRACE and f"{request.parent.span_id:016x}" == ABOVE
    for stage in ("retrieve", "rank", "re-rank"):
        assert spans[stage].parent.span_id == request.context.span_id
    assert request.attributes["http.response.status_code"] == 200
    told = " ".join(f"{span.name} {dict(span.attributes)}" for span in spans.values())
    assert "ann" not in told.replace("annotation", ""), "who asks is no part of a trace"


@pytest.mark.parametrize("broken", ["", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
async def test_a_broken_context_begins_a_trace_of_its_own(
    ours: Tracing, kept: InMemorySpanExporter, broken: str
) -> None:
    async with client_of(MemoryBackend(), ours) as api:
        answer = await api.get("/v1/trending", headers={"traceparent": broken})
    assert answer.status_code == 200
    [span] = kept.get_finished_spans()
    assert span.parent is None


async def test_health_checks_metrics_and_the_console_s_stream_are_no_traces(
    ours: Tracing, kept: InMemorySpanExporter
) -> None:
    async with client_of(MemoryBackend(), ours) as api:
        for path in ("/healthz", "/readyz", "/metrics", "/v1/live"):
            await api.get(path, headers={"traceparent": REMOTE})
    assert kept.get_finished_spans() == ()


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    freshet_logging.configure("json", "INFO", out)
    yield out
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


async def test_a_line_of_log_names_the_request_and_the_trace_it_was_written_in(
    ours: Tracing, lines: io.StringIO
) -> None:
    backend = MemoryBackend()
    freshet_logging.also(tracing.ids)
    async with client_of(backend, ours) as api:
        backend.recommender.ranking.heads = None  # type: ignore[method-assign, assignment] # the pipeline fails, and says so
        asked = {"user_id": "ann", "request_id": "r-7"}
        await api.post("/v1/recommendations", json=asked, headers={"traceparent": REMOTE})
    logging.getLogger("freshet").info("afterwards")
    failed, *_, after = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert failed["level"] == "ERROR" and (failed["request_id"], failed["trace_id"]) == ("r-7", TRACE)
    assert "ann" not in failed["message"]
    assert "request_id" not in after and "trace_id" not in after


def test_without_a_collector_the_parts_are_what_they_were(tmp_path: Path) -> None:
    worker = Worker(freshet_settings.load(snapshot_dir=str(tmp_path)))
    assert worker.tracing is None
    for part, name in ((worker.ingest, "batch"), (worker.outputs, "send"), (worker.store, "commit"),
                       (worker.publisher, "serve_owed"), (worker.recommender.retrieval, "candidates")):  # fmt: skip
        assert name not in vars(part), f"{name} is wrapped"
    assert (worker.ingest.batch.__func__, worker.publisher.answer.__func__) == (
        Ingest.batch,
        Publisher.answer,
    )


def test_without_a_collector_nothing_of_it_is_imported() -> None:
    asks = "import sys, streams.worker, streams.serve, streams.client;"
    asks += "print([m for m in sys.modules if m in ('streams.tracing', 'streams.traced', 'opentelemetry.sdk.trace')])"
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_opentelemetrys_own_variables_name_the_collector_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(tracing, "exporting", lambda endpoint, service: asked.append(endpoint))
    assert traces.wanted(Settings(), "here") is None and asked == []
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    traces.wanted(Settings(), "here")
    traces.wanted(Settings(otlp_endpoint="http://ours:4318"), "here")
    assert asked == ["http://collector:4318", "http://ours:4318"]


def test_without_opentelemetry_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match=r"pip install 'freshet\[otel\]'"):
        traces.wanted(Settings(otlp_endpoint="http://127.0.0.1:4318"), "here")


@pytest.mark.parametrize(
    ("given", "named"), [({}, "freshet-worker"), ({"OTEL_SERVICE_NAME": "mine"}, "mine")]
)
def test_a_process_is_called_as_the_standard_variable_says(
    monkeypatch: pytest.MonkeyPatch, kept: InMemorySpanExporter, given: dict[str, str], named: str
) -> None:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    made = tracing.to(kept, "freshet-worker")
    made.tracer.start_span("x").end()
    made.close()
    [span] = kept.get_finished_spans()
    assert span.resource.attributes["service.name"] == named
