"""The next click in a session, test then learn: HR@20 and MRR@20 (see :mod:`evaluation.protocol`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.baselines import baselines as all_baselines
from evaluation.datasets import Dataset
from evaluation.plots import check_plot, plot_curves
from evaluation.prequential import ModelFactory, default_model, spread
from evaluation.protocol import Arm, Event, Mode, ModelArm, Tally, events_of, replay

K = 20


@dataclass(frozen=True, slots=True)
class SessionReport:
    """Quality and cost of one pass; nothing is excluded, an item already in the session may be the next."""

    hr_at_20: float
    mrr_at_20: float
    hr_at_20_last_80: float
    events: int
    scored: int
    candidate_recall: float
    learn_us_p50: float
    recommend_us_p50: float
    by_source: dict[str, list[float]]  # HR@20, MRR@20
    by_fifth: list[float]
    best_source_by_fifth: list[float]
    by_gap: dict[str, float]
    baselines: dict[str, list[float]] = field(default_factory=dict)


def sessions(
    events: Sequence[Event],
    model_factory: ModelFactory = default_model,
    *,
    mode: Mode = "request",
    seed: int = 0,
    sources: bool = True,
    others: dict[str, Arm] | None = None,
    plot: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> SessionReport:
    """One pass over a stream of clicks in sessions; arguments as :func:`evaluation.prequential.prequential`.

    >>> events = [Event(s, i, 10 * s + k) for s in range(20) for k, i in enumerate((1, 2, 1))]
    >>> sessions(events).hr_at_20
    1.0
    """
    arm = ModelArm(model_factory(seed), sources=sources)
    arms: dict[str, Arm] = {"freshet": arm, **(others or {})}
    tallies = replay(events, arms, k=K, mode=mode, exclude_history=False, progress=progress)
    if plot is not None:
        plot_curves({name: tally.ranks for name, tally in tallies.items()}, K, plot, "HR@20")
    own = tallies.pop("freshet")
    by_source = {name: Tally(K, own.events, ranks) for name, ranks in arm.by_source.items()}
    best = max(by_source.values(), key=Tally.recall, default=None)
    return SessionReport(
        hr_at_20=own.recall(),
        mrr_at_20=own.mrr(K),
        hr_at_20_last_80=own.last_80_percent(),
        events=own.events,
        scored=len(own.ranks),
        candidate_recall=max(arm.held.values()) / max(len(own.ranks), 1),
        learn_us_p50=float(np.median(arm.learn_s or [0.0]) * 1e6),
        recommend_us_p50=float(np.median(arm.recommend_s or [0.0]) * 1e6),
        by_source={name: [t.recall(), t.mrr(K)] for name, t in by_source.items()},
        by_fifth=own.by_fifth(),
        best_source_by_fifth=best.by_fifth() if best else [],
        by_gap=own.by_gap(),
        baselines={name: [t.recall(), t.mrr(K)] for name, t in tallies.items()},
    )


def run(
    dataset: Dataset,
    *,
    mode: Mode = "request",
    baselines: bool = False,
    seeds: int = 1,
    limit: int | None = None,
    plot: Path | None = None,
    model_factory: ModelFactory = default_model,
) -> dict[str, Any]:
    """A data set's figures, as one object: the first seed's report, means and deviations over the seeds.

    Raises:
        DatasetError: the data set holds no ratings or sessions.
        PlotUnavailable: the plot could not be drawn.
    """
    check_plot(plot)
    events = events_of(dataset, limit=limit)
    others = all_baselines(refit=10_000) if baselines else None
    first = sessions(events, model_factory, mode=mode, others=others, plot=plot)
    again = [sessions(events, model_factory, mode=mode, seed=s, sources=False) for s in range(1, seeds)]
    told: dict[str, Any] = {"mode": mode, **asdict(first)}
    if again:  # timed without sources and baselines beside it, which turn caches over
        told |= {name: getattr(again[0], name) for name in ("learn_us_p50", "recommend_us_p50")}
    return told | spread([first, *again], ("hr_at_20", "mrr_at_20", "candidate_recall"))
