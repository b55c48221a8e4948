"""A worker as it is wired: every setting has an effect, and what follows a commit follows it."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import streams.saving
from online_models.base import Interaction
from online_models.errors import StoreRefused
from online_models.snapshot import SnapshotStore
from online_models.state import Outcome
from online_models.store import Ownership, Store
from streams import settings as freshet_settings
from streams.outputs import Message
from streams.positions import Held
from streams.settings import Settings
from streams.worker import Worker, serve

STREAMS = Path(__file__).resolve().parents[2] / "streams"


def worker_of(tmp_path: Path, **given: Any) -> Worker:
    """A worker that is connected to nothing."""
    return Worker(freshet_settings.load(snapshot_dir=str(tmp_path), **given))


def test_every_setting_is_read_somewhere() -> None:
    trees = [ast.parse(path.read_text()) for path in STREAMS.glob("*.py") if path.name != "settings.py"]
    read = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert sorted(set(Settings.model_fields) - read) == []


def test_a_slate_waits_for_cpu_as_long_as_the_setting_says(tmp_path: Path) -> None:
    assert worker_of(tmp_path, slate_wait_s=7.0).slates.patience_s == 7.0


async def test_many_interactions_are_told_to_the_others_before_the_interval_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = worker_of(tmp_path, mix_interval_ms=3_600_000, mix_interval_events=3)
    told: list[Message] = []

    async def deliver(messages: list[Message]) -> None:
        told.extend(messages)

    monkeypatch.setattr(worker.outputs, "deliver", deliver)
    mixing = asyncio.create_task(worker.mixing.run())
    held = Held(Ownership(0, 1, 1, 5, "t"), 1, SimpleNamespace(appended=0))
    for item in range(2):
        worker.committed(held, Outcome(interactions=[Interaction(1, item, 1_000)]))
    await asyncio.sleep(0)
    assert told == []
    worker.committed(held, Outcome(interactions=[Interaction(1, 2, 1_000)]))
    async with asyncio.timeout(5):
        while not told:  # noqa: ASYNC110 - turns of the loop, not time, are waited for
            await asyncio.sleep(0)
    mixing.cancel()
    assert [message.topic for message in told] == ["model-deltas"]


async def test_a_worker_that_was_refused_at_its_start_leaves_the_last_snapshot_in_force(
    redis_url: str, namespace: str, tmp_path: Path
) -> None:
    store = Store(redis_url, namespace)
    await store.check(partitions=4)
    await store.close()
    wrong = freshet_settings.load(
        redis_url=redis_url, namespace=namespace, partitions=8, snapshot_dir=str(tmp_path)
    )
    with pytest.raises(StoreRefused, match="4 partitions"):
        await serve(wrong, "fold")
    assert SnapshotStore(tmp_path).versions() == [], "nothing was learnt, and nothing may pass for it"


async def test_what_was_learnt_is_saved_at_the_end_even_while_kafka_is_away(
    monkeypatch: pytest.MonkeyPatch, redis_url: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(streams.saving, "FAREWELL_S", 0.05)
    worker = worker_of(tmp_path, redis_url=redis_url)
    worker.saving.restored()

    async def never(messages: list[Message]) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(worker.outputs, "deliver", never)
    worker.replica.learner.learn(Outcome(interactions=[Interaction(1, 5, 1_000)]))
    async with asyncio.timeout(10):
        await worker.stop()
    snapshot = SnapshotStore(tmp_path).latest()
    assert snapshot is not None
    assert snapshot.components["model"]["ticks"].tolist() == [1]
