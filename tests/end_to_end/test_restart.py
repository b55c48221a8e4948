"""A worker that is stopped and started again goes on as if nothing had been."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from online_models.base import Arrays
from online_models.snapshot import Snapshot, SnapshotStore
from tests.end_to_end.harness import Deployment, Event, Recount

BEFORE, AFTER = 10_000, 15_000


@pytest.mark.timeout(600)
def test_what_was_learnt_and_counted_is_there_again_after_a_restart(
    kafka: str, redis_url: str, deploy: Callable[..., Deployment], movielens: list[Event]
) -> None:
    running = deploy(kafka, redis_url)
    first = _life(running, movielens[:BEFORE])
    assert first.manifest.positions
    assert first.components["model"]["ticks"].tolist() == [_liked(running, movielens[:BEFORE])]
    second = _life(running, [])
    assert second.manifest.version > first.manifest.version
    _assert_equal(second.components, first.components)

    third = _life(running, movielens[BEFORE:AFTER])
    assert third.components["model"]["ticks"].tolist() == [_liked(running, movielens[:AFTER])]
    want = Recount(running.settings).add(movielens[:AFTER])
    running.check(want)
    _assert_counters_are(third.components["counters"], want, running.names())


def _life(running: Deployment, events: list[Event]) -> Snapshot:
    """Start a worker, let it fold some events, stop it in order; what it saved."""
    before = running.epochs()
    worker = running.worker()
    running.wait_for_claims(before)
    running.send(events)
    running.settle()
    worker.stop(timeout_s=60)
    snapshot = SnapshotStore(Path(running.settings.snapshot_dir)).latest()
    assert snapshot is not None, running.logs()
    return snapshot


def _liked(running: Deployment, events: list[Event]) -> int:
    """Interactions that are learnt from: positive, and within the abuse cap."""
    want = Recount(running.settings).add(events)
    strengths = running.settings.actions
    return sum(n for (action, _), n in want.counts.items() if strengths.get(action, 0.0) > 0.0)


def _assert_equal(found: Mapping[str, Arrays], want: Mapping[str, Arrays]) -> None:
    assert found.keys() == want.keys()
    for component, arrays in want.items():
        assert found[component].keys() == arrays.keys(), component
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[component][name], array, f"{component}.{name}")


def _assert_counters_are(found: Arrays, want: Recount, names: Mapping[int, str]) -> None:
    """What the process holds of the item counters is what Redis holds."""
    numbers = {name: number for number, name in names.items()}
    for (action, item), n in want.counts.items():
        assert found[f"n:{action}"][numbers[item]] == n
    assert sum(int(found[f"n:{action}"].sum()) for action in {a for a, _ in want.counts}) == sum(
        want.counts.values()
    )
