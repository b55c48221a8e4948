"""Redis and then Kafka are away for ten seconds in the middle of a replay: events wait, none is lost, all goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.harness import Deployment, Event, Recount, until

AWAY_S = 10.0
PIECE = 8_000


@pytest.mark.timeout(600)
def test_while_redis_and_then_kafka_are_away_events_wait_and_then_count_once(
    make_broker: Callable[..., Any],
    make_redis: Callable[..., Any],
    deploy: Callable[..., Deployment],
    movielens: list[Event],
) -> None:
    broker, redis = make_broker(), make_redis(aof=True)
    running = deploy(broker.bootstrap, redis.url)
    running.two_workers()

    running.send(movielens[:PIECE])
    running.wait_for_folded(1_000)
    redis.kill()
    time.sleep(AWAY_S)  # how long the outage lasts
    until(lambda: "does not answer" in running.logs(100), 30, lambda: f"it is told\n{running.logs()}")
    assert all(worker.running for worker in running.workers), running.logs(60)
    redis.start()
    running.settle()

    before = sum(running.positions())
    running.send(movielens[PIECE : 2 * PIECE])
    running.wait_for_folded(before + 1_000)
    broker.kill()
    time.sleep(AWAY_S)
    assert all(worker.running for worker in running.workers), running.logs(60)
    broker.start()
    running.send(movielens[2 * PIECE : 2 * PIECE + 500])
    running.settle()

    assert all(worker.running for worker in running.workers), running.logs(60)
    want = Recount(running.settings).add(movielens[: 2 * PIECE + 500])
    running.check(want)
    assert {slate["user_id"] for slate in running.slates()} == want.last.keys()
