"""A worker that folds nothing while the log grows ends itself; one that has nothing to do does not."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import orjson
import pytest

from streams import settings as freshet_settings
from streams.children import Child
from streams.watchdog import EXIT_CODE
from tests.end_to_end.harness import PARTITIONS, ROOT, Deployment, Recount, until
from tests.streams.test_rebuild import clicks

PATIENCE_S = 4.0


@pytest.fixture
def running(kafka: str, redis_url: str, namespace: str, tmp_path: Path) -> Iterator[Deployment]:
    deployment = Deployment(kafka, redis_url, namespace, tmp_path, {"watchdog_s": PATIENCE_S})
    yield deployment
    deployment.close()


def test_a_worker_that_folds_nothing_while_the_log_grows_ends_and_its_successor_loses_nothing(
    running: Deployment, tmp_path: Path
) -> None:
    stall, events = tmp_path / "stall", clicks(600)
    env = freshet_settings.as_environment(running.settings) | {"TEST_STALL": str(stall)}
    child = Child(
        [sys.executable, "-m", "tests.faults.stalled_worker"], log=tmp_path / "stalled.log", env=env, cwd=ROOT
    )
    child.start()
    running.workers.append(child)
    running.send(events[:300])
    running.settle()
    stall.touch()
    running.send(events[300:])
    until(lambda: not child.running, 60, running.logs)
    assert child._process is not None and child._process.returncode == EXIT_CODE
    assert "no progress for" in child.log.read_text()

    running.worker()
    running.settle()
    running.check(Recount(running.settings).add(events))


def test_a_worker_that_has_folded_all_goes_on_though_the_log_ends_with_markers_of_transactions(
    running: Deployment,
) -> None:
    worker = running.worker()
    running.wait_for_claims([0] * PARTITIONS)
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": running.settings.kafka,
            "transactional.id": "upstream",
            "partitioner": "murmur2_random",
        }
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for event in clicks(50):
        producer.produce(running.topic("events"), orjson.dumps(event), event["user_id"])
    producer.commit_transaction(30)
    running.wait_for_folded(50)
    over = time.monotonic() + 3 * PATIENCE_S
    until(lambda: time.monotonic() > over or not worker.running, 60, running.logs)
    assert worker.running, worker.tail()
    running.check(Recount(running.settings).add(clicks(50)))
