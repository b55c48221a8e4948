"""The console's data over HTTP: what is shown is logged, what is only looked at is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from serving.api import create_app
from serving.api_metrics import ApiMetrics
from serving.console_views import principal
from tests.serving.test_api import MemoryBackend, client_of_app


class _Feed:
    """Two ticks, and one partition that is behind."""

    async def ticks(self) -> AsyncIterator[Mapping[str, Any]]:
        for k in range(2):
            yield {"ts": k}

    async def partitions(self) -> list[dict[str, Any]]:
        return [{"partition": 0, "position": 5, "lag": 2}]


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
async def client(backend: MemoryBackend) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(backend, ApiMetrics(backend.registry), console=_Feed())  # type: ignore[arg-type]
    async with client_of_app(app) as client:
        yield client


async def test_the_page_and_all_it_loads_come_from_here(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "://" not in page.text
    loaded = [part.split('"')[0] for part in page.text.split('="')[1:] if part.startswith("/console/")]
    assert len(loaded) >= 4
    for path in loaded:
        assert (await client.get(path)).status_code == 200, path


async def test_without_the_console_there_is_no_page(backend: MemoryBackend) -> None:
    app = create_app(backend, ApiMetrics(backend.registry))  # type: ignore[arg-type]
    async with client_of_app(app) as client:
        for path in ("/", "/v1/live", "/v1/console/health", "/console/app.js"):
            assert (await client.get(path)).status_code == 404


async def test_a_slate_shown_is_explained_and_logged(
    client: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    told = (await client.post("/v1/console/slates", json={"user_id": "ann", "n": 4})).json()
    assert len(told["items"]) == 4
    assert {"order", "sources"} <= set(told["items"][0]["reasons"])
    assert [row["item_id"] for row in told["history"]] == ["i1", "i0"]
    (slate,) = backend.exposures
    assert slate.request_id == told["request_id"]
    assert slate.features is not None


async def test_to_look_at_a_user_shows_nothing_to_anybody(
    client: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    told = (await client.get("/v1/console/users/ann")).json()
    assert told["history"][0]["title"] == "Item 1"
    assert backend.exposures == []


async def test_what_cannot_be_had_is_a_problem_document(
    client: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    backend.redis_away = True
    assert (await client.get("/v1/console/users/ann")).status_code == 503
    backend.redis_away, backend.missing = False, {"models": "not loaded yet"}
    refused = await client.post("/v1/console/slates", json={"user_id": "ann"})
    assert (refused.status_code, refused.json()["title"]) == (503, "Not ready")
    assert (await client.get("/v1/console/health")).json()["lacking"] == backend.missing


async def test_items_are_found_by_tag_and_the_most_shown_come_first(client: httpx.AsyncClient) -> None:
    items = (await client.get("/v1/console/items", params={"q": "third"})).json()["items"]
    assert {row["item_id"] for row in items} == {"i0", "i3", "i6", "i9"}
    shown = [row["shown"] for row in items]
    assert shown == sorted(shown, reverse=True)
    assert items[0]["shown"] == 5 * items[0]["clicked"]


async def test_the_map_holds_every_item_with_a_vector_within_its_bounds(client: httpx.AsyncClient) -> None:
    points = (await client.get("/v1/console/map")).json()["points"]
    assert len(points) > 5
    assert all(abs(point["x"]) <= 1.0 and abs(point["y"]) <= 1.0 for point in points)


async def test_models_tell_the_largest_weights_first(client: httpx.AsyncClient) -> None:
    told = (await client.get("/v1/console/models")).json()
    weights = [abs(weight) for _, weight in told["order"]]
    assert weights == sorted(weights, reverse=True)
    assert set(told["calibration"]) == set(told["surfaces"]) == {"default"}


async def test_health_tells_where_each_partition_stands(client: httpx.AsyncClient) -> None:
    told = (await client.get("/v1/console/health")).json()
    assert told["ready"] is True
    assert told["partitions"] == [{"partition": 0, "position": 5, "lag": 2}]


async def test_what_happens_comes_as_server_sent_events_and_is_no_slow_request(
    client: httpx.AsyncClient, backend: MemoryBackend
) -> None:
    answer = await client.get("/v1/live")
    assert answer.headers["content-type"].startswith("text/event-stream")
    parts = answer.text.strip().split("\n\n")
    assert [orjson.loads(part.removeprefix("data: "))["ts"] for part in parts] == [0, 1]
    assert 'route="/v1/live"' not in backend.metrics().decode().split("freshet_http_requests_total")[0]


def test_few_vectors_lie_in_the_middle_of_the_map() -> None:
    assert principal(np.ones((2, 4), np.float32)).tolist() == [[0.0, 0.0], [0.0, 0.0]]
