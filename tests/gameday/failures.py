"""Each failure the runbooks speak of, provoked on a running stack, with the signal its runbook names.

A failure is a block: on entering it the harm is done, within it the signals are waited for, on leaving it is mended.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from online_models.registry import What
from serving.assembly import assemble
from serving.types import SurfacePolicy
from streams import build
from streams.children import LOOPBACK, free_port
from streams.clock import wall_ms
from streams.registry_log import RegistryLog, change
from tests.end_to_end.harness import PARTITIONS
from tests.gameday.stack import ITEMS, Stack

SLOTS = 10


Seen = list[Callable[[], bool]]
"""Whether each signal of a failure is there, in their order."""


class Signal(NamedTuple):
    """What is to be seen, as its runbook names it."""

    runbook: str
    name: str


@dataclass(frozen=True)
class Failure:
    """One failure; a quick one is part of the short form."""

    what: str
    signals: tuple[Signal, ...]
    provoke: Callable[[Stack], AbstractContextManager[Seen]]
    quick: bool = True


def _grows(read: Callable[[], float | None]) -> Callable[[], bool]:
    before = read() or 0.0
    return lambda: (read() or 0.0) > before


@contextmanager
def cold_catalogue(stack: Stack) -> Iterator[Seen]:
    """A catalogue of which nobody has seen anything yet."""
    name = "freshet_exposure_coverage_ratio"

    def seen() -> bool:
        share = stack.worker(name)
        return share is not None and share < 0.05 and (stack.worker("freshet_items") or 0) > 100

    yield [seen]


@contextmanager
def redis_frozen(stack: Stack) -> Iterator[Seen]:
    """Redis does not answer: the worker waits, requests wait for it in vain."""
    for k in range(20):
        stack.ask(f"u{k}")
    waits, late = "freshet_store_waits_total", "freshet_http_request_seconds"

    def slow() -> float:
        total = stack.served(f"{late}_count", route="/v1/recommendations/{user_id}") or 0.0
        return total - (
            stack.served(f"{late}_bucket", route="/v1/recommendations/{user_id}", le="0.2") or 0.0
        )

    was_slow = slow()

    def late_now() -> bool:
        stack.ask("somebody")
        return slow() > was_slow

    grows = _grows(lambda: stack.worker(waits))
    stack.redis.pause()
    stack.click("alice", 1)
    try:
        yield [grows, late_now]
    finally:
        stack.redis.resume()


@contextmanager
def budget_burns(stack: Stack) -> Iterator[Seen]:
    """Too many answers come late: experiments pause."""
    stack.redis.pause()
    for k in range(12):
        stack.ask(f"late{k}")
    stack.redis.resume()
    name = "experiments_paused:"
    yield [
        lambda: stack.signal(name),
        lambda: stack.served("freshet_experiments_paused") == 1.0,
    ]  # fmt: skip
    _registry(stack, "resume")


@contextmanager
def worker_frozen(stack: Stack) -> Iterator[Seen]:
    """A worker stands still for a moment: slates come late after the click."""
    name = "freshet_freshness_seconds"

    def late() -> float:
        return (stack.worker(f"{name}_count") or 0.0) - (stack.worker(f"{name}_bucket", le="0.25") or 0.0)

    grows = _grows(late)
    worker = stack.running.workers[-1]
    worker.pause()
    thaw = threading.Timer(0.6, worker.resume)
    thaw.start()
    stack.click("bob", 2)
    yield [grows]
    thaw.join()


@contextmanager
def bad_records(stack: Stack) -> Iterator[Seen]:
    """A producer's new release sends what is no event."""
    name = "freshet_dead_letters_total"
    grows = _grows(lambda: stack.worker(name))
    for k in range(20):
        stack.running.raw("events", f"u{k}", b'{"v":1,"type":"clik","user_id":"u"}')
    stack.running.flush()
    yield [grows]


@contextmanager
def worker_killed(stack: Stack) -> Iterator[Seen]:
    """The only worker is gone."""
    name = "freshet_owned_partitions"
    before = stack.running.epochs()
    stack.running.workers[-1].kill()
    yield [lambda: not stack.worker(name)]
    stack.running.worker()
    stack.running.wait_for_claims(before)


@contextmanager
def deletion_misspelt(stack: Stack) -> Iterator[Seen]:
    """Somebody asks to be forgotten, in words freshet does not know: no receipt, a dead letter."""
    stack.send({"type": "privacy", "user_id": "carol", "ts": wall_ms(), "request": "forget"})
    yield [lambda: stack.letters("request") > 0]


@contextmanager
def taken_back(stack: Stack) -> Iterator[Seen]:
    """A version is rolled back: learning stands still."""
    _registry(stack, "register", version="v2")
    _registry(stack, "promote", version="v2")
    _registry(stack, "promote", version="v2", share=0.1)
    _registry(stack, "rollback", reason="a game day")
    yield [lambda: stack.worker("freshet_learning_frozen") == 1.0]  # fmt: skip
    _registry(stack, "release")


@contextmanager
def exploration_off(stack: Stack) -> Iterator[Seen]:
    """Somebody switches exploration off: of what is served nothing is drawn at random any more."""
    name = "freshet_slates_flagged_total"

    def drawn() -> float:
        return stack.served(name, flag="randomised") or 0.0

    def none_is_drawn() -> bool:
        slates, before = stack.served("freshet_slates_total") or 0.0, drawn()
        for k in range(100):
            stack.ask(f"u{k}")
        return (drawn() - before) / ((stack.served("freshet_slates_total") or 0.0) - slates) < 0.02

    _registry(stack, "explore", on=False)
    yield [none_is_drawn]
    _registry(stack, "explore", on=True)


@contextmanager
def other_features(stack: Stack) -> Iterator[Seen]:
    """Processes of two versions run: labels come with features of the other."""
    name = "freshet_labels_of_other_schema_total"
    grows = _grows(lambda: stack.worker(name))
    ts = wall_ms() - 10_000
    for k in range(20):
        stack.send(*_visit(f"v{k}", f"other{k}", ts, np.zeros((SLOTS, 3)), "of-another-release", {0}))
    yield [grows]


@contextmanager
def drifting(stack: Stack) -> Iterator[Seen]:
    """Users stop clicking, and features move: simulated visits of the last half hour."""
    random = np.random.default_rng(7)
    learner = assemble({"default": SurfacePolicy()}).learner
    calm, moved = 1_200, 600
    begin = wall_ms() - (calm + moved + 10) * 1_000

    def visits(numbers: range, mean: float, rate: float) -> Iterator[dict[str, Any]]:
        for k in numbers:
            rows = random.normal(mean, 1.0, size=(SLOTS, len(learner.features)))
            clicked = set(np.flatnonzero(random.random(SLOTS) < rate).tolist())
            yield from _visit(f"d{k % 400}", f"d{k}", begin + 1_000 * k, rows, learner.schema, clicked)

    stack.send(*visits(range(calm), 0.0, 0.2))
    stack.settle()  # partitions are read in bulk: what comes later in time must come later here
    stack.send(*visits(range(calm, calm + moved), 3.0, 0.02))
    yield [
        lambda: stack.signal("click_rate:"),
        lambda: stack.signal("psi:"),
    ]


@contextmanager
def broker_frozen(stack: Stack) -> Iterator[Seen]:
    """Kafka does not answer: what is served cannot be logged once the buffer is full."""
    name = "freshet_exposures_not_logged_total"
    grows = _grows(lambda: stack.served(name))

    def seen() -> bool:
        for _ in range(20):
            stack.ask("dave")
        return grows()

    stack.broker.pause()
    try:
        yield [seen]
    finally:
        stack.broker.resume()


@contextmanager
def redis_emptied(stack: Stack) -> Iterator[Seen]:
    """Somebody empties the database."""
    for k in range(8):
        stack.click(f"u{k}", k)
    stack.settle()
    stack.redis.flush()
    for k in range(8):
        stack.click(f"u{k}", k + 1)
    yield [lambda: stack.signal("state_lost:")]


@contextmanager
def log_cut(stack: Stack) -> Iterator[Seen]:
    """While the worker is away, the log's retention takes what it has not read."""
    stack.settle()
    stack.running.workers[-1].stop()
    for k in range(40):
        stack.click(f"u{k}", k % ITEMS)
    admin = KafkaAdminClient(bootstrap_servers=stack.broker.bootstrap)
    ends = stack.running.ends()
    admin.delete_records(
        {TopicPartition(stack.running.topic("events"), p): ends[p] for p in range(PARTITIONS)},
        timeout_ms=20_000,
    )
    admin.close()
    stack.running.worker()
    yield [lambda: stack.signal("lost_range:")]


@contextmanager
def burst(stack: Stack) -> Iterator[Seen]:
    """Far more clicks at once than there is CPU for."""
    name = "freshet_slates_skipped_total"
    grows = _grows(lambda: stack.worker(name))
    ts = wall_ms()
    clicks = (
        {"type": "click", "user_id": f"b{k}", "ts": ts, "item_id": f"i{k % ITEMS}"} for k in range(40_000)
    )
    stack.send(*clicks)
    yield [grows]
    stack.settle()


@contextmanager
def source_fails(stack: Stack) -> Iterator[Seen]:
    """A source of candidates raises, in one API replica."""
    name, port = "freshet_recommendations_degraded_total", free_port()
    child = stack.process([sys.executable, "-m", "tests.gameday.sabotaged"], "sabotaged", port)
    base = f"http://{LOOPBACK}:{port}"
    grows = _grows(lambda: stack.served(name, port))

    def seen() -> bool:
        stack.ask("erin", base)
        return grows()

    yield [seen]
    child.stop()


def _of(runbook: str, *names: str) -> tuple[Signal, ...]:
    return tuple(Signal(runbook, name) for name in names)


FAILURES = (
    Failure(
        "a catalogue nobody has seen", _of("cold-start", "freshet_exposure_coverage_ratio"), cold_catalogue
    ),
    Failure("records that are no events", _of("pipeline-lag", "freshet_dead_letters_total"), bad_records),
    Failure("a misspelt deletion", _of("privacy-violation", "dead-letters"), deletion_misspelt),
    Failure(
        "labels of another release",
        _of("metric-leakage", "freshet_labels_of_other_schema_total"),
        other_features,
    ),
    Failure(
        "exploration switched off", _of("feedback-loop", "freshet_slates_flagged_total"), exploration_off
    ),
    Failure("a version taken back", _of("model-rollback", "freshet_learning_frozen"), taken_back),
    Failure("a worker frozen for 0.6 s", _of("stale-features", "freshet_freshness_seconds"), worker_frozen),
    Failure(
        "Redis frozen",
        (
            *_of("redis-down", "freshet_store_waits_total"),
            *_of("high-latency", "freshet_http_request_seconds"),
        ),
        redis_frozen,
    ),
    Failure(
        "too many late answers",
        _of("experiments-paused", "experiments_paused:", "freshet_experiments_paused"),
        budget_burns,
    ),
    Failure("Kafka frozen", _of("kafka-down", "freshet_exposures_not_logged_total"), broker_frozen),
    Failure(
        "taste and features move",
        (*_of("model-drift", "click_rate:"), *_of("feature-skew", "psi:")),
        drifting,
        quick=False,
    ),
    Failure(
        "a source raises",
        _of("index-outage", "freshet_recommendations_degraded_total"),
        source_fails,
        quick=False,
    ),
    Failure("the worker killed", _of("pipeline-lag", "freshet_owned_partitions"), worker_killed, quick=False),
    Failure("Redis emptied", _of("state-lost", "state_lost:"), redis_emptied, quick=False),
    Failure(
        "40,000 clicks at once",
        _of("resource-exhaustion", "freshet_slates_skipped_total"),
        burst,
        quick=False,
    ),
    Failure("the log cut short", _of("lost-range", "lost_range:"), log_cut, quick=False),
)
NOT_PROVOKED: dict[str, str] = {}
"""Runbooks without a failure here, and why. A log cut short comes last: only a rebuild mends it."""


# ---------------------------------------------------------------------- parts


def _registry(stack: Stack, what: What, **more: Any) -> None:
    async def once() -> None:
        store = build.store(stack.settings, patience_s=5.0)
        try:
            refused = await RegistryLog(store).add(change(what, wall_ms(), who="gameday", **more))
        finally:
            await store.close()
        assert not refused, refused

    asyncio.run(once())


def _visit(
    user: str, request: str, ts: int, rows: np.ndarray, schema: str, clicked: set[int]
) -> list[dict[str, Any]]:
    """A slate as served, that all of it was seen, and the clicks on some slots."""
    items = [f"i{(ts // 1_000 + k) % ITEMS}" for k in range(SLOTS)]
    packed = base64.b64encode(rows.astype("<f2").tobytes()).decode()
    slots = [{"item_id": item, "position": k, "probability": 0.1} for k, item in enumerate(items)]
    of = {"user_id": user, "request_id": request}
    out: list[dict[str, Any]] = [
        {"type": "exposure", "ts": ts, "items": slots, "features": packed, "feature_schema": schema, **of},
        {"type": "impression", "ts": ts + 1, "items": [{k: slot[k] for k in ("item_id", "position")} for slot in slots],
         **of},
    ]  # fmt: skip
    return out + [{"type": "click", "ts": ts + 2 + k, "item_id": items[k], **of} for k in sorted(clicked)]
