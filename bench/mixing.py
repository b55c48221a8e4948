"""What mixing costs: quality of 1, 2 and 4 workers that tell each other what they learnt now and then.

    python -m bench.mixing --by events|time [--limit EVENTS] [--processes N]

In process, on MovieLens 100k (ratings of 5), test then learn. Users are dealt to workers by a hash, as partitions are.
Each worker has a model of its own and learns its users' events at once. Every ``interval`` events of its own, or every
``interval_ms`` of the stream's time, it hands over what `streams.replica` would put into a delta: its interactions, and
the gradient sums of its ordering head. The others learn the interactions and merge the sums when the delta comes. All
arms rank the same events, so that differences are paired.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bench import report
from evaluation.datasets import open_dataset
from evaluation.protocol import NOT_HELD, Event, Tally, events_of, replay
from online_models.base import Ids, Interaction, Query
from online_models.candidates import Candidates
from online_models.identity import hash64
from online_models.metrics import rank_of
from online_models.model import Model

DATA = Path(os.environ.get("FRESHET_DATA", Path(__file__).parents[2] / "shared" / "data"))
WORKERS = (2, 4)
INTERVALS = (25, 100, 250, 1_000, 5_000)
INTERVALS_MS = {"1 s": 1_000, "10 s": 10_000, "1 min": 60_000, "10 min": 600_000, "1 h": 3_600_000}
K = 10


class Mixing:
    """Workers that learn side by side and mix (an arm of :func:`evaluation.protocol.replay`).

    Args:
        workers: how many, at least 1.
        interval: a worker's own events between two of its deltas, at least 1; None for no matter how many.
        interval_ms: of the stream's time between them; None for no matter how long.

    >>> arm = Mixing(2, interval=1)
    >>> arm.learn(Interaction(user=1, item=7, ts=0))
    >>> [model.popular(1, now=0)[0].tolist() for model in arm.models]
    [[7], [7]]
    """

    def __init__(
        self, workers: int, *, interval: int | None = 100, interval_ms: int | None = None, seed: int = 0
    ) -> None:
        if workers < 1 or (interval or 1) < 1 or (interval_ms or 1) < 1:
            raise ValueError(
                f"workers and intervals must be at least 1: {workers}, {interval}, {interval_ms}"
            )
        self.models = [Model(seed=seed) for _ in range(workers)]
        self.interval, self.interval_ms = interval, interval_ms
        self.deltas = 0
        self._untold: list[list[Interaction]] = [[] for _ in range(workers)]
        self._told_at = 0
        self._shown: Candidates | None = None

    def _owner(self, user: int) -> int:
        return hash64(str(user)) % len(self.models)

    def rank(self, query: Query, target: int, exclude: Ids) -> float:
        """The target's rank by the worker that owns the user."""
        self._reach(query.now)
        model = self.models[self._owner(query.user)]
        self._shown = model.candidates(query, 200, exclude=exclude)
        at = self._shown.place(target)
        return NOT_HELD if at is None else rank_of(model.order(self._shown), at)

    def learn(self, x: Interaction) -> None:
        """The owner learns at once, the others when it next tells."""
        self._reach(x.ts)
        own = self._owner(x.user)
        if self._shown is not None:
            self.models[own].learn_order(self._shown, x.item)
        self._shown = None
        self.models[own].learn_one(x)
        self._untold[own].append(x)
        if self.interval is not None and len(self._untold[own]) >= self.interval:
            self._tell(own)

    def _reach(self, ts: int) -> None:
        """Stream time goes on: who has something to tell, and whose interval is over, tells it."""
        if self.interval_ms is None or ts // self.interval_ms <= self._told_at:
            return
        self._told_at = ts // self.interval_ms
        for own, untold in enumerate(self._untold):
            if untold:
                self._tell(own)

    def _tell(self, own: int) -> None:
        told, self._untold[own] = self._untold[own], []
        gradients = self.models[own].take_delta()
        self.deltas += 1
        for other, model in enumerate(self.models):
            if other == own:
                continue
            for x in told:
                model.learn_one(x)
            if gradients and not model.merge(gradients):
                raise RuntimeError("the gradients of a worker were refused")


def arms(seed: int = 0) -> dict[str, Mixing]:
    """One worker alone, and every number of workers at every interval in events."""
    several = {
        f"{w} workers, {n:,} events": Mixing(w, interval=n, seed=seed) for w in WORKERS for n in INTERVALS
    }
    return {"1 worker": Mixing(1, seed=seed), **several}


def arms_by_time(seed: int = 0) -> dict[str, Mixing]:
    """The same at every interval in the stream's time, however many events it has."""
    several = {
        f"{w} workers, {name}": Mixing(w, interval=None, interval_ms=ms, seed=seed)
        for w in WORKERS
        for name, ms in INTERVALS_MS.items()
    }
    return {"1 worker": Mixing(1, seed=seed), **several}


def compare(tallies: Mapping[str, Tally]) -> dict[str, dict[str, Any]]:
    """Recall@10 of each arm, and its paired difference from the first with its standard error."""
    alone = _hits(next(iter(tallies.values())))
    out: dict[str, dict[str, Any]] = {}
    for name, tally in tallies.items():
        difference = _hits(tally) - alone
        recall = tally.recall()
        error = float(difference.std(ddof=1) / np.sqrt(len(difference)))
        bound = max(0.02 * float(alone.mean()), 2.0 * error)
        out[name] = {
            "recall_at_10": recall, "mrr": tally.mrr(), "difference": float(difference.mean()),
            "standard_error": error, "bound": bound, "within": bool(difference.mean() >= -bound),
        }  # fmt: skip
    return out


def _hits(tally: Tally) -> np.ndarray[Any, np.dtype[np.float64]]:
    return (np.array(tally.ranks) < K).astype(np.float64)


def run(events: Sequence[Event], made: Mapping[str, Mixing], processes: int | None = None) -> dict[str, Any]:
    """The figures of all arms over one stream, each in a process of its own."""
    with ProcessPoolExecutor(processes) as pool:
        passes = {name: pool.submit(_pass, arm, events) for name, arm in made.items()}
        done = {name: one.result() for name, one in passes.items()}
    told = compare({name: tally for name, (tally, _) in done.items()})
    for name, (_, deltas) in done.items():
        arm = made[name]
        told[name] |= {"workers": len(arm.models), "interval": arm.interval, "interval_ms": arm.interval_ms}
        told[name]["deltas"] = deltas
    return {
        "data": "MovieLens 100k, ratings of 5",
        "events": len(events),
        "arms": told,
    }


def _pass(arm: Mixing, events: Sequence[Event]) -> tuple[Tally, int]:
    return replay(events, {"": arm}, k=K)[""], arm.deltas


def main() -> None:
    """Measure, print, and keep the figures of a whole pass."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--by", choices=("events", "time"), default="events")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--processes", type=int, default=None)
    asked = parser.parse_args()
    events = events_of(open_dataset(DATA / "ml-100k.inter.gz"), min_rating=5.0, limit=asked.limit or None)
    made = arms() if asked.by == "events" else arms_by_time()
    result = {
        "benchmark": "mixing" if asked.by == "events" else "mixing_time",
        **run(events, made, asked.processes),
    }
    if not asked.limit:
        report.keep(result)
    for name, row in result["arms"].items():
        print(
            f"{name:26} recall@10 {row['recall_at_10']:.4f}  {row['difference']:+.4f} "
            f"(s.e. {row['standard_error']:.4f}, bound {row['bound']:.4f}) {'within' if row['within'] else 'BEYOND'}"
        )


if __name__ == "__main__":
    main()
