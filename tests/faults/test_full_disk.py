"""A disk that is full takes no snapshot: the worker goes on, says so, and saves again when there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from online_models.snapshot import SnapshotStore
from streams.children import free_port
from tests.chaos.world import refusals
from tests.end_to_end.harness import Deployment, Recount, until
from tests.gameday.stack import metric
from tests.streams.test_rebuild import clicks
from tests.support.small_disk import CannotMount, SmallDisk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    try:
        with SmallDisk(tmp_path / "snapshots", megabytes=32) as disk:
            yield disk
    except CannotMount as error:
        pytest.skip(str(error))


def test_while_the_disk_is_full_the_last_snapshot_stands_and_every_event_counts(
    kafka: str, redis_url: str, namespace: str, tmp_path: Path, disk: SmallDisk
) -> None:
    port = free_port()
    given = {"snapshot_interval_s": 1.0, "metrics_port": port}
    running = Deployment(kafka, redis_url, namespace, tmp_path, given)
    try:
        _fill_and_empty(running, disk, SnapshotStore(disk.folder), lambda name: metric(port, name, {}) or 0.0)
    finally:
        running.close()


def _fill_and_empty(
    running: Deployment, disk: SmallDisk, snapshots: SnapshotStore, told: Callable[[str], float]
) -> None:
    events = clicks(900)
    worker = running.worker()
    running.send(events[:300])
    running.settle()
    until(lambda: bool(snapshots.versions()), 30, running.logs)

    def refused(times: int) -> bool:
        disk.fill()
        return refusals(worker) >= times

    until(lambda: refused(1), 30, running.logs)
    running.send(events[300:600])
    running.settle()
    good, said = snapshots.versions(), refusals(worker)
    until(lambda: refused(said + 2), 30, running.logs)
    assert worker.running
    assert snapshots.versions() == good, "neither half a snapshot nor one less"
    assert snapshots.latest() is not None
    assert [path.name for path in disk.folder.iterdir() if path.name.startswith(".partial")] == []
    assert told("freshet_snapshots_not_saved_total") >= said

    disk.empty()
    until(lambda: snapshots.versions()[-1] > good[-1], 30, running.logs)
    running.send(events[600:])
    running.settle()
    running.check(Recount(running.settings).add(events))
    newest: Any = snapshots.latest()
    assert newest.manifest.version > good[-1]
