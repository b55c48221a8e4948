"""The hot route answers as FastAPI does, for good input and bad, and is measured and traced as the same route."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import TypeAdapter, ValidationError

from serving import answering
from serving.api import MAX_BODY, create_app
from serving.api_metrics import ApiMetrics
from serving.api_types import Ask
from serving.hot_route import PATH, HotRoute
from streams import traced
from streams.tracing import Tracing
from tests.serving.test_api import ASKED, MemoryBackend, client_of, fields, items

JSON = {"content-type": "application/json"}


def hot_app(backend: MemoryBackend) -> HotRoute:
    metrics = ApiMetrics(backend.registry)
    return HotRoute(create_app(backend, metrics), backend, metrics, max_body=MAX_BODY)  # type: ignore[arg-type]


def hot_client(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://api")


async def both(
    content: Any, headers: dict[str, str], **world: Any
) -> tuple[httpx.Response, httpx.Response, MemoryBackend, MemoryBackend]:
    """The same request by FastAPI alone and by the hot route, each to a deployment of its own."""
    plain, hot = MemoryBackend(), MemoryBackend()
    for backend in (plain, hot):
        for name, value in world.items():
            setattr(backend, name, value)
    async with client_of(plain) as one, hot_client(hot_app(hot)) as other:
        send = content if callable(content) else lambda: content
        return (
            await one.post(PATH, content=send(), headers=headers),
            await other.post(PATH, content=send(), headers=headers),
            plain, hot,
        )  # fmt: skip


def told(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    return answer.status_code, answer.content, sorted(answer.headers.multi_items())


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> list[Ask]:
    """What the hot route itself took on."""
    taken: list[Ask] = []

    class Watched(HotRoute):
        async def _asked(self, *args: Any) -> Ask | None:
            if (ask := await super()._asked(*args)) is not None:
                taken.append(ask)
            return ask

    monkeypatch.setattr(f"{__name__}.HotRoute", Watched)
    return taken


GOOD: list[dict[str, Any]] = [
    {"user_id": "ann", "request_id": "r"},
    {"user_id": "nobody", "request_id": "r", "n": 3},
    {"user_id": "ann", "request_id": "r", "n": "4", "surface": "home"},
    {"user_id": "ann", "request_id": "r", "exclude": ["i2", "i3"], "filter": {"tags": ["even"]}},
    {"user_id": "ann", "request_id": "r", "pins": {"i5": 0}, "context": {"device": {"os": None, "w": 1.5}}},
    {"user_id": "ann", "request_id": "r", "explain": True},
    {"user_id": "änn\u2028", "request_id": "\U0001f600"},
]


@pytest.mark.parametrize("body", GOOD)
async def test_what_is_good_is_answered_alike_and_by_the_hot_route(
    body: dict[str, Any], framework: list[Ask]
) -> None:
    one, other, plain, hot = await both(orjson.dumps(body), JSON)
    assert one.status_code == 200
    assert told(other) == told(one)
    assert [slate.items for slate in hot.exposures] == [slate.items for slate in plain.exposures]
    assert len(hot.exposures) == (not body.get("explain"))
    assert framework == [Ask.model_validate(body)]


BAD: list[tuple[Any, dict[str, str], int, str]] = [
    (b"{}", JSON, 422, "user_id"),
    (b'{"user_id": ""}', JSON, 422, "user_id"),
    (b'{"user_id": 7}', JSON, 422, "user_id"),
    (b'{"user_id": "u", "n": 0}', JSON, 422, "n"),
    (b'{"user_id": "u", "n": 1.5}', JSON, 422, "n"),
    (b'{"user_id": "u", "n": "many"}', JSON, 422, "n"),
    (b'{"user_id": "u", "exclude": [1]}', JSON, 422, "exclude.0"),
    (b'{"user_id": "u", "pins": {"i1": 0, "i2": 0}}', JSON, 422, "pins"),
    (b'{"user_id": "u", "filter": {"colour": []}}', JSON, 422, "filter.colour"),
    (b'{"user_id": "u", "nn": 5}', JSON, 422, "nn"),
    (b'{"user_id": "", "n": 0, "x": 1}', JSON, 422, "x"),
    (b"[]", JSON, 422, "body"),
    (b"null", JSON, 422, "body"),
    (b"", JSON, 422, "body"),
    (b"{", JSON, 422, "body"),
    (b'{"user_id": "u"} x', JSON, 422, "body"),
    (b"[" * 10_000, JSON, 400, "body"),
    (b"\xff\xfe", JSON, 422, "body"),
    (b'{"user_id": "\xff"}', JSON, 400, "body"),
    (b'{"user_id": NaN}', JSON, 422, "user_id"),
    (b'{"user_id": "u"}', {"content-type": "text/plain"}, 422, "body"),
    (b'{"user_id": "u"}', {}, 422, "body"),
    (b'{"user_id": "u"}', {**JSON, "content-length": "lots"}, 400, "content-length"),
    (b" " * (MAX_BODY + 1), JSON, 413, "body"),
]


@pytest.mark.parametrize(("content", "headers", "status", "field"), BAD)
async def test_what_is_bad_is_refused_alike_with_the_field_named(
    content: bytes, headers: dict[str, str], status: int, field: str
) -> None:
    one, other, _, hot = await both(content, headers)
    assert told(other) == told(one)
    assert other.status_code == status
    assert field in fields(other)
    assert hot.exposures == []


@pytest.mark.parametrize(
    "headers",
    [{"content-type": "application/json; charset=utf-8"}, {"content-type": "application/problem+json"}],
)
async def test_json_by_another_name_is_answered_too(headers: dict[str, str]) -> None:
    one, other, _, _ = await both(orjson.dumps(GOOD[0]), headers)
    assert told(other) == told(one)
    assert other.status_code == 200


async def test_a_body_in_pieces_is_answered_and_one_without_end_is_refused() -> None:
    async def pieces(count: int) -> AsyncIterator[bytes]:
        yield b'{"request_id": "r", '
        for _ in range(count):
            yield b" " * 65_536
        yield b'"user_id": "ann"}'

    one, other, _, _ = await both(lambda: pieces(2), JSON)
    assert told(other) == told(one)
    assert len(items(other)) == 5
    length = str(20 + 17 + 2 * 65_536)
    one, other, _, _ = await both(lambda: pieces(2), {**JSON, "content-length": length})
    assert told(other) == told(one)
    assert len(items(other)) == 5
    for headers in (JSON, {**JSON, "content-length": "9"}):  # said or not, or said wrongly
        one, other, _, hot = await both(lambda: pieces(20), headers)
        assert told(other) == told(one)
        assert other.status_code == 413
        assert hot.exposures == []


@pytest.mark.parametrize(
    "world", [{"missing": {"models": "not loaded yet"}}, {"redis_away": True}, {"default_n": 3}]
)
async def test_a_replica_that_is_not_ready_or_lacks_redis_says_the_same_by_either_way(
    world: dict[str, Any],
) -> None:
    one, other, _, _ = await both(orjson.dumps(GOOD[0]), JSON, **world)
    assert told(other) == told(one)
    assert other.status_code == (503 if "missing" in world else 200)


async def test_a_request_that_fails_within_is_a_500_told_alike_and_counted_once() -> None:
    async def log(_: object) -> None:
        raise ArithmeticError

    one, other, _, hot = await both(orjson.dumps(GOOD[0]), JSON, log=log)
    assert told(other) == told(one)
    assert other.status_code == 500
    assert count(hot, "500") == 1


def count(backend: MemoryBackend, status: str) -> float:
    """Requests of the route that were counted under a status."""
    return backend.registry.get_sample_value(
        "freshet_http_requests_total", {"route": PATH, "status": status}
    ) or 0.0  # fmt: skip


async def test_each_request_is_measured_once_whoever_answers_it() -> None:
    backend = MemoryBackend()
    async with hot_client(hot_app(backend)) as api:
        for body in (GOOD[0], GOOD[0], {"user_id": ""}):
            await api.post(PATH, json=body)
        assert (await api.get(f"{PATH}/ann")).status_code == 200
        assert (await api.delete(PATH)).status_code == 405
    assert (count(backend, "200"), count(backend, "422"), count(backend, "500")) == (2, 1, 0)
    timed = backend.registry.get_sample_value("freshet_http_request_seconds_count", {"route": PATH})
    assert timed == 4  # the one of a wrong method is of this route too
    assert len(backend.exposures) == 2, "the second was a retry of the first; the third was refused"


async def test_a_request_goes_on_with_its_trace_under_the_name_of_the_route() -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    app = traced.TracedHttp(hot_app(MemoryBackend()), Tracing(provider))
    async with hot_client(app) as api:
        await api.post(PATH, json=GOOD[0])
        await api.post(PATH, json={"user_id": ""})
    named = [(span.name, span.attributes["http.response.status_code"]) for span in kept.get_finished_spans()]
    assert named == [(f"POST {PATH}", 200), (f"POST {PATH}", 422)]


@settings(max_examples=300)
@given(asked=ASKED, spaces=st.integers(0, 2))
def test_what_is_read_from_bytes_is_what_fastapi_reads_from_values(
    asked: dict[str, Any], spaces: int
) -> None:
    raw = httpx.Request("POST", "http://api", content=_json(asked, spaces)).content
    try:
        read = TypeAdapter(Ask).validate_json(raw)
    except ValidationError:
        return  # FastAPI answers
    assert _json(read.model_dump(), 0) == _json(Ask.model_validate(json.loads(raw)).model_dump(), 0)


def _json(value: Any, spaces: int) -> bytes:
    return b" " * spaces + json.dumps(value).encode()


async def test_the_slate_is_logged_before_it_is_answered() -> None:
    backend = MemoryBackend()
    assert orjson.loads(await answering.answered(backend, Ask(user_id="ann")))["items"]
    assert len(backend.exposures) == 1
