"""Recommendations on rating streams, test then learn: Recall@10 and its kin (see :mod:`evaluation.protocol`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.baselines import baselines as all_baselines
from evaluation.datasets import Dataset
from evaluation.plots import check_plot, plot_curves
from evaluation.protocol import Arm, Event, Mode, ModelArm, Tally, events_of, replay
from evaluation.shuffles import tie_shuffled
from online_models.model import Model

ModelFactory = Callable[[int], Model]
K = 10


def default_model(seed: int) -> Model:
    """The model as shipped: one configuration for all streams."""
    return Model(seed=seed)


PROFILES: dict[str, ModelFactory] = {"default": default_model, "lean": Model.lean}
"""Models by the name of a trade of quality against time."""


@dataclass(frozen=True, slots=True)
class PrequentialReport:
    """Quality and cost of one pass; shares are of scored events unless said otherwise, times are medians."""

    recall_at_10: float
    dcg_at_10: float
    mrr: float
    recall_at_10_all: float  # of all events, unscored ones being misses
    recall_at_10_last_80: float
    events: int
    scored: int
    candidate_recall: float  # targets among the candidates
    candidate_recall_by_n: dict[str, float]
    learn_us_p50: float
    recommend_us_p50: float
    by_source: dict[str, float]
    by_fifth: list[float]
    best_source_by_fifth: list[float]
    by_gap: dict[str, float]
    baselines: dict[str, float] = field(default_factory=dict)


def prequential(
    events: Sequence[Event],
    model_factory: ModelFactory = default_model,
    *,
    mode: Mode = "request",
    seed: int = 0,
    sources: bool = True,
    others: dict[str, Arm] | None = None,
    plot: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> PrequentialReport:
    """One pass over a rating stream.

    Args:
        model_factory: makes the model from a seed.
        sources: whether each source is ranked alone too (twice the time).
        others: baselines run beside it.
        plot: where to draw the windowed curve.

    >>> events = [Event(u, i, 10 * u + i) for u in range(30) for i in range(4)]
    >>> report = prequential(events)
    >>> report.scored, report.recall_at_10
    (87, 1.0)
    """
    arm = ModelArm(model_factory(seed), sources=sources)
    tallies = replay(events, {"freshet": arm, **(others or {})}, k=K, mode=mode, progress=progress)
    own = tallies["freshet"]
    if plot is not None:
        plot_curves({name: tally.ranks for name, tally in tallies.items()}, K, plot, "Recall@10")
    return _report(own, arm, {name: tallies[name].recall() for name in others or {}})


def _report(own: Tally, arm: ModelArm, others: dict[str, float]) -> PrequentialReport:
    scored = len(own.ranks)
    by_source = {name: Tally(K, own.events, ranks) for name, ranks in arm.by_source.items()}
    single = {name: tally.recall() for name, tally in by_source.items()}
    fifths = np.array([tally.by_fifth() for tally in by_source.values()])
    held = {str(n): count / max(scored, 1) for n, count in arm.held.items()}
    return PrequentialReport(
        recall_at_10=own.recall(),
        dcg_at_10=own.dcg(),
        mrr=own.mrr(),
        recall_at_10_all=own.recall_all(),
        recall_at_10_last_80=own.last_80_percent(),
        events=own.events,
        scored=scored,
        candidate_recall=max(held.values(), default=0.0),
        candidate_recall_by_n=held,
        learn_us_p50=float(np.median(arm.learn_s or [0.0]) * 1e6),
        recommend_us_p50=float(np.median(arm.recommend_s or [0.0]) * 1e6),
        by_source=dict(sorted(single.items(), key=lambda s: (-s[1], s[0]))),
        by_fifth=own.by_fifth(),
        # one source for the whole stream: the best of each fifth is not known beforehand either
        best_source_by_fifth=fifths[int(np.argmax(list(single.values())))].tolist() if single else [],
        by_gap=own.by_gap(),
        baselines=others,
    )


def run(
    dataset: Dataset,
    *,
    min_rating: float | None = None,
    mode: Mode = "request",
    baselines: bool = False,
    seeds: int = 1,
    shuffles: int = 0,
    limit: int | None = None,
    plot: Path | None = None,
    model_factory: ModelFactory = default_model,
) -> dict[str, Any]:
    """A data set's figures, as one object: the first seed's report, means and deviations over the seeds.

    Args:
        min_rating: the lowest rating that counts as positive; all do when not given.
        shuffles: also passes with ties in random order; their mean is told.

    Raises:
        DatasetError: the data set holds no ratings or sessions.
        PlotUnavailable: the plot could not be drawn.
    """
    check_plot(plot)
    events = events_of(dataset, min_rating=min_rating, limit=limit)
    others = all_baselines() if baselines else None
    first = prequential(events, model_factory, mode=mode, others=others, plot=plot)
    again = [prequential(events, model_factory, mode=mode, seed=s, sources=False) for s in range(1, seeds)]
    told: dict[str, Any] = {"mode": mode, "min_rating": min_rating, **asdict(first)}
    if again:  # timed without sources and baselines beside it, which turn caches over
        told |= {name: getattr(again[0], name) for name in ("learn_us_p50", "recommend_us_p50")}
    told |= spread([first, *again], ("recall_at_10", "dcg_at_10", "mrr", "candidate_recall"))
    if shuffles:
        passes = [
            prequential(tie_shuffled(events, s), model_factory, mode=mode, seed=s, sources=False)
            for s in range(shuffles)
        ]
        told["tie_shuffles"] = {"n": shuffles} | spread(passes, ("recall_at_10",))
    return told


def spread(reports: Sequence[object], names: Sequence[str]) -> dict[str, Any]:
    """Mean of each figure over several passes, and its standard deviation under ``<name>_sd``."""
    values = {name: [float(getattr(report, name)) for report in reports] for name in names}
    means: dict[str, Any] = {name: float(np.mean(v)) for name, v in values.items()}
    return means | {f"{name}_sd": float(np.std(v, ddof=1)) for name, v in values.items() if len(v) > 1}
