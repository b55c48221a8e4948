"""The price of staleness: the same stream with what is learnt made visible at intervals only.

Learning is buffered and takes effect when stream time enters the next interval, counted from the first event; a user's
own history is always current. So the figures tell what fresh *learning* is worth, apart from fresh histories (compare
Table 2 of Monolith: Liu et al., 2022). The ordering head learns from the candidates as they were shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.datasets import Dataset
from evaluation.plots import check_plot, plot_steps
from evaluation.prequential import ModelFactory, default_model
from evaluation.protocol import NOT_HELD, Event, Mode, events_of, replay
from online_models.base import Ids, Interaction, Query
from online_models.candidates import Candidates
from online_models.metrics import rank_of
from online_models.model import Model

INTERVALS: Mapping[str, int] = {
    "every event": 0, "1 s": 1_000, "1 min": 60_000, "10 min": 600_000, "5 h": 18_000_000, "1 day": 86_400_000,
}  # fmt: skip
"""In ms of stream time; 0 for no delay."""


class DelayedArm:
    """A model that learns when its interval has passed, not before.

    Args:
        interval_ms: of stream time, at least 0; 0 learns at once.
        n: candidates of a request.

    >>> arm = DelayedArm(Model(), interval_ms=10)
    >>> for ts in (0, 9, 10):
    ...     arm.reach(ts)
    ...     arm.learn(Interaction(user=1, item=ts, ts=ts))
    >>> arm.syncs, arm.model.popular(5, now=10)[0].tolist()
    (1, [9, 0])
    """

    def __init__(self, model: Model, *, interval_ms: int, n: int = 200) -> None:
        if interval_ms < 0 or n < 1:
            raise ValueError(f"interval_ms must be at least 0 and n at least 1, not {interval_ms} and {n}")
        self.model, self.interval_ms, self.n = model, interval_ms, n
        self.syncs = 0
        self._first: int | None = None
        self._interval = 0
        self._shown: Candidates | None = None
        self._waiting: list[tuple[Candidates | None, Interaction]] = []

    def reach(self, ts: int) -> None:
        """Stream time is ``ts``: what waited is learnt when a new interval has begun."""
        if self._first is None:
            self._first = ts
        now = (ts - self._first) // self.interval_ms if self.interval_ms else self._interval + 1
        if now > self._interval:
            self._interval = now
            self._sync()

    def _sync(self) -> None:
        self.syncs += bool(self._waiting)
        for shown, x in self._waiting:
            if shown is not None:
                self.model.learn_order(shown, x.item)
            self.model.learn_one(x)
        self._waiting.clear()

    def rank(self, query: Query, target: int, exclude: Ids) -> float:
        """See :class:`evaluation.protocol.Arm`."""
        self._shown = self.model.candidates(query, self.n, exclude=exclude)
        at = self._shown.place(target)
        return NOT_HELD if at is None else rank_of(self.model.order(self._shown), at)

    def learn(self, x: Interaction) -> None:
        """See :class:`evaluation.protocol.Arm`; it takes effect later."""
        # candidates without the target teach nothing, and waiting ones take memory
        held = self._shown if self._shown is not None and self._shown.place(x.item) is not None else None
        self._waiting.append((held, x))
        self._shown = None


@dataclass(frozen=True, slots=True)
class SyncReport:
    """Quality at one interval; shares are of scored events."""

    interval_ms: int
    recall: float  # at 10 for ratings, at 20 for sessions
    mrr: float
    relative: float  # recall against that of no delay
    syncs: int


def staleness(
    events: Sequence[Event],
    model_factory: ModelFactory = default_model,
    *,
    intervals: Mapping[str, int] = INTERVALS,
    k: int = 10,
    exclude_history: bool = True,
    mode: Mode = "request",
    seed: int = 0,
) -> dict[str, SyncReport]:
    """One pass for each interval; ``relative`` is against the first.

    >>> events = [Event(u, i, 10 * u + i) for u in range(30) for i in range(4)]
    >>> {name: r.recall for name, r in staleness(events, intervals={"none": 0, "an hour": 3_600_000}).items()}
    {'none': 1.0, 'an hour': 0.0}
    """
    out: dict[str, SyncReport] = {}
    for name, interval_ms in intervals.items():
        arm = DelayedArm(model_factory(seed), interval_ms=interval_ms)
        tally = replay(
            events, {"a": arm}, k=k, mode=mode, exclude_history=exclude_history,
            before=lambda event, arm=arm: arm.reach(event.ts),  # type: ignore[misc]
        )["a"]  # fmt: skip
        recall = tally.recall()
        first = next(iter(out.values())).recall if out else recall
        relative = recall / first if first else 0.0
        out[name] = SyncReport(interval_ms, recall, tally.mrr(k), relative, arm.syncs)
    return out


def run(
    dataset: Dataset,
    *,
    min_rating: float | None = None,
    mode: Mode = "request",
    limit: int | None = None,
    plot: Path | None = None,
    model_factory: ModelFactory = default_model,
    seed: int = 0,
) -> dict[str, Any]:
    """A data set's figures by interval: Recall@10 of ratings, HR@20 of clicks in sessions.

    Raises:
        DatasetError: the data set holds no ratings or sessions.
        PlotUnavailable: the plot could not be drawn.
    """
    check_plot(plot)
    events = events_of(dataset, min_rating=min_rating, limit=limit)
    ratings = dataset.kind == "ratings"
    reports = staleness(
        events, model_factory, k=10 if ratings else 20, exclude_history=ratings, mode=mode, seed=seed
    )
    metric = "Recall@10" if ratings else "HR@20"
    if plot is not None:
        values = {name: report.recall for name, report in reports.items()}
        plot_steps(values, plot, xlabel="what is learnt is visible every", ylabel=metric)
    told = {name: asdict(report) for name, report in reports.items()}
    return {"mode": mode, "metric": metric, "events": len(events), "by_interval": told}
