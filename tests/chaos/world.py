"""A deployment under load whose every part may be hurt: a broker, a Redis behind a proxy, workers, an API."""

from __future__ import annotations

import random
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import redis

from streams import settings as freshet_settings
from streams.children import LOOPBACK, Child, free_port
from tests.chaos.asking import Asking
from tests.chaos.load import ITEMS, Load
from tests.end_to_end.harness import PARTITIONS, ROOT, Deployment, until
from tests.faults.proxy import CuttingProxy

PATIENCE_S = 240.0


class World:
    """All of it. Everything random comes from ``seed``."""

    def __init__(self, broker: Any, server: Any, namespace: str, folder: Path, seed: int) -> None:
        self.broker, self.server = broker, server
        self.random = random.Random(seed)
        self.seed = seed
        self.faults: Counter[str] = Counter()
        self.recoveries: list[float] = []
        self.longest_pause_s = 0.0
        self.ended_by_themselves = 0
        self._ended = ExitStack()
        self.proxy = self._ended.enter_context(CuttingProxy(server.port, share=0.0, seed=seed))
        given = {"redis_url": self.proxy.url, "snapshot_interval_s": 2.0, "half_life_ms": 3_600_000}
        self.running = Deployment(broker.bootstrap, server.url, namespace, folder, given)
        self._ended.callback(self.running.close)
        self._folder = folder
        self._redis = redis.Redis(host=LOOPBACK, port=server.port, protocol=2, socket_timeout=1, retry=None)
        self._gone: list[Child] = []
        self._watching = threading.Event()

    # ------------------------------------------------------------------ life

    def begin(self, workers: int) -> None:
        """Items, workers, an API."""
        for k in range(ITEMS):
            item = {"v": 1, "item_id": f"i{k}", "ts": 1, "title": f"Item {k}", "tags": [f"t{k % 20}"]}
            self.running.raw("catalog", f"i{k}", orjson.dumps(item))
        self.running.flush()
        for _ in range(workers):
            self.running.worker()
        self.api = self._serve()
        self.running.wait_for_claims([0] * PARTITIONS)

    def _serve(self) -> str:
        port = free_port()
        settings = self.running.settings.model_copy(update={"http_port": port})
        child = Child(
            [sys.executable, "-m", "streams", "serve"], log=self._folder / "api.log",
            env=freshet_settings.as_environment(settings), cwd=ROOT,
        )  # fmt: skip
        child.start()
        self._ended.callback(child.kill)
        url = f"http://{LOOPBACK}:{port}"
        child.wait_ready(lambda: _ready(url), timeout_s=90, what="the API")
        return url

    @contextmanager
    def load(self, events_per_second: int, requests_per_second: float) -> Iterator[tuple[Load, Asking]]:
        """Events and requests while the block runs."""
        load = Load(self.broker.bootstrap, self.running.topic("events"), events_per_second, self.seed)
        asking = Asking(self.api, load, self.positions, requests_per_second, self.seed + 1)
        watching = threading.Thread(target=self._watch, daemon=True)
        with load, asking:
            self.current, self.asking = load, asking
            watching.start()
            yield load, asking
            self._watching.set()
            watching.join(10)

    def close(self) -> None:
        """End everything."""
        self._watching.set()
        self._ended.close()

    # ------------------------------------------------------------------ what is seen from outside

    def positions(self) -> list[int] | None:
        """How far each partition is folded in; None while Redis is away."""
        try:
            found = self._redis.mget([self.running._key(p, "next") for p in range(PARTITIONS)])
        except redis.RedisError:
            return None
        return [int(raw or 0) for raw in found]

    def _watch(self) -> None:
        """The longest time in which nothing was folded in."""
        last, since = -1, time.monotonic()
        while not self._watching.wait(0.1):
            folded = sum(self.positions() or [])
            if folded > last:
                last, since = folded, time.monotonic()
            self.longest_pause_s = max(self.longest_pause_s, time.monotonic() - since)

    def workers(self) -> list[Child]:
        """Those that run; one that ended by itself is started anew, as a supervisor would."""
        for worker in self.running.workers:
            if not worker.running and worker not in self._gone:
                self._gone.append(worker)
                self.ended_by_themselves += 1
                self.running.worker()
        return [worker for worker in self.running.workers if worker.running]

    def recover(self, fault: str, begun: float, before: dict[int, int]) -> None:
        """Until all that was in the log when the fault came is folded in."""

        def folded() -> bool:
            self.workers()
            positions = self.positions()
            return positions is not None and all(positions[p] >= at for p, at in before.items())

        until(
            folded,
            PATIENCE_S,
            lambda: f"after {fault}: {before} folded, at {self.positions()}\n{self._told()}",
        )
        self.recoveries.append(time.monotonic() - begun)
        print(f"{sum(self.faults.values()):4} {fault:15} {self.recoveries[-1]:6.1f} s", flush=True)

    def _told(self) -> str:
        """Last words of whoever runs."""
        workers = "\n---\n".join(worker.tail(15) for worker in self.workers())
        return f"{workers}\n--- broker\n{self.broker.log(15)}"

    # ------------------------------------------------------------------ faults

    def hurt(self, fault: str) -> None:
        """One fault from its beginning to when all is well again."""
        workers = self.workers()
        begun, before = time.monotonic(), dict(self.current.delivered)
        self.faults[fault] += 1
        action: Callable[[Child], None] = getattr(self, f"_{fault}")
        action(self.random.choice(workers))
        self.recover(fault, begun, before)

    def _kill(self, worker: Child) -> None:
        worker.kill()
        self._gone.append(worker)
        self.running.worker()

    def _stall(self, worker: Child) -> None:
        worker.pause()
        time.sleep(self.running.settings.session_timeout_ms / 1_000 + 2.0)  # past its session
        worker.resume()

    def _add(self, worker: Child) -> None:
        if len(self.workers()) < PARTITIONS:
            self.running.worker()

    def _remove(self, worker: Child) -> None:
        if len(self.workers()) > 1:
            worker.stop()
            self._gone.append(worker)

    def _restart_broker(self, worker: Child) -> None:
        self.broker.kill()
        self.broker.start()

    def _restart_redis(self, worker: Child) -> None:
        self.server.kill()
        time.sleep(self.random.uniform(0.2, 2.0))
        self.server.start()

    def _cut(self, worker: Child) -> None:
        self.proxy.share = 0.2
        cuts = self.proxy.cuts
        until(lambda: self.proxy.cuts >= cuts + 10, PATIENCE_S, lambda: "ten cuts")
        self.proxy.share = 0.0

    def _full_disk(self, worker: Child) -> None:
        """No file of this worker may grow beyond a little more than its log, until a snapshot was refused."""
        soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE)
        small = worker.log.stat().st_size + 20_000
        told = worker.log.read_text().count("snapshot was not saved")
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (small, hard))
        until(
            lambda: worker.log.read_text().count("snapshot was not saved") > told or not worker.running,
            PATIENCE_S, lambda: f"a snapshot is refused\n{worker.tail()}",
        )  # fmt: skip
        if worker.running:
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def retire(self, item: str) -> None:
        """Take an item out of the catalogue, for good."""
        self.running.raw("catalog", item, None)
        self.running.flush()
        self.asking.retired[item] = time.monotonic()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2.0).status_code == 200
    except httpx.HTTPError:
        return False
