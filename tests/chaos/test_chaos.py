"""Faults at random moments, under load: every counter equals a recount, and somebody who asks gets a right answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from online_models.snapshot import SnapshotStore
from tests.chaos import report
from tests.chaos.load import ChaosRecount
from tests.chaos.world import World

SHORT = ("kill", "restart_redis", "cut", "full_disk", "clock_jump", "restart_broker", "stall")
LONG = {
    "kill": 10, "stall": 3, "add": 3, "remove": 3, "restart_broker": 2, "restart_redis": 2, "cut": 2, "full_disk": 1,
    "clock_jump": 2,
}  # fmt: skip


@pytest.fixture
def make_world(
    make_broker: Callable[..., Any], make_redis: Callable[..., Any], namespace: str, tmp_path: Path
) -> Iterator[Callable[[int], World]]:
    made: list[World] = []

    def make(seed: int) -> World:
        made.append(World(make_broker(heap_mb=384), make_redis(aof=True), namespace, tmp_path, seed))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.mark.timeout(400)
def test_a_few_faults_under_load_change_no_counter(make_world: Callable[[int], World]) -> None:
    world = make_world(11)
    world.begin(workers=2)
    with world.load(events_per_second=200, requests_per_second=10):
        for fault in SHORT:
            if fault != "full_disk" or world.disk is not None:
                world.hurt(fault)
        world.retire("i7")
    assert all_is_right(world)["mismatches"] == 0


@pytest.mark.chaos
@pytest.mark.timeout(4 * 3_600)
def test_many_faults_under_load_change_no_counter(make_world: Callable[[int], World]) -> None:
    rounds = int(os.environ.get("FRESHET_CHAOS_ROUNDS", "10"))
    world = make_world(int(os.environ.get("FRESHET_CHAOS_SEED", "5")))
    world.begin(workers=3)
    with world.load(events_per_second=250, requests_per_second=20):
        for n in range(rounds):
            faults = [name for name, times in LONG.items() for _ in range(times)]
            world.random.shuffle(faults)
            for fault in faults:
                world.hurt(fault)
            world.retire(f"i{n}")
    report.write(all_is_right(world))


def all_is_right(world: World) -> dict[str, Any]:
    """Check everything that is promised; the counts of the run."""
    running, load, asking = world.running, world.current, world.asking
    world.workers()
    running.settle(180)
    counters = check_counters(world)
    letters = [orjson.loads(record.value) for record in running.read("dead-letters")]
    told = [letter["id"] for letter in letters]
    assert set(told) >= load.broken
    assert [letter for letter in letters if letter["id"] not in load.broken] == []
    check_learnt(Path(running.settings.snapshot_dir))
    counts = report.measured(world)
    counts |= {
        "counters": counters,
        "mismatches": 0,
        "dead_letters_repeated": len(letters) - len(load.broken),
    }
    print(orjson.dumps(counts, option=orjson.OPT_INDENT_2).decode())
    assert asking.wrong == [] or asking.stats["with_seen"] + asking.stats["with_retired"] == 0, asking.wrong[
        :5
    ]
    assert asking.stats["failed"] <= 0.001 * asking.stats["requests"], (asking.stats, asking.wrong[:5])
    return counts


def check_counters(world: World) -> int:
    """Compare all of Redis with the recount; how many counters there are."""
    want = ChaosRecount(world.running.settings).add(world.current.sent)
    world.running.check(want)
    users = sum(len(counts) for counts in want.users.values())
    return len(want.counts) + len(want.surfaces) + len(want.decayed) + len(want.trend) + users


def check_learnt(folder: Path) -> None:
    """What was learnt holds nothing that is not finite."""
    snapshot = SnapshotStore(folder).latest()
    assert snapshot is not None
    for name, arrays in snapshot.components.items():
        for part, array in arrays.items():
            assert array.dtype.kind != "f" or np.isfinite(array).all(), (name, part)
