"""A stream of ratings judged by the slates a deployment publishes: the slate after a user's event meets the next one.

The scoring rule is that of :mod:`evaluation.protocol` (an event is scored when its user has history and its item was
seen before and is not in that history), but what is looked at is a slate of ``k``, made right after the user's previous
event, as it goes out. The same replay runs in process and through Kafka, so that the two can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation.in_process import InProcess
from evaluation.protocol import Event
from online_models.fold_policy import FoldPolicy
from online_models.learner import Unlimited
from serving.assembly import assemble
from serving.types import SurfacePolicy

PLAIN = {"randomised_share": 0.0, "swap_share": 0.0, "diversity": 0.0, "new_item_share": 0.0}
"""A surface whose slates are the order and nothing else."""
EVENTS_A_DAY = 60_000


@dataclass(slots=True)
class SlateTally:
    """Hits of slates of ``k``, event by event."""

    k: int
    events: int = 0
    scored: int = 0
    hits: int = 0
    without_slate: int = 0
    _histories: dict[int, set[int]] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)

    def score(self, event: Event, slate: Sequence[str] | None) -> None:
        """Judge the newest slate of the event's user by the event, then note the event."""
        history = self._histories.setdefault(event.user, set())
        self.events += 1
        if history and event.item in self._seen and event.item not in history:
            self.scored += 1
            self.hits += slate is not None and f"i{event.item}" in slate[: self.k]
            self.without_slate += slate is None
        history.add(event.item)
        self._seen.add(event.item)

    @property
    def choices(self) -> int:
        """Items seen so far."""
        return len(self._seen)

    def told(self) -> dict[str, Any]:
        """As figures."""
        return {
            "recall": self.hits / max(self.scored, 1), "hits": self.hits, "scored": self.scored,
            "events": self.events, "without_slate": self.without_slate,
        }  # fmt: skip


def wire_events(events: Sequence[Event]) -> Iterator[dict[str, Any]]:
    """The events as they stand on the wire, their ids the same each time."""
    for number, event in enumerate(events):
        yield {
            "v": 1, "type": "click", "event_id": f"replay-{number}", "user_id": f"u{event.user}",
            "item_id": f"i{event.item}", "ts": event.ts,
        }  # fmt: skip


def in_process(events: Sequence[Event], *, k: int, seed: int = 0) -> SlateTally:
    """The replay without Kafka and Redis.

    >>> events = [Event(u, i, 10_000 * u + 1_000 * i) for u in range(30) for i in range(4)]
    >>> tally = in_process(events, k=10)
    >>> tally.scored, tally.hits
    (87, 87)
    """
    parts = assemble({"default": SurfacePolicy(**PLAIN)}, seed=seed, exploring=False)  # type: ignore[arg-type]
    parts.learner.order_budget = Unlimited()
    pipeline = InProcess(parts, FoldPolicy(actions={"click": 1.0}, events_per_day=EVENTS_A_DAY), n=k)
    newest: dict[int, list[str]] = {}
    tally = SlateTally(k)
    for event, wire in zip(events, wire_events(events), strict=True):
        tally.score(event, newest.get(event.user))
        pipeline.event(wire)
        if pipeline.fresh is not None and pipeline.fresh.items:
            newest[event.user] = [item.item_id for item in pipeline.fresh.items]
    return tally
