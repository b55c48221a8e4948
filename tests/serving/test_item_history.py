"""An item's hours: what was shown and clicked in each, bounded by activity, not by the size of the catalogue."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from online_models.counters import ItemCounters
from serving.api import create_app
from serving.api_metrics import ApiMetrics
from serving.item_history import HOUR_MS, ItemHistory
from tests.serving.test_api import MemoryBackend, client_of_app
from tests.serving.test_console_api import _Feed
from tests.serving.world import NOW


def acted(counters: ItemCounters, item: int, shown: int, clicked: int = 0) -> None:
    counters.add_count("impression", item, shown)
    counters.add_count("click", item, clicked)


def test_each_hour_holds_what_happened_in_it_and_nothing_from_before() -> None:
    counters = ItemCounters(86_400_000)
    acted(counters, 3, shown=1_000, clicked=500)  # learnt before this process looked
    history = ItemHistory(counters)
    for hour, (shown, clicked) in enumerate([(10, 1), (0, 0), (30, 6)]):
        history.tick(hour * HOUR_MS)
        acted(counters, 3, shown, clicked)
        acted(counters, 900, 1)  # the arrays grow meanwhile
    told = history.of(3, now=2 * HOUR_MS + 5)
    assert [(one["ts"], one["shown"], one["clicked"]) for one in told] == [
        (0, 10, 1), (HOUR_MS, 0, 0), (2 * HOUR_MS, 30, 6),
    ]  # fmt: skip
    assert [one["shown"] for one in history.of(4, now=2 * HOUR_MS)] == [0, 0, 0]


def test_only_the_last_hours_are_kept_and_only_items_something_happened_to() -> None:
    counters = ItemCounters(86_400_000)
    acted(counters, 99_999, 1)
    history = ItemHistory(counters, hours=3)
    for hour in range(10):
        history.tick(hour * HOUR_MS)
        acted(counters, hour, 5)
    assert len(history) == 3
    assert [one["ts"] // HOUR_MS for one in history.of(0, now=9 * HOUR_MS)] == [6, 7, 8, 9]


def test_the_oldest_hours_go_when_too_much_happens() -> None:
    counters = ItemCounters(86_400_000)
    history = ItemHistory(counters, most=250)
    for hour in range(6):
        history.tick(hour * HOUR_MS)
        for item in range(100):
            acted(counters, item, 1)
    assert len(history) <= 250
    with pytest.raises(ValueError, match="at least 1"):
        ItemHistory(counters, hours=0)


async def test_the_console_asks_for_the_hours_of_an_item() -> None:
    backend = MemoryBackend()
    backend.item_history.tick(NOW - HOUR_MS)
    acted(backend.world.learner.counters, backend.world.number("i3"), 20, 4)
    app = create_app(backend, ApiMetrics(backend.registry), console=_Feed())  # type: ignore[arg-type]
    async with client_of_app(app) as client:
        told = (await client.get("/v1/console/items/i3/history")).json()
        unknown: httpx.Response = await client.get("/v1/console/items/nothing/history")
    assert [(one["shown"], one["clicked"]) for one in told["hours"]] == [(20, 4), (0, 0)]
    assert unknown.status_code == 404
    assert np.diff([one["ts"] for one in told["hours"]]).tolist() == [HOUR_MS]
