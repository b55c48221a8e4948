"""HTTP over a deployment in memory: statuses, problem documents that name the field, and never a 500."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from online_models.errors import StoreUnavailable
from online_models.events import Exposure
from online_models.history import UserRecord
from serving.api import MAX_BODY, create_app
from serving.api_metrics import ApiMetrics
from serving.item_history import ItemHistory
from serving.types import Slate
from serving.wire import exposure
from streams import validation
from streams.outputs import Message
from streams.serve import Replica
from streams.validation import Rules
from tests.serving.world import NOW, World


class MemoryLog:
    """Keeps what is delivered, or is away."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.away = False

    async def deliver(self, messages: Sequence[Message]) -> None:
        if self.away:
            raise TimeoutError
        self.events += [orjson.loads(message.value or b"") for message in messages]


class MemoryBackend:
    """What the API stands on, in memory; events are taken in as the real replica takes them."""

    def __init__(self) -> None:
        self.world = World()
        self.recommender = self.world.recommender
        self.default_surface, self.default_n = "default", 5
        self.item_history = ItemHistory(self.world.learner.counters)
        self.users: dict[str, UserRecord] = {"ann": self.world.user("i0", "i1")}
        self.redis_away = False
        self.missing: dict[str, str] = {}
        self.exposures: list[Slate] = []
        self.outputs = MemoryLog()
        self.stats: Counter[str] = Counter()
        self.registry = CollectorRegistry()
        self._rules = Rules(actions=frozenset({"click", "purchase"}))

    def now(self) -> int:
        return NOW

    def lacking(self) -> dict[str, str]:
        return self.missing

    async def user(self, user_id: str) -> UserRecord:
        if self.redis_away:
            raise StoreUnavailable("away")
        return self.users.get(user_id, UserRecord())

    async def log(self, slate: Slate) -> None:
        self.exposures.append(slate)

    accept = Replica.accept

    def experiments(self) -> dict[str, object]:
        return {"experiments": [], "model": {"live": self.recommender.registry.live}}

    def metrics(self) -> bytes:
        return generate_latest(self.registry)


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


def client_of(backend: MemoryBackend) -> httpx.AsyncClient:
    return client_of_app(create_app(backend, ApiMetrics(backend.registry)))  # type: ignore[arg-type]


def client_of_app(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://api"
    )


@pytest.fixture
async def api(backend: MemoryBackend) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(backend) as client:
        yield client


def fields(answer: httpx.Response) -> list[str]:
    """The fields a problem document names."""
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["title"]
    assert told["detail"]
    return [error["field"] for error in told["errors"]]


def items(answer: httpx.Response) -> list[str]:
    """The items of a slate that was answered."""
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


# ---------------------------------------------------------------------- slates


async def test_a_slate_is_answered_by_post_and_by_get_and_logged_as_an_exposure(
    api: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    posted = await api.post("/v1/recommendations", json={"user_id": "ann", "n": 4, "exclude": ["i2"]})
    got = await api.get("/v1/recommendations/ann", params={"n": 4})
    for answer in (posted, got):
        assert len(items(answer)) == 4
        assert not {"i0", "i1"} & set(items(answer))
        assert answer.json()["degraded"] is None
    assert "i2" not in items(posted)
    assert [slate.user_id for slate in backend.exposures] == ["ann", "ann"]
    event = validation.event(orjson.dumps(exposure(backend.exposures[0], NOW)), NOW, Rules())
    assert isinstance(event, Exposure)
    assert [slot.item_id for slot in event.items] == items(posted)


async def test_a_retried_request_gets_the_same_slate_and_is_logged_once(
    api: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    first = await api.post("/v1/recommendations", json={"user_id": "ann", "request_id": "r"})
    backend.users["ann"].act(backend.world.number(items(first)[0]), NOW)
    again = await api.post("/v1/recommendations", json={"user_id": "ann", "request_id": "r"})
    assert items(again) == items(first)
    assert len(backend.exposures) == 1
    other = await api.post("/v1/recommendations", json={"user_id": "bob", "request_id": "r"})
    assert other.json()["user_id"] == "bob"


async def test_a_user_nobody_knows_is_never_left_empty(api: httpx.AsyncClient) -> None:
    assert len(items(await api.get("/v1/recommendations/nobody"))) == 5


async def test_to_explain_is_to_look_and_not_to_show(api: httpx.AsyncClient, backend: MemoryBackend) -> None:
    answer = await api.get("/v1/recommendations/ann", params={"explain": True})
    assert all(item["reasons"]["features"] for item in answer.json()["items"])
    assert backend.exposures == []


async def test_without_redis_the_last_good_list_is_served_marked_with_the_reason(
    api: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    good = await api.get("/v1/recommendations/ann")
    backend.redis_away = True
    stale = await api.get("/v1/recommendations/ann")
    assert items(stale) == items(good)
    assert stale.json()["degraded"].startswith("redis")
    assert "degraded" in stale.json()["flags"]
    unknown = await api.get("/v1/recommendations/nobody")
    assert len(items(unknown)) == 5
    assert unknown.json()["degraded"].startswith("redis")
    backend.redis_away = False
    assert (await api.get("/v1/recommendations/ann")).json()["degraded"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 257}, "user_id"),
        ({"user_id": 7}, "user_id"),
        ({"user_id": "u", "n": 0}, "n"),
        ({"user_id": "u", "n": 501}, "n"),
        ({"user_id": "u", "n": "many"}, "n"),
        ({"user_id": "u", "exclude": [1]}, "exclude.0"),
        ({"user_id": "u", "pins": {"i1": 0, "i2": 0}}, "pins"),
        ({"user_id": "u", "pins": {"i1": -1}}, "pins.i1"),
        ({"user_id": "u", "filter": {"tags": "war"}}, "filter.tags"),
        ({"user_id": "u", "filter": {"colour": []}}, "filter.colour"),
        ({"user_id": "u", "nn": 5}, "nn"),
        ([], "body"),
        (None, "body"),
    ],
)
async def test_bad_input_is_refused_with_the_field_named(
    api: httpx.AsyncClient, body: Any, field: str
) -> None:
    answer = await api.post("/v1/recommendations", json=body)
    assert answer.status_code == 422
    assert field in fields(answer)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b'{"user_id": NaN}', b"[" * 10_000])
async def test_what_is_no_json_is_refused(api: httpx.AsyncClient, raw: bytes) -> None:
    for path in ("/v1/recommendations", "/v1/events"):
        answer = await api.post(path, content=raw, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422)
        assert fields(answer)[0] in ("body", "user_id")


async def test_what_is_not_there_and_what_is_not_allowed_are_problem_documents(
    api: httpx.AsyncClient,
) -> None:
    assert (await api.get("/v1/nothing")).status_code == 404
    assert fields(await api.get("/v1/nothing")) == []
    assert (await api.delete("/v1/recommendations")).status_code == 405
    assert fields(await api.get("/v1/items/nobody-told/similar")) == ["item_id"]


async def test_until_it_is_ready_requests_are_refused_and_health_is_answered(
    api: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    backend.missing = {"models": "not loaded yet"}
    for path in ("/v1/recommendations/ann", "/v1/items/i0/similar", "/v1/trending"):
        answer = await api.get(path)
        assert answer.status_code == 503
        assert "models: not loaded yet" in answer.json()["detail"]
    assert (await api.get("/healthz")).status_code == 200
    ready = await api.get("/readyz")
    assert (ready.status_code, ready.json()["lacking"]) == (503, backend.missing)
    backend.missing = {}
    assert (await api.get("/readyz")).status_code == 200


# ---------------------------------------------------------------------- items


async def test_similar_items_leave_out_the_item_itself_and_what_is_retired(
    api: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    before = items(await api.get("/v1/items/i0/similar"))
    assert before
    assert "i0" not in before
    backend.world.catalog.retire(backend.world.number(before[0]))
    assert items(await api.get("/v1/items/i0/similar"))[: len(before) - 1] == before[1:]


async def test_trending_is_never_empty_while_the_catalogue_is_not(
    api: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    assert items(await api.get("/v1/trending"))[0] == "i0"
    assert len(items(await api.get("/v1/trending", params={"surface": "quiet", "n": 4}))) == 4
    fresh = MemoryBackend()
    fresh.recommender = World(acted=0).recommender
    async with client_of(fresh) as client:
        assert len(items(await client.get("/v1/trending"))) == 12


# ---------------------------------------------------------------------- events


CLICK = {"type": "click", "user_id": "ann", "item_id": "i3"}


async def test_events_are_accepted_with_ids_and_times_of_the_server_where_they_bring_none(
    api: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    one = await api.post("/v1/events", json=CLICK)
    assert (one.status_code, one.json()["accepted"]) == (202, 1)
    many = await api.post("/v1/events", json=[CLICK, {**CLICK, "event_id": "mine", "ts": 5}])
    assert many.json()["event_ids"][1] == "mine"
    assert [event["item_id"] for event in backend.outputs.events] == ["i3"] * 3
    assert backend.outputs.events[2]["ts"] == 5
    assert all(event["event_id"] and event["ts"] for event in backend.outputs.events)


async def test_one_bad_event_among_good_ones_keeps_all_out_and_is_named(
    api: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    answer = await api.post("/v1/events", json=[CLICK, {**CLICK, "item_id": 7}, {**CLICK, "type": "shrug"}])
    assert answer.status_code == 422
    assert fields(answer) == ["1.item_id", "2.type"]
    assert backend.outputs.events == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ([CLICK] * 501, "body"),
        ([CLICK, 7], "body"),
        ("click", "body"),
        ({**CLICK, "type": "action", "action": "shrug"}, "action"),
        ({**CLICK, "ts": NOW * 1_000}, "ts"),
        ({**CLICK, "v": 2}, "v"),
    ],
)
async def test_events_that_are_none_are_refused(
    api: httpx.AsyncClient, backend: MemoryBackend, body: Any, field: str
) -> None:
    answer = await api.post("/v1/events", json=body)
    assert answer.status_code == 422
    assert fields(answer) == [field]
    assert backend.outputs.events == []


@pytest.mark.parametrize("depth", [200, 300, 900])
async def test_an_event_nested_deeply_is_accepted_or_refused(api: httpx.AsyncClient, depth: int) -> None:
    raw = orjson.dumps(CLICK)[:-1] + b',"context":{"a":' + b"[" * depth + b"]" * depth + b"}}"
    answer = await api.post("/v1/events", content=raw)
    assert answer.status_code in (202, 422)


async def test_a_log_that_cannot_be_reached_is_told(api: httpx.AsyncClient, backend: MemoryBackend) -> None:
    backend.outputs.away = True
    answer = await api.post("/v1/events", json=CLICK)
    assert answer.status_code == 503
    assert "send them again" in answer.json()["detail"]


# ---------------------------------------------------------------------- limits, metrics, anything at all


@pytest.mark.parametrize("path", ["/v1/events", "/v1/recommendations"])
async def test_a_body_that_is_too_large_is_refused_told_its_length_or_not(
    api: httpx.AsyncClient, backend: MemoryBackend, path: str
) -> None:
    large = orjson.dumps({**CLICK, "context": {"x": "x" * MAX_BODY}})

    async def in_pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(large), 65_536):
            yield large[at : at + 65_536]

    for content in (large, in_pieces()):
        answer = await api.post(path, content=content)
        assert answer.status_code == 413
        assert fields(answer) == ["body"]
    assert backend.outputs.events == []


async def test_a_length_that_is_no_number_is_the_callers_fault(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/events", content=b"{}", headers={"content-length": "lots"})
    assert answer.status_code == 400


async def test_what_is_answered_is_measured_by_route_and_status(
    api: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    await api.get("/v1/recommendations/ann")
    await api.get("/v1/recommendations/bob", params={"n": 0})
    text = (await api.get("/metrics")).text
    route = 'route="/v1/recommendations/{user_id}"'
    assert f'freshet_http_requests_total{{{route},status="200"}} 1.0' in text
    assert f'freshet_http_requests_total{{{route},status="422"}} 1.0' in text


async def test_the_documentation_describes_every_route(api: httpx.AsyncClient) -> None:
    paths = (await api.get("/openapi.json")).json()["paths"]
    assert {
        "/v1/recommendations",
        "/v1/events",
        "/v1/trending",
        "/healthz",
        "/readyz",
        "/metrics",
    } <= paths.keys()
    assert (await api.get("/docs")).status_code == 200


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ASKED = st.dictionaries(
    st.sampled_from(
        ["user_id", "n", "surface", "request_id", "exclude", "filter", "pins", "context", "explain", "x"]
    ),
    ANYTHING | st.sampled_from(["ann", 3, ["i2"], {"tags": ["even"]}, {}]),
)
HAPPENED = st.dictionaries(
    st.sampled_from(["type", "user_id", "item_id", "event_id", "ts", "items", "action", "v", "context"]),
    ANYTHING | st.sampled_from(["click", "impression", "ann", NOW, 1, [{"item_id": "i"}]]),
)
_BACKEND = MemoryBackend()
APP = create_app(_BACKEND, ApiMetrics(_BACKEND.registry))  # type: ignore[arg-type]


@settings(max_examples=150)
@given(
    asked=ASKED | ANYTHING,
    happened=HAPPENED | st.lists(HAPPENED, max_size=3) | ANYTHING,
    word=st.text(max_size=300),
)
async def test_whatever_is_sent_is_answered_and_never_by_a_500(asked: Any, happened: Any, word: str) -> None:
    async with client_of_app(APP) as client:
        answers = [
            await client.post("/v1/recommendations", content=_json(asked)),
            await client.post("/v1/events", content=_json(happened)),
            await client.get(f"/v1/recommendations/{_path(word)}", params={"surface": word, "n": word}),
            await client.get(f"/v1/items/{_path(word)}/similar"),
            await client.get("/v1/trending", params={"surface": word}),
        ]
    for answer in answers:
        assert answer.status_code in (200, 202, 404, 422), answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"


def _json(value: Any) -> bytes:
    """As a careless client writes it: NaN, huge numbers, lone surrogates and all."""

    return json.dumps(value).encode()


def _path(word: str) -> str:

    return quote(word, safe="", errors="replace") or "%20"
