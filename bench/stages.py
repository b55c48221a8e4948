"""CPU time per event of each stage of the fold, in one process and without a network: where the time goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import hiredis
import orjson

from bench.traffic import Sent, Traffic
from online_models.identity import hash64
from online_models.learner import Learner
from online_models.state import Outcome, PartitionFold, Timed
from online_models.store import Store
from online_models.store_writes import lay_out
from serving.recommender import Recommender
from serving.types import SlateRequest
from serving.wire import exposure, recommendation, slots
from streams import build, collector, validation
from streams.ingest import items_of
from streams.partitioner import partition_of
from streams.settings import Settings

PARTITIONS = 32
BATCH = 500
SLATES = 0.2


class Stages:
    """A worker's steps by hand, each with its time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cpu: defaultdict[str, float] = defaultdict(float)
        store = Store("redis://127.0.0.1:1/0", settings.namespace)
        self.replica, self.recommender, _ = build.learnt(settings, "stages", store)
        policy = build.fold_policy(settings)
        self.folds = [PartitionFold(store.prefix(p), policy) for p in range(PARTITIONS)]
        self.rules = build.rules(settings)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begun = time.process_time()
        yield
        self.cpu[stage] += time.process_time() - begun

    def batch(self, partition: int, records: list[Sent]) -> None:
        """Fold and learn one batch."""
        fold = self.folds[partition]
        with self._timed("validate"):
            events = [Timed(self._event(r), 1 << 41) for r in records]
        mark = fold.expected_watermark(events)
        for user_id in fold.missing(events, mark):
            fold.admit(user_id, (None, {}, None, {}))
        with self._timed("intern"):
            ints = self._intern(events)
        with self._timed("fold"):
            outcome = fold.fold(events, ints, mark)
        with self._timed("pack commit"):
            flat, _ = lay_out(outcome.writes, fold.prefix)
            hiredis.pack_command(("EVALSHA", *flat))
        self._learn(self.replica.learner, outcome)
        self._slates(fold, outcome)

    def _event(self, record: Sent) -> Any:
        return validation.event(record.value, 1 << 41, self.rules)

    def _intern(self, events: list[Timed]) -> dict[str, int]:
        interner = self.replica.interner
        names = {name for timed in events for name in items_of(timed.event)}
        known = interner.known(names)
        if len(known) == len(names):
            return known
        interner.add([(name, len(interner) + k) for k, name in enumerate(sorted(names - known.keys()))])
        return interner.known(names)

    def _learn(self, learner: Learner, outcome: Outcome) -> None:
        for stage, part in (
            ("learn counters", Outcome(counts=outcome.counts)),
            ("learn interactions", Outcome(interactions=outcome.interactions)),
            ("learn labels", Outcome(labelled=outcome.labelled)),
        ):
            with self._timed(stage):
                learner.learn(part)
        learner.take()

    def _slates(self, fold: PartitionFold, outcome: Outcome) -> None:
        users = list(outcome.acted.items())
        for user_id, (ts, cause) in users[: round(SLATES * len(users))]:
            with self._timed("slates"):
                slate = _slate(self.recommender, fold, user_id, ts, cause)
                self.replica.learner.remember(hash64(user_id), slate.candidates)
            with self._timed("encode slates"):
                items = orjson.Fragment(orjson.dumps(slots(slate)))
                orjson.dumps(exposure(slate, ts, items))
                orjson.dumps(recommendation(slate, ts, freshness_ms=0, caused_by=cause, items=items))


def _slate(recommender: Recommender, fold: PartitionFold, user_id: str, ts: int, cause: str) -> Any:
    request = SlateRequest(request_id=f"auto-{cause}", user_id=user_id, surface="default", n=20)
    return recommender.recommend(request, fold.users[user_id].record, ts)


def measure(
    events: int = 60_000, warm: int = 60_000, traffic: Mapping[str, Any] | None = None, **given: Any
) -> dict[str, float]:
    """CPU time per event of each stage, us, once ``warm`` events have gone by."""
    stages = Stages(Settings(**given))
    queues: list[list[Sent]] = [[] for _ in range(PARTITIONS)]
    collector.settle()
    for seen, record in enumerate(
        islice(Traffic(start_ms=1 << 40, step_ms=2.0, **(traffic or {})), events + warm), start=1
    ):
        queue = queues[partition_of(record.user_id, PARTITIONS)]
        queue.append(record)
        if len(queue) == BATCH:
            stages.batch(partition_of(record.user_id, PARTITIONS), queue)
            queue.clear()
        if seen == warm:
            stages.cpu.clear()
    return {stage: round(1e6 * seconds / events, 2) for stage, seconds in stages.cpu.items()}


if __name__ == "__main__":
    told = measure(negative_rate=0.25)
    for name, us in (*told.items(), ("sum", sum(told.values()))):
        print(f"{name:<20} {us:7.2f}")
