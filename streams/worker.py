"""``freshet worker``: folds events, learns, publishes slates and signals. The one place a worker is wired."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from prometheus_client import CollectorRegistry, Histogram

from online_models import ops_signals
from online_models.canary_guard import Guard
from online_models.drift_signal import DriftSignal
from online_models.errors import SettingsError, StoreRefused
from online_models.history import UserRecord
from online_models.snapshot_bucket import open_snapshots
from online_models.state import Outcome, PartitionFold
from streams import build, collector, metrics, traces
from streams.bridge import bridged
from streams.broadcast import BroadcastReader
from streams.burn_watch import BurnWatch
from streams.busyness import Busyness
from streams.canary import CanaryWatch
from streams.clock import Clock
from streams.decisions import Decisions
from streams.faust_app import FreshetApp, make_app, use_uvloop
from streams.faust_app import run as run_apps
from streams.ingest import Ingest, Partition
from streams.lineage import Lineage
from streams.log_ends import LogEnds
from streams.metrics_bubble import Bubble
from streams.metrics_merged import Merged
from streams.metrics_models import Learning
from streams.metrics_objectives import ObjectiveHeads
from streams.metrics_slates import SlateMeter
from streams.metrics_spread import Groups, Spread
from streams.mixing import Mixing
from streams.model_tail import ModelTail
from streams.monitor import encoded
from streams.names import give_back
from streams.outputs import Message, Outputs, dead_letter
from streams.positions import Held, Positions
from streams.publish import Publisher
from streams.saving import FAREWELL_S, Saving
from streams.settings import Settings
from streams.slates import CpuBudget, Owed, SlateQueue
from streams.slates_apart import SlatesApart
from streams.transport import Batch, Hooks, LostRange, on_batches
from streams.watchdog import Progress, Watchdog

if TYPE_CHECKING:
    from streams.tracing import Tracing

log = logging.getLogger(__name__)

FOLLOW_S = 1.0
"""How often is asked whether the state was rebuilt."""
FOLDS_AT_ONCE = 16
"""Partitions folded at once: while Redis works on one's commit, another's batch is folded."""
LONG, LONG_AT_ONCE = 200, 2
"""Batches of so many records are folded so few at once: each takes the loop for tens of milliseconds a step."""
THREADS_TAKE_TURNS_S = 0.0005
"""A thread waits no longer than this for the loop, nor the loop for it; 5 ms in Python as it comes."""
BEHIND = 300
"""Records waiting to be folded from which on slates keep to their share of the CPU."""
LET_GO_S = 5.0
"""How long partitions are held for what is on its way to Kafka when they are revoked; well within a rebalance."""


class Worker:
    """All parts of a worker, and what follows a commit (:class:`streams.ingest.Effects`)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"worker-{uuid.uuid4().hex[:12]}"
        self.clock = Clock()
        client = build.kafka_client(settings)
        self.store = build.store(settings, patience_s=None, on_wait=self._waiting)
        self.outputs = Outputs(settings.namespace, client, now=self.clock.now_ms)
        self.tracing = traces.wanted(settings, "freshet-worker")
        self.registry = CollectorRegistry()
        self.replica, self.recommender, self.monitor = build.learnt(settings, self.name, self.store)
        self.snapshots = open_snapshots(settings.snapshot_dir, keep=settings.snapshot_keep)
        rules = build.rules(settings)
        self.ingest = Ingest(
            self.store, self.outputs, self.replica.interner, self, build.fold_policy(settings), rules,
            partitions=settings.partitions, clock=time.monotonic,
        )  # fmt: skip
        freshness = metrics.freshness(self.registry)
        self.publisher = Publisher(
            self.recommender, self.replica.learner, self.outputs, self.store, rules,
            partitions=settings.partitions, surface=build.default_surface(settings), n=settings.recommend_n,
            now=self.clock.now_ms, record_of=self._record_of, freshness=freshness,
            meter=SlateMeter(self.registry),
        )  # fmt: skip
        self.apart = self._apart(freshness)
        if self.tracing is not None:
            self._trace(self.tracing)
        self.slates = self._slate_queue()
        self.catalog = BroadcastReader(f"{settings.namespace}.catalog", client, self.replica.hear_catalog)
        self.deltas = BroadcastReader(f"{settings.namespace}.model-deltas", client, self.replica.hear_deltas)
        self.lineage = Lineage(self.replica, self.snapshots, self.store, self.catalog, self.deltas)
        self.decisions = Decisions(settings, client, self.store, self.recommender)
        self.canary = CanaryWatch(
            self.name, self.decisions, self.monitor, self.outputs, self.replica.learner.features,
            now=self.clock.now_ms, every_s=settings.results_interval_s, guard=Guard(**settings.canary.model_dump()),
        )  # fmt: skip
        self.burns = BurnWatch(
            self.name, self.decisions.log, {"freshness": (0.01, lambda: metrics.late(freshness))}, self._signal,
            now=self.clock.now_ms, clock=time.monotonic,
        )  # fmt: skip
        self._long = asyncio.Semaphore(LONG_AT_ONCE)
        self.watchdog, self._progress = Watchdog(settings.watchdog_s), Progress()
        self.mixing = Mixing(
            self.replica, self.outputs, self.name, interval_s=settings.mix_interval_ms / 1_000,
            interval_events=settings.mix_interval_events,
        )  # fmt: skip
        self.tail = ModelTail(self.replica.told, time.monotonic)
        self.saving = Saving(
            self.replica, self.mixing, self.snapshots, self.deltas, self.clock.now_ms, self.ingest.stats
        )
        self._ends = LogEnds(f"{settings.namespace}.events", client)
        self.background: list[asyncio.Task[None]] = []
        self._fatal: StoreRefused | None = None

    def _apart(self, freshness: Histogram) -> SlatesApart | None:
        if not self.settings.slate_process:
            return None
        busyness = Busyness()
        return SlatesApart(
            self.settings, self._made_here, self._record_of, self.replica.learner, freshness,
            lambda: 1.0 if self._behind() else busyness.of_late(time.monotonic(), time.process_time()),
        )  # fmt: skip

    def _behind(self) -> bool:
        return sum(self._lags().values()) > BEHIND

    async def _made_here(self, owed: Owed) -> asyncio.Future[Any] | None:
        return await self.publisher.serve_owed(owed)

    def _trace(self, tracing: Tracing) -> None:
        from streams import traced

        traced.process(tracing, self.recommender, self.store, self.outputs)
        causes = traced.worker(tracing, self.ingest, self.publisher)
        if self.apart is not None:
            traced.slates_apart(tracing, self.apart, causes)

    def _slate_queue(self) -> SlateQueue:
        apart, publisher = self.apart, self.publisher
        return SlateQueue(
            publisher.serve_owed if apart is None else apart.serve,
            self._settle,
            time.monotonic,
            budget=CpuBudget(self.settings.slate_cpu_share),
            patience_s=self.settings.slate_wait_s,
            cpu=lambda: publisher.cpu_s + (0.0 if apart is None else apart.cpu_s),
            behind=self._behind,
        )

    # ------------------------------------------------------------------ what follows a commit

    def committed(self, held: Held, outcome: Outcome) -> None:
        """Learn from a batch that is safe, and note who is owed a slate."""
        if held.own.generation < self.replica.lineage:
            return  # the models learn it again from the generation they came with
        self.canary.committed(outcome)
        self.monitor.served(outcome.exposures)
        self.replica.learner.learn(outcome)
        self.mixing.learnt(held, outcome)
        for user_id, (acted, cause) in outcome.acted.items():
            self.slates.owe(Owed(held.partition, user_id, cause, acted, held.state.appended))

    def adopted(self, partition: int, fold: PartitionFold, owed: Mapping[str, int], seq: int) -> None:
        """A partition was taken over: serve whom its last owner still owed."""
        log.info("partition %d is ours; %d users are owed a slate", partition, len(owed))
        self.slates.welcome(partition)
        self.tail.adopted(partition, seq)
        for user_id, acted in owed.items():
            self.slates.owe(Owed(partition, user_id, fold.owing[user_id], acted, acted))

    def dropped(self, partition: int) -> None:
        """A partition is gone, its debts with it."""
        self.slates.forget(partition)

    def _settle(self, owed: Owed) -> None:
        part = self._part(owed.partition)
        if part is not None:
            part.fold.published(owed.user_id, owed.cause)

    def _record_of(self, partition: int, user_id: str) -> UserRecord | None:
        part = self._part(partition)
        state = part.fold.users.get(user_id) if part is not None else None
        return state.record if state is not None else None

    def _part(self, partition: int) -> Partition | None:
        held = self.ingest.positions.holding(partition) if self.ingest.positions is not None else None
        return held.state if held is not None else None

    def _waiting(self, operation: str, seconds: float, error: Exception) -> None:
        self.watchdog.beat()  # waiting for Redis is back pressure, not a stall
        self.ingest.stats["store_waits"] += 1
        if seconds > 1.0:
            log.warning("Redis does not answer (%s, %.0f s): %s", operation, seconds, type(error).__name__)

    # ------------------------------------------------------------------ applications

    def fold_app(self) -> FreshetApp:
        """The Faust application that folds ``events``."""
        settings, topic = self.settings, f"{self.settings.namespace}.events"
        hooks = Hooks(let_go=self._let_go, on_lost_range=self._lost)
        app = make_app(
            f"{settings.namespace}-fold", settings.kafka.split(","), hooks=hooks, **build.faust_conf(settings)
        )
        self.ingest.positions = Positions(
            self.store, app, topic, on_claim=self.ingest.claimed, on_drop=self.ingest.dropped,
            on_lost=self._state_lost,
        )  # fmt: skip

        on_batches(app, topic, self._fold, name="fold", concurrency=FOLDS_AT_ONCE)
        return app

    async def _fold(self, batch: Batch) -> None:
        if batch.records:
            self.clock.heard(batch.records[-1].timestamp)
        async with self._long if len(batch.records) >= LONG else nullcontext():
            await self.ingest.batch(batch)
        self.watchdog.beat()

    def request_app(self) -> FreshetApp:
        """The Faust application that answers requests and bridges foreign topics, with a consumer of its own."""
        settings = self.settings
        app = make_app(
            f"{settings.namespace}-requests", settings.kafka.split(","), **build.faust_conf(settings)
        )

        requests = f"{settings.namespace}.recommendation-requests"
        on_batches(app, requests, self.publisher.answer, name="recommend")
        if settings.bridge_impressions_topic:
            self._bridge(app, "impression", settings.bridge_impressions_topic)
        if settings.bridge_clicks_topic:
            self._bridge(app, "click", settings.bridge_clicks_topic)
        return app

    def _bridge(self, app: FreshetApp, kind: Literal["impression", "click"], topic: str) -> None:
        async def bridge(batch: Batch) -> None:
            await self.outputs.deliver(bridged(batch, kind, self.ingest.rules))

        on_batches(app, topic, bridge, name=f"bridge-{kind}")

    async def _state_lost(self, partition: int, was: int, now: int) -> None:
        self.ingest.stats["states_lost"] += 1
        self.monitor.tell(ops_signals.state_lost(partition, was, now, self.clock.now_ms()))
        log.error(
            "Redis has lost commits of partition %d: it was at %d and is at %d. They are folded again from there; "
            "where the log is long, faster:  freshet rebuild", partition, was, now,
        )  # fmt: skip
        try:
            await give_back(self.store, self.replica.interner.names())
        except StoreRefused as error:
            self._fatal = error

    async def _let_go(self) -> None:
        """Slates on their way out go first: behind a newer one of the next owner they would be out of date."""
        try:
            async with asyncio.timeout(LET_GO_S):
                await self.slates.between_slates()
                if self.apart is not None:
                    await self.apart.drained()
                await self.outputs.flush()
        except TimeoutError:
            log.warning("partitions were let go with slates still on their way")

    def _lost(self, lost: LostRange) -> None:
        self.ingest.stats["lost_ranges"] += 1
        self.monitor.lost_range(lost.partition, lost.position, lost.log_start, self.clock.now_ms())
        log.error(
            "%s-%d: position %d is below the log's start %d; the partition is stopped. "
            "To go on from what is retained:  freshet rebuild",
            lost.topic, lost.partition, lost.position, lost.log_start,
        )  # fmt: skip

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """Check the store, restore what was learnt, hear the catalogue and the deltas, then begin."""
        await self.store.check(self.settings.partitions)
        await self.outputs.start_patiently()
        await self._check_topics()
        await self.replica.learn_names()
        await self.decisions.log.catch_up()
        await self.lineage.begin()
        self.saving.restored()
        self.watchdog.start()
        coroutines: tuple[Coroutine[Any, Any, None], ...] = (
            self.catalog.run(), self.deltas.run(), self.mixing.run(), self._signals(), self._quiet(), self._beat(),
            self.saving.run(self.settings.snapshot_interval_s), self._follow(), self.slates.run(),
            *self.decisions.running(), self.canary.tell(), self.canary.watch(), self.burns.run(),
        )  # fmt: skip
        if self.apart is not None:
            coroutines = (*coroutines, self.apart.run())
        self.background += [asyncio.create_task(coroutine) for coroutine in coroutines]
        heard = asyncio.gather(self.catalog.caught_up.wait(), self.deltas.caught_up.wait())
        waited_for: list[asyncio.Future[Any]] = [heard, *self.background]
        await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        for task in self.background:
            if task.done():
                task.result()  # raises what ended it
        self._expose()
        log.info("%s is up: %d items, %s", self.name, len(self.replica.interner), self.settings.namespace)

    async def _check_topics(self) -> None:
        """Refuse to run without a topic that is to be read: Faust would pass it over with a warning."""
        settings = self.settings
        wanted = {
            f"{settings.namespace}.events": "freshet topics create",
            settings.bridge_impressions_topic: "create it, or unset FRESHET_BRIDGE_IMPRESSIONS_TOPIC",
            settings.bridge_clicks_topic: "create it, or unset FRESHET_BRIDGE_CLICKS_TOPIC",
        }
        for topic, mend in wanted.items():
            if topic and not await self.outputs.has_topic(topic):
                raise SettingsError(f"there is no topic {topic}:  {mend}")

    async def stop(self) -> None:
        """Send what was learnt, save it, and disconnect."""
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        await self.saving.farewell()
        self.watchdog.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self.outputs.stop()
        await self._ends.close()
        await self.store.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)

    def _expose(self) -> None:
        parts = (
            self.ingest, self.slates, self.replica, self.publisher, self.replica.learner, self.recommender, self.store,
            self.outputs, self.clock,
        )  # fmt: skip
        sources: list[Callable[[], Mapping[str, int]]] = [partial(getattr, part, "stats") for part in parts]
        gauges = {
            "freshet_snapshot_age_seconds": (
                "Since this process last saved what it has learnt",
                lambda: self.saving.age_s,
            ),
            "freshet_slates_owed": ("Users waiting for a fresh slate", lambda: float(len(self.slates))),
            "freshet_owned_partitions": (
                "Partitions owned",
                lambda: float(len(self._holds())),
            ),
            "freshet_items": ("Items with an interned id", lambda: float(len(self.replica.interner))),
        }
        self.registry.register(metrics.Stats(sources, gauges, self._lags))
        self.registry.register(Learning(self.replica.learner, self.monitor))
        self.registry.register(ObjectiveHeads(self.replica.learner, self.recommender.treatments))
        self.registry.register(Spread(self.replica.learner.counters, self.replica.catalog))
        self.registry.register(Groups(lambda: self.ingest.stats))
        self.registry.register(self.burns)
        if self.monitor.bubble is not None:
            self.registry.register(Bubble(self.monitor.bubble))
        metrics.process(self.registry)
        apart = self.apart
        shown = self.registry if apart is None else Merged(self.registry, lambda: apart.measured)
        metrics.expose(shown, self.settings.metrics_port, self.settings.metrics_host)

    def _holds(self) -> list[Held]:
        """The partitions owned now; none for a worker that only answers requests."""
        return self.ingest.positions.held() if self.ingest.positions is not None else []

    def _lags(self) -> dict[int, int]:
        held = self._holds()
        return {h.partition: max(0, h.state.log_end - (h.own.next or 0)) for h in held if h.state}

    # ------------------------------------------------------------------ in the background

    async def _beat(self) -> None:
        """Tell the watchdog while there is progress; a loop that stands tells nothing."""
        while True:
            await asyncio.sleep(min(1.0, self.settings.watchdog_s / 4))
            ends = await self._ends.of(h.partition for h in self._holds())
            waiting = self._waiting_records(ends) if ends is not None else None
            if self._progress.made({h.partition: h.own.next or 0 for h in self._holds()}, waiting):
                self.watchdog.beat()
            self.ingest.stats["model_tail_lost"] += self.tail.lost()

    def _waiting_records(self, ends: Mapping[int, int]) -> set[int]:
        """Partitions owned of which something is in the log, or in hand, and not folded."""
        owned = self.ingest.positions
        if owned is None:
            return set()
        return {p for p, end in ends.items() if owned.app.consumer.waits(owned.topic, p, end)}

    async def _signals(self) -> None:
        """Publish drift signals, and the dead letters of the catalogue."""
        while True:
            await asyncio.sleep(0.5)
            messages = [Message("drift-signals", s.name, encoded(s)) for s in self.monitor.take()]
            rejected, self.replica.rejected = self.replica.rejected, []
            messages += [
                dead_letter(why, r.topic, r.partition, r.offset, r.key, r.value) for why, r in rejected
            ]
            await self.outputs.deliver(messages)

    async def _signal(self, signal: DriftSignal) -> None:
        self.monitor.tell(signal)

    async def _quiet(self) -> None:
        """At the log's end, let the wall clock move the watermark, so that open windows close."""
        idle_s = self.settings.idle_timeout_ms / 1_000
        while True:
            await asyncio.sleep(0.5)
            for held in self._holds():
                part: Partition | None = held.state
                if part is None or (held.own.next or 0) < part.log_end:
                    continue
                idle = time.monotonic() - part.last_batch_s > idle_s
                mark = (
                    self.clock.now_ms() - self.settings.allowed_lateness_ms if idle else part.fold.watermark
                )
                await self.ingest.tick(held, mark)

    async def _follow(self) -> None:
        """Go over to a generation that was rebuilt; one of another partition count ends this worker."""
        while True:
            await asyncio.sleep(FOLLOW_S)
            if self._fatal is not None:
                raise self._fatal
            moved = await self.store.follow()
            await self.lineage.follow()
            if moved and self.ingest.positions is not None:
                log.info("generation %d is in force now", self.store.generation)
                self.ingest.positions.renew()


async def serve(settings: Settings, role: str) -> None:
    """Run a worker until it is told to stop."""
    worker = Worker(settings)
    apps = []
    if role in ("all", "fold"):
        apps.append(worker.fold_app())
    if role in ("all", "requests"):
        apps.append(worker.request_app())
    try:
        await worker.start()
        collector.settle()
        await run_apps(*apps, beside=worker.background)
    finally:
        await worker.stop()


def main(settings: Settings, role: str = "all") -> int:
    """``freshet worker``; returns the exit code.

    Args:
        role: ``fold``, ``requests``, or ``all``.
    """
    if role not in ("all", "fold", "requests"):
        raise SettingsError(f"role must be all, fold or requests, not {role!r}")
    use_uvloop()
    sys.setswitchinterval(THREADS_TAKE_TURNS_S)
    try:
        asyncio.run(serve(settings, role))
    except (StoreRefused, SettingsError) as error:
        log.error("%s", error)
        return 2
    return 0
