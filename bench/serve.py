"""``POST /v1/recommendations`` at 200 requests/s and at saturation, while 1,000 events/s flow in.

Open loop: a request is sent when it is due, whether or not those before it were answered, and its time counts from
when it was due.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from itertools import islice
from typing import Any

import aiohttp
import numpy as np
import orjson
from confluent_kafka import Producer

from bench import report
from bench.deployment import Deployment, Process, servers
from bench.traffic import Traffic
from streams.children import LOOPBACK
from streams.partitioner import partition_of

ITEMS = 100_000
USERS = 1_000
PER_S = 200.0
EVENTS_PER_S = 1_000.0
_HISTORY = 60


def run(*, long: bool = False) -> report.Result:
    """The benchmark."""
    seconds, repeats = (60.0, 3) if long else (5.0, 2)
    with servers() as (broker, redis):
        name = f"bench-{uuid.uuid4().hex[:8]}"
        with Deployment(broker, redis, name, partitions=8) as deployment:
            _catalogue(deployment)
            traffic = iter(_traffic(seed=0))
            deployment.produce(islice(traffic, USERS * _HISTORY))
            worker = deployment.worker()
            deployment.wait_folded(USERS * _HISTORY, worker=worker)
            api = deployment.api()
            flowing = _Flow(deployment)
            runs = asyncio.run(_load(deployment, api, seconds, repeats))
            flowing.stop()
    figures = {name: report.spread([run[name] for run in runs], 2) for name in runs[0]}
    return report.finished("serve", figures, {"items": ITEMS, "users": USERS, "n": 20, **deployment.given})


def _traffic(seed: int) -> Traffic:
    now = time.time_ns() // 1_000_000
    return Traffic(
        users=USERS, items=ITEMS, seed=seed, start_ms=now - 300_000, step_ms=1.0, user_exponent=0.0
    )


def _catalogue(deployment: Deployment) -> None:
    topic = f"{deployment.settings.namespace}.catalog"
    producer = Producer({"bootstrap.servers": deployment.broker.bootstrap, "linger.ms": 20})
    rng = np.random.default_rng(0)
    for k, tags in enumerate(rng.integers(0, 200, (ITEMS, 3)).tolist()):
        item = {"item_id": f"i{k}", "title": f"Item {k}", "tags": [f"t{tag}" for tag in tags], "ts": 1}
        producer.produce(topic, orjson.dumps(item), f"i{k}".encode())
        if k % 1_000 == 0:
            producer.poll(0)
    producer.flush(60)


class _Flow:
    """1,000 events a second, from a thread."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment, self._ended = deployment, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        settings = self._deployment.settings
        producer = Producer({"bootstrap.servers": self._deployment.broker.bootstrap, "linger.ms": 5})
        topic, begun = f"{settings.namespace}.events", time.perf_counter()
        for k, sent in enumerate(_traffic(seed=1)):
            if k % 20 == 0:
                self._ended.wait(max(0.0, begun + k / EVENTS_PER_S - time.perf_counter()))
            if self._ended.is_set():
                return
            partition = partition_of(sent.user_id, settings.partitions)
            producer.produce(topic, sent.value, sent.user_id.encode(), partition)
            producer.poll(0)

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._thread.join()


async def _load(deployment: Deployment, api: Process, seconds: float, repeats: int) -> list[dict[str, float]]:
    url = f"http://{LOOPBACK}:{deployment.settings.http_port}/v1/recommendations"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:
        await _open_loop(session, url, 2.0)
        return [{**await _at_pace(session, url, seconds), **await _saturated(session, url, api, seconds)}
                for _ in range(repeats)]  # fmt: skip


async def _ask(session: aiohttp.ClientSession, url: str, k: int, due: float) -> float:
    body = {"user_id": f"u{k * 7_919 % USERS}", "request_id": f"b{k}-{due}", "n": 20}
    async with session.post(url, json=body) as answer:
        told: dict[str, Any] = await answer.json()
    if answer.status != 200 or len(told["items"]) != 20:
        raise RuntimeError(f"{answer.status}: {told}")
    return time.perf_counter() - due


async def _open_loop(session: aiohttp.ClientSession, url: str, seconds: float) -> list[float]:
    begun, tasks = time.perf_counter(), []
    for k in range(round(PER_S * seconds)):
        due = begun + k / PER_S
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(_ask(session, url, k, due)))
    return await asyncio.gather(*tasks)


async def _at_pace(session: aiohttp.ClientSession, url: str, seconds: float) -> dict[str, float]:
    waits = [1e3 * wait for wait in await _open_loop(session, url, seconds)]
    return {name: report.percentile(waits, q) for name, q in (("p50_ms", 50), ("p90_ms", 90), ("p99_ms", 99))}


async def _saturated(
    session: aiohttp.ClientSession, url: str, api: Process, seconds: float
) -> dict[str, float]:
    """Sixteen clients that each ask again as soon as they are answered."""
    until, count, used = time.perf_counter() + seconds, 0, api.cpu_s()

    async def client(first: int) -> int:
        asked = 0
        while time.perf_counter() < until:
            await _ask(session, url, first + 16 * asked, time.perf_counter())
            asked += 1
        return asked

    count = sum(await asyncio.gather(*(client(k) for k in range(16))))
    return {"saturated_per_s": count / seconds, "per_cpu_second": count / (api.cpu_s() - used)}
