"""``POST /v1/recommendations`` at 200 requests/s and at saturation, while 1,000 events/s flow in.

Open loop: a request is sent when it is due, whether or not those before it were answered, and its time counts from
when it was due. Before each part the worker has folded its backlog: what is measured is the steady state.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np
import orjson
import uvloop
from confluent_kafka import Producer

from bench import load, report
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
            settle([worker, api])
            flowing = _Flow(deployment)
            try:
                runs = uvloop.run(_measured(deployment, api, seconds, repeats))
            finally:
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


SETTLED_CPU = 0.15
SETTLED_LAG = 200  # records; a fifth of a second of the flow
_PATIENCE_S = 120.0


def settle(processes: Sequence[Process]) -> None:
    """Until the processes are idle: warm-up folded, its slates made, catalogue and deltas heard."""
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        before, begun = [process.cpu_s() for process in processes], time.monotonic()
        time.sleep(1.0)
        share = (time.monotonic() - begun) * SETTLED_CPU
        if all(p.cpu_s() - used < share for p, used in zip(processes, before, strict=True)):
            return
    raise TimeoutError(f"not idle after {_PATIENCE_S:g} s")


async def _caught_up(deployment: Deployment) -> bool:
    """Wait until the worker keeps up with the flow, three looks in a row; False when it does not for long."""
    until, good = time.monotonic() + _PATIENCE_S / 4, 0
    while good < 3 and time.monotonic() < until:
        lag = await asyncio.to_thread(deployment.lag)
        good = good + 1 if lag < SETTLED_LAG else 0
        await asyncio.sleep(0.3)
    return good == 3


async def _measured(
    deployment: Deployment, api: Process, seconds: float, repeats: int
) -> list[dict[str, float]]:
    port, requests = deployment.settings.http_port, _requests()
    warm = list(islice(requests, round(2 * PER_S)))
    async with load.Client.to(LOOPBACK, port) as client:
        await load.open_loop(client, warm, PER_S)
    paced, saturated = [], []
    for _ in range(repeats):
        kept_up = await _caught_up(deployment)
        async with load.Client.to(LOOPBACK, port) as client:
            paced.append(await _at_pace(client, requests, api, seconds) | {"kept_up": float(kept_up)})
    for _ in range(repeats):  # afterwards: it leaves the worker with a backlog
        await _caught_up(deployment)
        async with load.Client.to(LOOPBACK, port) as client:
            saturated.append(await _saturated(client, requests, api, seconds))
    return [one | other for one, other in zip(paced, saturated, strict=True)]


def _requests() -> Iterator[bytes]:
    for k in count():
        body = {"user_id": f"u{k * 7_919 % USERS}", "request_id": f"b{k}-{time.time_ns()}", "n": 20}
        yield load.post("/v1/recommendations", orjson.dumps(body))


def _checked(answers: list[load.Answered]) -> list[load.Answered]:
    for answer in answers:
        if answer.status != 200 or len(orjson.loads(answer.body)["items"]) != 20:
            raise RuntimeError(f"{answer.status}: {answer.body[:500]!r}")
    return answers


async def _at_pace(
    client: load.Client, requests: Iterator[bytes], api: Process, seconds: float, per_s: float = PER_S
) -> dict[str, float]:
    asked, used = list(islice(requests, round(per_s * seconds))), api.cpu_s()
    answers = await load.open_loop(client, asked, per_s)
    used = api.cpu_s() - used
    waits = [1e3 * answer.waited_s for answer in _checked(answers)]
    told = {name: report.percentile(waits, q) for name, q in (("p50_ms", 50), ("p90_ms", 90), ("p99_ms", 99))}
    return told | {"cpu_ms_a_request": 1e3 * used / len(asked)}


async def _saturated(
    client: load.Client, requests: Iterator[bytes], api: Process, seconds: float
) -> dict[str, float]:
    """Sixteen clients that each ask again as soon as they are answered."""
    used = api.cpu_s()
    answers = await load.closed_loop(client, requests, seconds, clients=16)
    used = api.cpu_s() - used
    _checked(answers)
    return {"saturated_per_s": len(answers) / seconds, "per_cpu_second": len(answers) / used}
