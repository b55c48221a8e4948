"""A worker whose wall clock is set goes by the log's time: no window closes early, no exposure is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.children import free_port
from tests.end_to_end.harness import PARTITIONS, Deployment, until
from tests.gameday.stack import metric
from tests.support.wall_clock import WallClock

HOUR_S = 3_600.0


@pytest.fixture
def running(kafka: str, redis_url: str, namespace: str, tmp_path: Path) -> Iterator[Deployment]:
    given = {"idle_timeout_ms": 500, "snapshot_interval_s": 1.0, "metrics_port": free_port()}
    deployment = Deployment(kafka, redis_url, namespace, tmp_path, given)
    yield deployment
    deployment.close()


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S])
def test_a_clock_set_by_an_hour_closes_no_window_and_kills_no_exposure(
    running: Deployment, tmp_path: Path, by_s: float
) -> None:
    clock = WallClock(tmp_path)
    for k in range(30):
        item = {"v": 1, "item_id": f"i{k}", "ts": 1, "title": f"Item {k}"}
        running.raw("catalog", f"i{k}", orjson.dumps(item))
    running.flush()
    worker = running.worker(env=clock.env)
    shown = _shown_to(running, "ann", "first")

    clock.set_s(by_s)
    until(lambda: "clock has stepped" in worker.log.read_text(), 30, running.logs)
    saved = _newest_snapshot(running)
    until(lambda: _newest_snapshot(running) > saved, 30, running.logs)  # and several quiet looks at the clock
    again = _shown_to(running, "bob", "second")

    now = time.time_ns() // 1_000_000
    assert abs(again["ts"] - now) < 60_000
    assert all(int(running._of(p, "watermark") or 0) <= now for p in range(PARTITIONS))
    assert _open_windows(running) == 2, "both slates are still waited for"
    first = {"item_id": shown["items"][0]["item_id"], "request_id": shown["request_id"]}
    running.send([_event("click", "ann", "third", **first)])
    running.settle()
    port = running.settings.metrics_port
    until(lambda: metric(port, "freshet_labels_total", {"kind": "positive"}) == 1, 30, running.logs)
    assert not metric(port, "freshet_labels_total", {"kind": "negative"})
    assert metric(port, "freshet_clock_steps_total", {}) == 1
    assert running.read("dead-letters") == []
    assert worker.running


def _shown_to(running: Deployment, user: str, event_id: str) -> dict[str, Any]:
    """A user acts, gets a slate and sees it."""
    running.send([_event("click", user, event_id, item_id="i0")])
    slate = running.slate_of(user, event_id)
    items = [{"item_id": slot["item_id"], "position": k} for k, slot in enumerate(slate["items"])]
    seen = {"items": items, "request_id": slate["request_id"]}
    running.send([_event("impression", user, f"seen-{event_id}", **seen)])
    running.settle()
    return slate


def _event(type_: str, user: str, event_id: str, **more: Any) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    return {"v": 1, "type": type_, "event_id": event_id, "user_id": user, "ts": now, **more}


def _open_windows(running: Deployment) -> int:
    return sum(running.redis.zcard(running._key(p, "due")) for p in range(PARTITIONS))


def _newest_snapshot(running: Deployment) -> str:
    folder = Path(running.settings.snapshot_dir)
    return max((p.name for p in folder.glob("[0-9]*")), default="")
