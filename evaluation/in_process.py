"""The real pipeline without Kafka and Redis: events are folded, learnt and answered as a worker does, in event time.

    pipeline = InProcess(assemble({"default": SurfacePolicy()}))
    slate = pipeline.slate("alice", now=1_000)
    pipeline.event({"type": "click", "event_id": "1", "user_id": "alice", "item_id": "m1", "ts": 2_000})

The fold, the learner and the recommender are those of a deployment; what Redis would hold stays in memory, and each
slate's exposure is folded before the slate is shown, as in the log. The only clock is that of the events.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import orjson
from pydantic import Field, TypeAdapter

from online_models.events import Exposure, Identify, Impression, Item, UserEvent
from online_models.fold_policy import FoldPolicy
from online_models.history import UserRecord
from online_models.identity import hash64
from online_models.state import Outcome, PartitionFold, Timed
from serving.assembly import Parts
from serving.types import Slate, SlateRequest
from serving.wire import exposure

_EVENT: TypeAdapter[UserEvent] = TypeAdapter(Annotated[UserEvent, Field(discriminator="type")])
_ITEM: TypeAdapter[Item] = TypeAdapter(Item)
ACTIONS = {"click": 1.0, "like": 2.0, "purchase": 5.0, "dislike": -1.0, "not_interested": -1.0}
"""Actions and their strength, as in a deployment nobody has changed."""


class InProcess:
    """A deployment of one partition, driven by the time of its events.

    Args:
        parts: what learns and answers; labels are watched from here on.
        policy: what the fold is told.
        surface: that fresh slates are made for.
        n: items of a fresh slate.
        fresh_slates: whether a user who has acted is owed a slate at once, as a worker publishes it.

    >>> from serving.assembly import assemble
    >>> from serving.types import SurfacePolicy
    >>> pipeline = InProcess(assemble({"default": SurfacePolicy()}))
    >>> pipeline.item({"item_id": "m1"}, now=0)
    >>> [item.item_id for item in pipeline.slate("alice", now=1_000).items]
    ['m1']
    """

    def __init__(
        self,
        parts: Parts,
        policy: FoldPolicy | None = None,
        *,
        surface: str = "default",
        n: int = 20,
        fresh_slates: bool = True,
    ) -> None:
        self.parts = parts
        self.fold = PartitionFold("in-process:{0}:", policy or FoldPolicy(actions=ACTIONS))
        self.surface, self.n, self.fresh_slates = surface, n, fresh_slates
        self.stats: Counter[str] = Counter()
        parts.learner.watch = parts.learner.watch or parts.watch
        self.fresh: Slate | None = None  # what the last event's user was owed, if anything
        self._requests = 0

    # ------------------------------------------------------------------ what comes in

    def item(self, entry: Mapping[str, Any], now: int) -> None:
        """A catalogue entry as it stands on the wire."""
        item = _ITEM.validate_python(entry)
        self.parts.note_item(self._number(item.item_id), item, now)

    def event(self, event: Mapping[str, Any]) -> Outcome:
        """One event as it stands on the wire: folded, learnt from, and answered by a fresh slate if it is an action."""
        parsed = _EVENT.validate_python(event)
        outcome = self._fold([Timed(parsed, parsed.ts)])
        self.fresh = None
        if self.fresh_slates:
            for user_id, (acted, cause) in outcome.acted.items():
                owed = SlateRequest(
                    request_id=f"auto-{cause}", user_id=user_id, surface=self.surface, n=self.n
                )
                self.fresh = self._answer(owed, acted)
                self.fold.published(user_id, cause)
        return outcome

    def tick(self, now: int) -> Outcome:
        """Time has passed without an event: windows close."""
        return self._fold((), now - self.fold.policy.lateness_ms)

    # ------------------------------------------------------------------ what comes out

    def slate(self, user_id: str, now: int, *, n: int | None = None, request_id: str | None = None) -> Slate:
        """A slate that is asked for; its exposure is in the log before it is returned."""
        self._requests += 1
        name = request_id or f"r-{self._requests}"
        return self._answer(
            SlateRequest(request_id=name, user_id=user_id, surface=self.surface, n=n or self.n), now,
            remember=False,
        )  # fmt: skip

    def record(self, user_id: str) -> UserRecord:
        """What is known of a user; an empty record for one nobody knows."""
        state = self.fold.users.get(user_id)
        return state.record if state is not None else UserRecord()

    def _answer(self, request: SlateRequest, now: int, *, remember: bool = True) -> Slate:
        """As a worker does (or, without ``remember``, an API replica, whose candidates no learner sees)."""
        slate = self.parts.recommender.recommend(request, self.record(request.user_id), now)
        if remember and slate.candidates is not None:
            self.parts.learner.remember(hash64(request.user_id), slate.candidates, slate.variant)
        served = orjson.loads(orjson.dumps(exposure(slate, now)))
        self._fold([Timed(_EVENT.validate_python(served), now)])
        self.stats["slates"] += 1
        return slate

    # ------------------------------------------------------------------ within

    def _fold(self, events: Sequence[Timed], watermark: int = 0) -> Outcome:
        mark = max(self.fold.expected_watermark(events), watermark)
        for user_id in self.fold.missing(events, mark):
            self.fold.admit(user_id, (None, {}, None, {}))
        ints = {name: self._number(name) for timed in events for name in _items_of(timed.event)}
        outcome = self.fold.fold(events, ints, mark, self._merged(events))
        self.stats.update(outcome.stats)
        self.parts.learner.learn(outcome)
        return outcome

    def _merged(self, events: Iterable[Timed]) -> dict[str, UserRecord]:
        named = [t.event.anonymous_id for t in events if isinstance(t.event, Identify)]
        return {user_id: self.record(user_id) for user_id in named if user_id in self.fold.users}

    def _number(self, name: str) -> int:
        """The interned id of an item; the next free one for a new item."""
        names = self.parts.interner
        number = names.get(name)
        if number is None:
            number = len(names)
            names.add([(name, number)])
        return number


def _items_of(event: UserEvent) -> list[str]:
    if isinstance(event, Impression | Exposure):
        return [slot.item_id for slot in event.items]
    item_id = getattr(event, "item_id", None)
    return [item_id] if item_id is not None else []
