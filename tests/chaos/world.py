"""A deployment under load whose every part may be hurt: a broker, a Redis behind a proxy, workers, an API."""

from __future__ import annotations

import random
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

from online_models.snapshot import SnapshotStore
from streams import settings as freshet_settings
from streams.children import LOOPBACK, Child, free_port
from tests.chaos.asking import Asking
from tests.chaos.load import ITEMS, Load
from tests.end_to_end.harness import PARTITIONS, ROOT, Deployment, until
from tests.faults.proxy import CuttingProxy
from tests.support.small_disk import CannotMount, SmallDisk
from tests.support.wall_clock import WallClock

PATIENCE_S = 240.0
JUMPS_S = (3_600.0, -3_600.0, 86_400.0, -600.0)


class World:
    """All of it. Everything random comes from ``seed``."""

    def __init__(self, broker: Any, server: Any, namespace: str, folder: Path, seed: int) -> None:
        self.broker, self.server = broker, server
        self.random = random.Random(seed)
        self.seed = seed
        self.faults: Counter[str] = Counter()
        self.recoveries: list[tuple[str, float]] = []
        self.longest_pause_s = 0.0
        self.ended_by_themselves = 0
        self._ended = ExitStack()
        self.proxy = self._ended.enter_context(CuttingProxy(server.port, share=0.0, seed=seed))
        given = {"redis_url": self.proxy.url, "snapshot_interval_s": 2.0, "half_life_ms": 3_600_000}
        self.running = Deployment(broker.bootstrap, server.url, namespace, folder, given)
        self._ended.callback(self.running.close)
        self._folder = folder
        self._snapshots = Path(self.running.settings.snapshot_dir)
        try:
            self.disk: SmallDisk | None = self._ended.enter_context(SmallDisk(self._snapshots, megabytes=512))
        except CannotMount:
            self.disk = None
        self._clocks: dict[Child, WallClock] = {}
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
            self._worker()
        self.api = self._serve()
        self.running.wait_for_claims([0] * PARTITIONS)

    def _worker(self) -> None:
        """One more, with a wall clock of its own."""
        clock = WallClock(self._folder, f"clock-{len(self.running.workers)}")
        self._clocks[self.running.worker(env=clock.env)] = clock

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
                self._worker()
        return [worker for worker in self.running.workers if worker.running]

    def recover(self, fault: str, begun: float) -> None:
        """Until something that came into the log after the fault is folded in of every partition."""
        beyond = dict(self.current.delivered)

        def folded() -> bool:
            self.workers()
            positions = self.positions()
            return positions is not None and all(positions[p] > at for p, at in beyond.items())

        until(
            folded,
            PATIENCE_S,
            lambda: f"after {fault}: more than {beyond} folded, at {self.positions()}\n{self._told()}",
        )
        self.recoveries.append((fault, time.monotonic() - begun))
        print(f"{sum(self.faults.values()):4} {fault:15} {self.recoveries[-1][1]:6.1f} s", flush=True)

    def _told(self) -> str:
        """Last words of whoever runs."""
        workers = "\n---\n".join(worker.tail(15) for worker in self.workers())
        return f"{workers}\n--- broker\n{self.broker.log(15)}"

    # ------------------------------------------------------------------ faults

    def hurt(self, fault: str) -> None:
        """One fault from its beginning to when all is well again."""
        owners = self._owners()
        begun = time.monotonic()
        self.faults[fault] += 1
        action: Callable[[Child], None] = getattr(self, f"_{fault}")
        action(self.random.choice(owners))
        self.recover(fault, begun)

    def _owners(self) -> list[Child]:
        """Workers that have had a partition; one that is still starting would not be missed."""
        owners: list[Child] = []

        def found() -> bool:
            owners[:] = [w for w in self.workers() if " is ours; " in w.log.read_text()]
            return bool(owners) and len(self.current.delivered) == PARTITIONS

        until(found, PATIENCE_S, lambda: f"a worker with a partition\n{self._told()}")
        return owners

    def _kill(self, worker: Child) -> None:
        worker.kill()
        self._gone.append(worker)
        self._worker()

    def _stall(self, worker: Child) -> None:
        worker.pause()
        time.sleep(self.running.settings.session_timeout_ms / 1_000 + 2.0)  # past its session
        worker.resume()

    def _add(self, worker: Child) -> None:
        if len(self.workers()) < PARTITIONS:
            self._worker()

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
        """The disk of the snapshots is full until every worker has said so; then there is room again."""
        if self.disk is None:
            raise CannotMount("there is no disk to be filled")
        until(lambda: bool(self._saved()), PATIENCE_S, lambda: f"a snapshot\n{worker.tail()}")
        before = {w: refusals(w) for w in self.workers()}

        def refused() -> bool:
            self.disk.fill()  # type: ignore[union-attr]
            return all(refusals(w) > told for w, told in before.items() if w.running)

        until(refused, PATIENCE_S, lambda: f"snapshots are refused\n{self._told()}")
        good = self._saved()
        assert SnapshotStore(self._snapshots).latest() is not None, "the last good one stands"
        self.disk.empty()
        until(lambda: self._saved() > good, PATIENCE_S, lambda: f"one newer than {good}\n{self._told()}")

    def _saved(self) -> str:
        return max(SnapshotStore(self._snapshots).versions(), default="")

    def _clock_jump(self, worker: Child) -> None:
        """A worker's wall clock is set, and set right again once it has folded on with it."""
        clock, told = self._clocks[worker], _steps(worker)
        clock.set_s(self.random.choice(JUMPS_S))
        until(
            lambda: _steps(worker) > told or not worker.running, PATIENCE_S,
            lambda: f"the step is seen\n{worker.tail()}",
        )  # fmt: skip
        goal = sum(self.current.delivered.values()) + 200
        until(lambda: sum(self.positions() or []) > goal, PATIENCE_S, lambda: f"on to {goal}\n{self._told()}")
        clock.set_s(0.0)

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


def refusals(worker: Child) -> int:
    """How often a worker said that the disk took no snapshot."""
    return worker.log.read_text().count("the snapshot was not saved: [Errno 28]")


def _steps(worker: Child) -> int:
    return worker.log.read_text().count("clock has stepped")
