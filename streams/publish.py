"""A worker's slates: fresh ones after an action, and answers to requests; each is logged as an exposure first."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

import orjson

from online_models.candidates import Candidates
from online_models.history import UserRecord
from online_models.identity import hash64
from online_models.store import Store
from serving import current
from serving.recommender import Recommender
from serving.types import Slate, SlateRequest
from serving.wire import Encodable, exposure, named, recommendation, slots
from streams import validation
from streams.metrics_slates import SlateMeter
from streams.outputs import Message, Outputs, dead_letter, logged
from streams.partitioner import partition_of
from streams.slates import Owed
from streams.transport import Batch
from streams.users import read_user
from streams.validation import Rejected, Rules


class Remembers(Protocol):
    """Keeps what slates were chosen from, for the order to be learnt (:class:`online_models.learner.Learner`)."""

    def remember(self, user: int, candidates: Candidates, variant: str = "") -> None:
        """Of one slate."""


class Observes(Protocol):
    """Takes measurements (:class:`prometheus_client.Histogram`)."""

    def observe(self, amount: float) -> None:
        """Of one slate."""


class Publisher:
    """Makes slates and produces them.

    Args:
        learner: told what each slate was chosen from.
        record_of: a user's record in this worker's memory; None when it is not held here.
        now: wall clock, ms.
    """

    def __init__(
        self,
        recommender: Recommender,
        learner: Remembers,
        outputs: Outputs,
        store: Store,
        rules: Rules,
        *,
        partitions: int,
        surface: str,
        n: int,
        now: Callable[[], int],
        record_of: Callable[[int, str], UserRecord | None],
        freshness: Observes | None = None,
        meter: SlateMeter | None = None,
    ) -> None:
        self._recommender, self._learner = recommender, learner
        self._outputs, self._store, self._rules = outputs, store, rules
        self._partitions, self._surface, self._n = partitions, surface, n
        self._now, self._record_of, self._freshness = now, record_of, freshness
        self._meter = meter
        self.stats: Counter[str] = Counter()
        self.cpu_s = 0.0  # spent on making slates

    async def serve_owed(self, owed: Owed, record: UserRecord | None = None) -> asyncio.Future[Any] | None:
        """The fresh slate of a user who has just acted; answers with its acknowledgement to come, if it has items."""
        record = record or self._record_of(owed.partition, owed.user_id) or await self._read(owed.user_id)
        request = SlateRequest(
            request_id=named("auto", owed.cause), user_id=owed.user_id, surface=self._surface, n=self._n,
            n_asked=False,
        )  # fmt: skip
        as_of = min(self._now(), owed.acted)  # of the action, so that a replay gives what was live
        slate = self._slate(request, record, as_of)
        if not slate.items:  # nothing to show; but of a variant that answers so a guardrail wants to know
            return await self._sent(self._served(slate)) if slate.variant else None
        answer = await self._produce(slate, caused_by=owed.cause, appended=owed.appended)
        if self._meter is not None:
            self._meter.feedback.observe(max(0, self._now() - owed.acted) / 1_000)
        return answer

    async def answer(self, batch: Batch) -> None:
        """Answer a batch of ``recommendation-requests``; a bad one is a dead letter."""
        answers: list[asyncio.Future[Any]] = []
        for record in batch.records:
            request = validation.request(record.value, self._rules)
            if isinstance(request, Rejected):
                letter = dead_letter(
                    request, batch.topic, batch.partition, record.offset, record.key, record.value
                )
                await self._outputs.deliver([letter])
                self.stats["requests_rejected"] += 1
                continue
            before = self._recommender.last_good.of_request(request.user_id, request.request_id)
            if before is not None:  # a retry: the same slate, whose exposure is in the log already
                answers.append(
                    await self._recommend(before, caused_by=request.request_id, appended=record.timestamp)
                )
                self.stats["requests_repeated"] += 1
                continue
            partition = partition_of(request.user_id, self._partitions)
            user = self._record_of(partition, request.user_id) or await self._read(request.user_id)
            slate = self._slate(SlateRequest.of(request, self._n), user, self._now())
            answers.append(
                await self._produce(slate, caused_by=request.request_id, appended=record.timestamp)
            )
            self.stats["requests_answered"] += 1
        told = await asyncio.gather(*answers, return_exceptions=True)
        self.stats["answers_unsent"] += sum(isinstance(one, BaseException) for one in told)

    async def _read(self, user_id: str) -> UserRecord:
        return await read_user(self._store, user_id, self._partitions)

    def _slate(self, request: SlateRequest, record: UserRecord, now: int) -> Slate:
        begun = time.thread_time()
        timed = self._meter.timed() if self._meter is not None else nullcontext()
        with timed, current.request(request.request_id):
            slate = self._recommender.recommend(request, record, now)
        self.cpu_s += time.thread_time() - begun
        if slate.candidates is not None:
            self._learner.remember(hash64(request.user_id), slate.candidates, slate.variant)
        return slate

    async def _produce(self, slate: Slate, *, caused_by: str, appended: int) -> asyncio.Future[Any]:
        """First the exposure, so that what is shown can be learnt from; then the slate."""
        if self._meter is not None:
            self._meter.shown(slate)
        items = orjson.Fragment(orjson.dumps(slots(slate)))
        before = self._served(slate, items)
        return await self._recommend(slate, before, items, caused_by=caused_by, appended=appended)

    def _served(self, slate: Slate, items: Encodable = None) -> tuple[Message, Message]:
        return logged(slate.user_id, orjson.dumps(exposure(slate, self._now(), items)))

    async def _recommend(
        self, slate: Slate, before: Sequence[Message] = (), items: Encodable = None, *, caused_by: str,
        appended: int,
    ) -> asyncio.Future[Any]:  # fmt: skip
        now = self._now()
        fresh = recommendation(
            slate, now, freshness_ms=max(0, now - appended), caused_by=caused_by, items=items
        )
        messages = [*before, Message("recommendations", slate.user_id, orjson.dumps(fresh))]
        answer = await self._sent(messages)
        if self._freshness is not None:
            self._freshness.observe(max(0, now - appended) / 1_000)
        return answer

    async def _sent(self, messages: Sequence[Message]) -> asyncio.Future[Any]:
        return asyncio.gather(*[await self._outputs.attempt(message) for message in messages])
