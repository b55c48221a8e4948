"""Whatever happens to workers, Redis and connections: every event counts once.

Real Kafka, real Redis, two worker processes on four partitions, a session of 6 s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.harness import PARTITIONS, Cluster, until
from tests.faults.proxy import CuttingProxy
from tests.support.redis_server import RedisServer


@pytest.fixture
def cluster(kafka: str, redis_server: RedisServer, namespace: str, tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(kafka, redis_server, namespace, tmp_path)
    yield cluster
    cluster.close()


def _two_working(cluster: Cluster) -> None:
    """Two workers that share the partitions: the second one's coming made all be claimed again."""
    cluster.worker()
    cluster.wait_for_claims([0] * PARTITIONS)
    before = cluster.epochs()
    cluster.worker()
    cluster.wait_for_claims(before)


def test_a_worker_stalled_beyond_its_session_adds_nothing_when_it_wakes(cluster: Cluster) -> None:
    _two_working(cluster)
    with cluster.flow(50_000, per_second=2_500) as flow:
        cluster.wait_for_more(3_000)
        before = cluster.epochs()
        cluster.workers[0].pause()
        cluster.wait_for_claims(before)  # the other one has taken all partitions over
        cluster.wait_for_more(5_000)
        before = cluster.epochs()
        cluster.workers[0].resume()
        cluster.wait_for_claims(before)  # and gives a share of them back
    cluster.settle(flow.sent)
    assert re.search(r"fenced=[1-9]", cluster.workers[0].log.read_text()), "it woke in the middle of no batch"


def test_workers_killed_three_times_lose_and_repeat_nothing(cluster: Cluster) -> None:
    _two_working(cluster)
    with cluster.flow(60_000, per_second=2_500) as flow:
        for victim in range(3):
            cluster.wait_for_more(2_000)
            before = cluster.epochs()
            cluster.workers[victim].kill()
            cluster.worker()
            cluster.wait_for_claims(before)
    cluster.settle(flow.sent)


def test_workers_that_come_and_go_in_the_middle_of_batches_share_the_work(cluster: Cluster) -> None:
    _two_working(cluster)
    with cluster.flow(40_000, per_second=4_000) as flow:
        for _ in range(2):
            before = cluster.epochs()
            newcomer = cluster.worker()
            cluster.wait_for_claims(before)
            cluster.wait_for_more(2_000)
            before = cluster.epochs()
            newcomer.stop()
            cluster.wait_for_claims(before)
            cluster.wait_for_more(2_000)
    cluster.settle(flow.sent)


def test_while_redis_is_frozen_events_wait_and_then_count_once(cluster: Cluster) -> None:
    _two_working(cluster)
    with cluster.flow(30_000, per_second=2_500) as flow:
        cluster.wait_for_more(3_000)
        cluster.redis.pause()  # what was sent is carried out when it wakes, long after the worker gave up on it
        _wait_for_log(cluster, 0, "Timeout")
        cluster.redis.resume()
    cluster.settle(flow.sent)


def test_while_redis_is_down_events_wait_and_then_count_once(
    kafka: str, make_redis: Callable[..., RedisServer], namespace: str, tmp_path: Path
) -> None:
    server = make_redis(aof=True)
    cluster = Cluster(kafka, server, namespace, tmp_path)
    _two_working(cluster)
    with cluster.flow(30_000, per_second=2_500) as flow:
        cluster.wait_for_more(3_000)
        server.kill()
        _wait_for_log(cluster, 0, "waited 4")
        server.start()
    cluster.settle(flow.sent)
    cluster.close()


def test_connections_cut_between_a_commit_and_its_answer_change_nothing(cluster: Cluster) -> None:
    with CuttingProxy(cluster.redis.port, share=0.1) as proxy:
        cluster.worker(proxy.url)
        cluster.wait_for_claims([0] * PARTITIONS)
        before = cluster.epochs()
        cluster.worker(proxy.url)
        cluster.wait_for_claims(before)
        with cluster.flow(20_000, per_second=2_500) as flow:
            pass
        cluster.settle(flow.sent)
        assert proxy.cuts > 50


def _wait_for_log(cluster: Cluster, worker: int, text: str) -> None:
    log = cluster.workers[worker].log
    until(lambda: text in log.read_text(), 30, f"{text!r} in its log\n{cluster.logs()}")
