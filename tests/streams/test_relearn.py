"""A rebuild learns the models anew: who asks afterwards is answered by what the log teaches."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from online_models.base import Arrays
from online_models.snapshot import Snapshot, SnapshotStore
from streams.clock import wall_ms
from streams.partitioner import partition_of
from streams.rebuild import Rebuild
from tests.end_to_end.harness import PARTITIONS, Deployment, Event, until
from tests.streams.test_rebuild import look_at_generation

BEGIN = 1_700_000_000_000
ITEMS = 40


@pytest.fixture
def running(kafka: str, redis_url: str, namespace: str, tmp_path: Path) -> Iterator[Deployment]:
    given = {"exploration": False, "snapshot_interval_s": 1.0, "order_learning_share": 0.0}
    deployment = Deployment(kafka, redis_url, namespace, tmp_path, given)
    for k in range(ITEMS):
        item = {"v": 1, "item_id": f"i{k}", "ts": 1, "title": f"Item {k}"}
        deployment.raw("catalog", f"i{k}", orjson.dumps(item))
    deployment.flush()
    yield deployment
    deployment.close()


def pairs(n: int, step: int, *, seed: int = 1, ids: str = "e", users: list[str] | None = None) -> list[Event]:
    """Who clicks item k clicks k + ``step`` next; each is somebody new, where no ``users`` are given."""
    chance = random.Random(seed)
    events: list[Event] = []
    for k in range(n):
        user, item = chance.choice(users) if users else f"{ids}-{k}", chance.randrange(ITEMS)
        for j, number in enumerate((item, (item + step) % ITEMS)):
            events.append(
                {"v": 1, "type": "click", "event_id": f"{ids}{k}-{j}", "user_id": user, "item_id": f"i{number}",
                 "ts": BEGIN + 2_000 * k + 500 * j}
            )  # fmt: skip
    return events


def test_who_starts_after_a_rebuild_answers_by_what_the_log_has_taught(running: Deployment) -> None:
    running.send(pairs(1_500, step=7))
    done = asyncio.run(Rebuild(running.settings).run())
    assert done.snapshot
    look_at_generation(running, done.generation)
    running.worker()
    assert "i17" in _shown(running, "ann", "i10", "a1")[:3]
    slate = running.slate_of("ann", "a1")["items"][0]
    assert not slate["source"].startswith("popular")


def test_who_runs_goes_over_to_the_models_a_rebuild_has_learnt(running: Deployment) -> None:
    workers = [running.worker()]
    running.wait_for_claims([0] * PARTITIONS)
    before = running.epochs()
    workers.append(running.worker())
    running.wait_for_claims(before)
    running.send(pairs(1_500, step=7))
    running.settle()
    _until_shown(running, "i17", "ann")
    since = max(record.timestamp for record in running.read("events")) + 1
    until(lambda: wall_ms() > since, 5, lambda: "the clock goes on")
    running.send(pairs(1_500, step=11, ids="later"))
    running.settle()
    done = asyncio.run(Rebuild(running.settings, since=since).run())
    for worker in workers:
        until(lambda w=worker: f"models of rebuild {done.generation}" in w.log.read_text(), 90, running.logs)  # type: ignore[misc]
        until(lambda w=worker: "generation 1 is in force" in w.log.read_text(), 90, running.logs)  # type: ignore[misc]
    look_at_generation(running, done.generation)
    for user in ("bob", "cid", "dan", "eve"):  # of both workers
        shown = _shown(running, user, "i10", f"{user}-1")
        assert "i21" in shown[:3], user
        assert "i17" not in shown[:3], f"{user}: what the log does not hold was learnt"
    assert all(worker.running for worker in workers)


def test_what_a_rebuild_learns_equals_what_a_worker_has_learnt(running: Deployment) -> None:
    worker = running.worker(slate_cpu_share=0.01)
    running.wait_for_claims([0] * PARTITIONS)
    users = [u for u in (f"u{k}" for k in range(400)) if partition_of(u, PARTITIONS) == 0]
    running.send(pairs(400, step=7, users=users))  # of one partition: one order
    running.settle()
    worker.stop()
    live = _latest(running, 0)

    done = asyncio.run(Rebuild(running.settings).run())
    anew = _latest(running, done.generation)
    assert anew.manifest.version == done.snapshot
    assert anew.manifest.notes["lineage"] == done.generation
    _equal(live.components["model"], anew.components["model"])
    _equal(live.components["counters"], anew.components["counters"])


def test_models_may_be_kept(running: Deployment) -> None:
    worker = running.worker()
    running.send(pairs(1_500, step=7))
    running.settle()

    done = asyncio.run(Rebuild(running.settings, learning=False).run())
    assert done.snapshot == ""
    until(lambda: "generation 1 is in force" in worker.log.read_text(), 30, running.logs)
    look_at_generation(running, 1)
    assert "i17" in _shown(running, "bob", "i10", "b1")[:3]
    assert "models of rebuild" not in worker.log.read_text()


def test_a_snapshot_that_cannot_be_written_puts_nothing_in_force(running: Deployment, tmp_path: Path) -> None:
    running.send(pairs(20, step=7))
    (tmp_path / "file").write_text("no folder")
    nowhere = running.settings.model_copy(update={"snapshot_dir": str(tmp_path / "file")})
    with pytest.raises(OSError, match="file"):
        asyncio.run(Rebuild(nowhere).run())
    assert running.redis.get(f"{running.settings.namespace}:generation") is None
    assert running.redis.get(f"{running.settings.namespace}:lineage") is None


# ---------------------------------------------------------------------- parts


def _shown(running: Deployment, user: str, item: str, event_id: str) -> list[str]:
    """What a user is shown who has clicked one item."""
    ts = BEGIN + 10_000_000
    running.send(
        [{"v": 1, "type": "click", "event_id": event_id, "user_id": user, "item_id": item, "ts": ts}]
    )
    return [slot["item_id"] for slot in running.slate_of(user, event_id)["items"]]


def _until_shown(running: Deployment, wanted: str, user: str) -> None:
    """Until somebody new who clicks i10 is shown an item among the first; the other worker may have to tell first."""
    tries = iter(range(100))

    def shown() -> bool:
        somebody = f"{user}{next(tries)}"
        return wanted in _shown(running, somebody, "i10", f"{somebody}-1")[:3]

    until(shown, 90, running.logs)


def _latest(running: Deployment, lineage: int) -> Snapshot:
    found = SnapshotStore(Path(running.settings.snapshot_dir)).latest(lineage)
    assert found is not None
    return found


def _equal(live: Arrays, anew: Arrays) -> None:
    assert live.keys() == anew.keys()
    for part in live:
        if not part.startswith("fresh/"):  # in the order the catalogue was heard, which has partitions
            np.testing.assert_array_equal(live[part], anew[part], err_msg=part)
    if "fresh/items" in live:
        since = [
            dict(zip(a["fresh/items"].tolist(), a["fresh/since"].tolist(), strict=True)) for a in (live, anew)
        ]
        assert since[0] == since[1]
