"""A rebuild folds the whole log again beside the state in force, and puts the result in its place."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient

from online_models import generations
from online_models.errors import SettingsError
from online_models.store import Store
from streams.clock import wall_ms
from streams.rebuild import Rebuild
from streams.settings import Settings, as_environment
from tests.end_to_end.harness import ROOT, Deployment, Recount, until

BEGIN = 1_700_000_000_000
Deploy = Callable[..., Deployment]


@pytest.fixture
def deploy(namespace: str, tmp_path: Path) -> Any:
    made: list[Deployment] = []

    def make(kafka: str, redis_url: str, **given: Any) -> Deployment:
        made.append(Deployment(kafka, redis_url, namespace, tmp_path, {"exploration": False, **given}))
        return made[-1]

    yield make
    for deployment in made:
        deployment.close()


def clicks(n: int, seed: int = 5, ids: str = "e") -> list[dict[str, Any]]:
    """Clicks and impressions of 200 users on 100 items, in order of time."""
    chance = random.Random(seed)
    out = []
    for k in range(n):
        user, item = f"u{chance.randrange(200)}", f"i{chance.randrange(100)}"
        event = {"v": 1, "event_id": f"{ids}{k}", "user_id": user, "ts": BEGIN + k * 1_000}
        if chance.random() < 0.3:
            shown = [{"item_id": item, "position": 0}]
            out.append({**event, "type": "impression", "items": shown})
        else:
            out.append({**event, "type": "click", "item_id": item})
    return out


def run(settings: Any, **more: Any) -> Any:
    return asyncio.run(Rebuild(settings, **more).run())


def command(settings: Settings, *words: str) -> str:
    """What ``freshet`` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "streams", *words], env={**os.environ, **as_environment(settings)},
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def look_at_generation(deployment: Deployment, generation: int) -> None:
    """Let the harness look at the keys of a generation."""
    prefix = f"{deployment.settings.namespace}:g{generation}"
    deployment._key = lambda partition, name: f"{prefix}:{{{partition}}}:{name}"  # type: ignore[method-assign]


def test_while_a_worker_folds_on_a_rebuild_comes_to_the_same_counters_and_is_taken_over(
    kafka: str, redis_url: str, deploy: Deploy
) -> None:
    running = deploy(kafka, redis_url)
    events = clicks(6_000)
    worker = running.worker()
    running.send(events[:4_000])
    running.wait_for_folded(2_000)

    done = run(running.settings)
    assert done.generation == 1
    running.send(events[4_000:])
    until(lambda: "generation 1 is in force" in worker.log.read_text(), 30, running.logs)
    look_at_generation(running, 1)
    running.settle()

    assert worker.running
    running.check(Recount(running.settings).add(events))
    assert {slate["caused_by"] for slate in running.slates()} <= {event["event_id"] for event in events}


def test_after_partitions_were_added_users_are_counted_where_they_live_now(
    kafka: str, redis_url: str, deploy: Deploy
) -> None:
    running = deploy(kafka, redis_url)
    events = clicks(4_000)
    old = running.worker()
    running.send(events[:2_000])
    running.settle()
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_partitions({running.topic("events"): 7})
    admin.close()
    restarted = Deployment(kafka, redis_url, running.settings.namespace, running._folder)
    restarted.send(events[2_000:])  # a producer that knows of seven partitions
    until(lambda: sum(_ends(restarted, 7)) >= 4_000, 30, restarted.logs)
    old.stop()  # a running one would see the new partitions within 30 s
    old = running.worker()
    _wait_until_counted(running, len(events))  # workers of four partitions go on, and reroute

    with pytest.raises(SettingsError, match="has 7 partitions"):
        run(running.settings)
    seven = running.settings.model_copy(update={"partitions": 7})
    done = run(seven)
    assert done.copies > 0
    until(lambda: not old.running, 30, running.logs)
    assert "FRESHET_PARTITIONS=7" in old.log.read_text()

    _check_partitions(restarted, 7, done.generation, Recount(seven).add(events))
    restarted.close()


def test_a_rebuild_from_a_time_counts_what_came_since_and_cleaning_leaves_nothing_else(
    kafka: str, redis_url: str, deploy: Deploy
) -> None:
    running = deploy(kafka, redis_url)
    early, late = clicks(300, ids="early"), clicks(300, seed=6, ids="late")
    running.send(early)
    since = max(record.timestamp for record in running.read("events")) + 1
    until(lambda: wall_ms() > since, 5, lambda: "the clock goes on")
    running.send(late)

    run(running.settings)
    done = json.loads(command(running.settings, "rebuild", "--from", str(since), "--json"))
    assert (done["generation"], done["records"]) == (2, 300)
    look_at_generation(running, 2)
    running.check(Recount(running.settings).add(late))
    told = command(running.settings, "rebuild", "--clean")
    assert "keys of older generations removed" in told
    left = {key.decode().split(":")[1] for key in running.redis.keys(f"{running.settings.namespace}:*")}
    assert left == {"g2", "items", "generation", "generations", "lineage"}


async def test_what_is_half_built_is_never_in_force_and_is_cleaned_away(
    redis_url: str, namespace: str
) -> None:
    building, serving = Store(redis_url, namespace), Store(redis_url, namespace)
    await serving.check(4)
    assert await generations.begin(building, 4) == 1
    own = await building.commit(
        await building.claim(0), [("HINCRBY", building.prefix(0) + "c", "x", 1)], None
    )
    assert own.generation == 1
    assert not await serving.follow()
    assert await generations.clean(building) > 0
    assert await generations.begin(building, 4) == 2, "a number is never used twice"
    await generations.swap(building)
    assert await serving.follow()
    assert serving.prefix(0) == f"{namespace}:g2:{{0}}:"
    await building.close()
    await serving.close()


# ---------------------------------------------------------------------- parts


def _ends(running: Deployment, partitions: int) -> list[int]:
    from kafka import TopicPartition

    consumer = running._consumer()
    places = [TopicPartition(running.topic("events"), p) for p in range(partitions)]
    ends = consumer.end_offsets(places)
    consumer.close()
    return [ends[place] for place in places]


def _counted(running: Deployment) -> int:
    return int(sum(running.hashes("n").values()))


def _wait_until_counted(running: Deployment, events: int) -> None:
    until(
        lambda: _counted(running) >= events, 90, lambda: f"{_counted(running)} of {events}\n{running.logs()}"
    )


def _check_partitions(running: Deployment, partitions: int, generation: int, want: Recount) -> None:
    """As `Deployment.check`, for another partition count."""
    from tests.end_to_end import harness

    before, harness.PARTITIONS = harness.PARTITIONS, partitions
    try:
        look_at_generation(running, generation)
        running.check(want)
    finally:
        harness.PARTITIONS = before
