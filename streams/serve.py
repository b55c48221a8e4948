"""``freshet serve``: an API replica. It hears the catalogue and what workers learn, reads users from Redis, answers.

Any number run side by side; none keeps anything of its own. Until models, names and catalogue are loaded ``/readyz``
says what is missing and requests are refused: a half-loaded model never answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import uvicorn
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, generate_latest

from online_models.drift_signal import DriftSignal
from online_models.errors import StoreRefused, StoreUnavailable
from online_models.history import UserRecord
from serving.api import MAX_BODY, create_app
from serving.api_metrics import ApiMetrics
from serving.hot_route import HotRoute
from serving.item_history import ItemHistory
from serving.problems import ProblemError
from serving.types import Slate
from serving.wire import exposure
from streams import build, collector, metrics, traces, validation
from streams.burn_watch import BurnWatch
from streams.clock import wall_ms
from streams.listening import Listening
from streams.live import LiveFeed
from streams.metrics_slates import SlateMeter
from streams.monitor import encoded
from streams.outputs import Message, Outputs, logged
from streams.settings import Settings
from streams.users import read_user
from streams.validation import Rejected
from streams.weighing import Weighing, WeightsRefused

log = logging.getLogger(__name__)

STORE_PATIENCE_S = 0.25
"""How long a request waits for Redis before it is answered without the user's state."""
FOLLOW_S = 1.0
"""How often is asked whether the state was rebuilt."""
LOG_PATIENCE_S = 0.05
ACK_PATIENCE_S = 10.0


class Replica:
    """What the API stands on (:class:`serving.api.Backend`)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        client = build.kafka_client(settings)
        self.store = build.store(settings, timeout_s=STORE_PATIENCE_S, patience_s=STORE_PATIENCE_S)
        self.slow_store = build.store(settings, patience_s=None, on_wait=self._waiting)
        self.outputs = Outputs(settings.namespace, client)
        name = f"api-{uuid.uuid4().hex[:12]}"
        self._listening = Listening(settings, name, self.slow_store)
        self.replica, self.recommender = self._listening.replica, self._listening.recommender
        self.decisions = self._listening.decisions
        self.default_surface = build.default_surface(settings)
        self.default_n = settings.recommend_n
        self.item_history = ItemHistory(self.replica.learner.counters)
        self.registry = CollectorRegistry()
        self.api_metrics = ApiMetrics(self.registry)
        self.stats: Counter[str] = Counter()
        self.live = LiveFeed(settings.namespace, client, self.store, settings.partitions, self.api_metrics)
        self._lacking = {"models": "not loaded yet", "catalogue": "not heard yet"}
        self._rules = build.rules(settings)
        self.tracing = traces.wanted(settings, "freshet-api")
        if self.tracing is not None:
            from streams import traced

            traced.process(self.tracing, self.recommender, self.store, self.outputs)
        self.meter = SlateMeter(self.registry)
        parts = (self.replica, self.recommender, self.outputs, self, self.store)
        gauges = {
            "freshet_ready": ("1 once requests can be answered", lambda: float(not self._lacking)),
            "freshet_console_watchers": ("Who looks at the live console", lambda: float(self.live.watching)),
        }
        self.registry.register(metrics.Stats([lambda part=part: part.stats for part in parts], gauges))  # type: ignore[misc]
        self.burns = BurnWatch(
            name, self.decisions.log,
            {"availability": (0.001, self.api_metrics.answered), "latency": (0.01, self.api_metrics.slates_late)},
            self._signal, now=wall_ms, clock=time.monotonic,
        )  # fmt: skip
        self.registry.register(self.burns)
        metrics.process(self.registry)

    # ------------------------------------------------------------------ Backend

    def now(self) -> int:
        """The wall clock, ms."""
        return wall_ms()

    def lacking(self) -> dict[str, str]:
        """What is not ready yet, and why."""
        return self._lacking

    async def user(self, user_id: str) -> UserRecord:
        """What is known of a user, in one round trip."""
        return await read_user(self.store, user_id, self.settings.partitions)

    async def log(self, slate: Slate) -> None:
        """Hand a slate to the log; a log that is away costs the exposure, counted, not the answer."""
        self.meter.shown(slate)
        value = orjson.dumps(exposure(slate, wall_ms()))
        try:
            async with asyncio.timeout(LOG_PATIENCE_S):
                for message in logged(slate.user_id, value):
                    await self.outputs.send(message)
        except (KafkaError, TimeoutError):
            self.stats["exposures_not_logged"] += 1

    async def accept(self, events: Sequence[dict[str, Any]]) -> list[str]:
        """Put events into the log, all or none."""
        now = wall_ms()
        ids, messages, errors = [], [], []
        for k, event in enumerate(events):
            try:
                value = orjson.dumps({"event_id": uuid.uuid4().hex, "ts": now} | event)
                checked = validation.event(value, now, self._rules)
            except TypeError as error:  # nested more deeply than can be written
                checked = Rejected("field", f"cannot be written as JSON: {error}")
            if isinstance(checked, Rejected):
                at = f"{k}.{checked.field}" if len(events) > 1 else checked.field
                errors.append((at or "body", checked.detail.removeprefix(f"{checked.field}: ")))
            else:
                ids.append(checked.event_id)
                messages.append(Message("events", checked.user_id, value))
        if errors:
            raise ProblemError(
                422, "Events refused", "; ".join(f"{f}: {d}" for f, d in errors[:3]), errors=errors
            )
        try:
            async with asyncio.timeout(ACK_PATIENCE_S):
                await self.outputs.deliver(messages)
        except (KafkaError, TimeoutError) as error:
            raise ProblemError(
                503, "Log not reachable", "the events may not be in the log; send them again"
            ) from error
        self.stats["events_accepted"] += len(ids)
        return ids

    def experiments(self) -> dict[str, Any]:
        """Results so far, and which version answers whom."""
        return self.decisions.report()

    def metrics(self) -> bytes:
        """Everything measured, for Prometheus."""
        return generate_latest(self.registry)

    # ------------------------------------------------------------------ life

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load and listen while the application runs; it answers health checks meanwhile."""
        tasks = [asyncio.create_task(self._load())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.live.close()
            await self.outputs.stop()
            await self.store.close()
            await self.slow_store.close()
            if self.tracing is not None:
                await asyncio.to_thread(self.tracing.close)

    async def _load(self) -> None:
        """Names, snapshot, catalogue, deltas, in this order; then answer."""
        try:
            await self._load_all()
        except StoreRefused as error:
            self._lacking = {"redis": str(error)}
            log.error("%s", error)
        except Exception as error:
            self._lacking = {"models": f"loading failed: {type(error).__name__}: {error}"}
            log.exception("the replica could not be loaded")

    async def _load_all(self) -> None:
        await self.outputs.start_patiently()
        await self._listening.begin()
        async with asyncio.TaskGroup() as tasks:
            for coroutine in (*self._listening.running(), self._follow(), self.burns.run()):
                tasks.create_task(coroutine)
            await self._listening.heard()
            collector.settle()  # a look at the whole catalogue would hold requests up for a tenth of a second
            self._lacking = {}
            log.info("ready: %d items", len(self.replica.interner))

    async def _follow(self) -> None:
        """Read users from the generation that is in force."""
        while True:
            self.store.generation = self.slow_store.generation
            if not self._lacking:
                self.item_history.tick(wall_ms())
            await asyncio.sleep(FOLLOW_S)
            try:
                await self._listening.follow()
            except StoreRefused as error:
                log.error("%s; users are read as they were before", error)
                return

    async def _signal(self, signal: DriftSignal) -> None:
        async with asyncio.timeout(ACK_PATIENCE_S):
            await self.outputs.deliver([Message("drift-signals", signal.name, encoded(signal))])

    def _waiting(self, operation: str, seconds: float, error: Exception) -> None:
        if seconds > 1.0:
            if self._lacking:  # a replica that is loaded answers without Redis, degraded
                self._lacking = {**self._lacking, "redis": f"does not answer ({type(error).__name__})"}
            log.warning("Redis does not answer (%s, %.0f s): %s", operation, seconds, type(error).__name__)


class Operators:
    """What operators change over HTTP (:class:`serving.api_objectives.Operators`)."""

    def __init__(self, replica: Replica) -> None:
        self.operator_token = replica.settings.operator_token.get_secret_value()
        self._weighing = Weighing(replica.settings, replica.decisions.log)

    def objectives(self) -> dict[str, Any]:
        """By surface the weights in force."""
        return self._weighing.told()

    async def weigh(
        self, surface: str, weights: Mapping[str, float] | None, who: str, reason: str
    ) -> dict[str, Any]:
        """Change a surface's weights."""
        try:
            async with asyncio.timeout(ACK_PATIENCE_S):
                return await self._weighing.weigh(surface, weights, wall_ms(), who=who, reason=reason)
        except WeightsRefused as error:
            field = str(error).partition(":")[0]
            raise ProblemError(422, "Weights refused", str(error), field=field) from error
        except (TimeoutError, StoreRefused, StoreUnavailable) as error:
            raise ProblemError(
                503, "Redis not reachable", "the change may not be in the log: look before you send it again"
            ) from error


def application(replica: Replica) -> Any:
    """The ASGI application of a replica."""
    feed = replica.live if replica.settings.console else None
    app = create_app(
        replica, replica.api_metrics, replica.running(), console=feed, operators=Operators(replica)
    )
    hot = HotRoute(app, replica, replica.api_metrics, max_body=MAX_BODY)
    if replica.tracing is None:
        return hot
    from streams.traced import TracedHttp

    return TracedHttp(hot, replica.tracing)


def main(settings: Settings) -> int:
    """``freshet serve``; returns the exit code."""
    replica = Replica(settings)
    app = application(replica)
    log.info("listening on http://%s:%d", settings.http_host, settings.http_port)
    config = uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=10,
        server_header=False,
    )
    server = uvicorn.Server(config)
    replica.live.ending = lambda: server.should_exit  # an open console would hold the end up
    server.run()
    return 0
