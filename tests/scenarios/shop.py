"""A shop with simulated users, a worker and an API replica in one process; the clock is that of the events.

The fold, the learner, the recommender, the registry's log, the results and the guard are those of a deployment, and so
are the intervals at which processes hear of each other. Kafka and Redis are lists.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from evaluation.in_process import InProcess
from evaluation.simulator import World, WorldConfig
from online_models.canary_guard import Harm
from online_models.fold_policy import FoldPolicy
from online_models.registry import What
from online_models.shadow_loss import ShadowLoss
from online_models.state import Outcome
from online_models.user_sums import UserSums
from serving.assembly import Parts, assemble
from serving.types import Slate, SlateRequest, SurfacePolicy
from streams import settings as freshet_settings
from streams.canary import CanaryWatch
from streams.decisions import Decisions
from streams.monitor import Monitor
from streams.registry_log import RegistryLog, change

TICK_MS = 1_000
ACTIONS = {"click": 1.0, "like": 2.0}


class ListStore:
    """The lists of a namespace in memory."""

    def __init__(self) -> None:
        self.lists: dict[str, list[bytes]] = {}

    async def append(self, name: str, value: bytes) -> None:
        """See :meth:`online_models.store.Store.append`."""
        self.lists.setdefault(name, []).append(value)

    async def appended(self, name: str, begin: int = 0) -> list[bytes]:
        """See :meth:`online_models.store.Store.appended`."""
        return self.lists.get(name, [])[begin:]


class Pipeline(InProcess):
    """As in a worker: what a batch says of variants is counted before it is learnt; slates asked for are remembered."""

    counted: Callable[[Outcome], None] = staticmethod(lambda _: None)

    def _fold(self, *args: Any) -> Outcome:
        outcome = super()._fold(*args)
        self.counted(outcome)
        return outcome

    def ask(self, user_id: str, now: int, request_id: str) -> Slate:
        """A slate whose candidates the learner sees."""
        return self._answer(
            SlateRequest(request_id=request_id, user_id=user_id, n=self.n, n_asked=False), now
        )


class Shop:
    """Users who come, look and click, and the processes that answer them.

    Args:
        experiments_file: YAML of experiments; empty is none.
    """

    def __init__(
        self, seed: int = 5, *, users: int = 400, items: int = 120, rate_per_s: float = 10.0, n: int = 6,
        experiments_file: str = "", surface: SurfacePolicy | None = None, start_ms: int = 0,
    ) -> None:  # fmt: skip
        config = WorldConfig(
            seed=seed, users=users, items=items, new_items=0, base_logit=-2.5, start_ms=start_ms
        )
        self.world, self.now, self.visits = World(config), start_ms, 0
        self.store, self.signals = ListStore(), list[Any]()
        settings = freshet_settings.load(experiments_file=experiments_file)
        surfaces = {"default": surface or SurfacePolicy(seen="none")}
        self.worker, self.api = assemble(surfaces), assemble(surfaces)
        self.pipeline = Pipeline(self.worker, FoldPolicy(actions=ACTIONS), n=n, fresh_slates=False)
        self.decisions, self.replica = (
            Decisions(settings, {}, self.store, parts.recommender)  # type: ignore[arg-type]
            for parts in (self.worker, self.api)
        )
        self.monitor = Monitor(self.worker.watch, losses=ShadowLoss(lambda: self.worker.learner.heads))
        self.worker.learner.watch = self.monitor
        self.canary = CanaryWatch(
            "worker-1", self.decisions, self.monitor, SimpleNamespace(), self.worker.learner.features,  # type: ignore[arg-type]
            now=lambda: self.now, every_s=2.0,
        )  # fmt: skip
        self.pipeline.counted = self.canary.committed
        self.log = RegistryLog(self.store)  # type: ignore[arg-type]
        for entry in self.world.arrivals(start_ms):
            self.pipeline.item(entry, start_ms)
        self._coming = self.world.visits(rate_per_s, until=1 << 50)
        self._events: list[tuple[int, str, dict[str, Any]]] = []
        self.told: list[dict[str, Any]] = []  # the log of events, exposures left out
        self._tick = 0

    # ------------------------------------------------------------------ what people do

    async def decide(self, what: What, **more: Any) -> None:
        """Somebody changes the registry."""
        refused = await self.log.add(change(what, self.now, who="ann", **more))
        assert not refused, refused

    async def run(self, visits: int, until: Callable[[], bool] = lambda: False) -> None:
        """So many visits more, or fewer once something holds."""
        for _ in range(visits):
            now, user = next(self._coming)
            await self._pass(now)
            if until():
                return
            slate = self.pipeline.ask(user, now, f"r{self.visits}")
            self.visits += 1
            shown = [item.item_id for item in slate.items]
            for event in self.world.react(user, shown, now, request_id=slate.request_id):
                heapq.heappush(self._events, (event["ts"], event["event_id"], event))

    async def _pass(self, now: int) -> None:
        """Time goes by: events arrive, and every second processes look around."""
        while min(self._events[0][0] if self._events else now, self.now + TICK_MS) < now:
            if self._events and self._events[0][0] <= self.now + TICK_MS:
                event = heapq.heappop(self._events)[2]
                self.told.append(event)
                self.pipeline.event(event)
                continue
            self.now += TICK_MS
            await self.second()

    async def second(self) -> None:
        """What each process does in the background: results every other second, log and guard every one."""
        self._tick += 1
        if self._tick % 2 == 0 and (message := self.canary.message()) is not None:
            for process in (self.decisions, self.replica):
                await process.hear([SimpleNamespace(value=message.value)])  # type: ignore[list-item]
        await self.decisions.log.catch_up()
        await self.canary.look()
        self.signals += [signal for signal in self.monitor.take() if signal.name.startswith("rollback")]
        if self._tick % 2 == 1:  # a process polls at its own moments
            await self.replica.log.catch_up()

    def harm_known(self, version: str) -> Harm | None:
        """What the guard would say if it saw at once all that was committed."""
        mine = self.canary.mine.variants
        live, canary = (mine.get(f"model:{version}/{side}") or UserSums() for side in ("live", "canary"))
        return self.canary.guard.judge(live, canary)


def spoil(parts: Parts, version: str) -> None:
    """Weights with the wrong sign, as an import that mixes up two conventions leaves them."""
    heads = parts.learner.heads[version]
    for name, parameter in heads.ordering.parameters.items():
        heads.ordering.parameters[name][...] = -parameter
    width = len(heads.ranker.features)
    heads.ranker.optimizer.weights[:width] *= -1.0
