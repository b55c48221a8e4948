"""Quality figures of docs/quality.md, one JSON file each: ``python -m bench.quality all`` (about an hour on one core).

The data are found under ``FRESHET_DATA`` (default ``../shared/data``); results go to ``bench/results``.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from evaluation import prequential, sessions, sync
from evaluation.datasets import Dataset, open_dataset
from evaluation.protocol import events_of
from online_models.model import FLOOR, Model
from online_models.ordering import OrderingHead

DATA = Path(os.environ.get("FRESHET_DATA", Path(__file__).parents[2] / "shared" / "data"))
RESULTS = Path(__file__).parent / "results"
PARTS = ("covisits", "neighbours", "popularity", "embedding", "fresh")


def movielens() -> Dataset:
    """MovieLens 100k; ratings of 5 are positive."""
    return open_dataset(DATA / "ml-100k.inter.gz")


def yoochoose() -> Dataset:
    """The Yoochoose sample, both files."""
    return open_dataset(DATA / "yoochoose-clicks-100k_train_full.txt.gz")


def without(part: str, seed: int) -> Model:
    """A model that lacks one family of sources."""
    return Model(seed=seed, without=(part,))


def ablation(which: str) -> dict[str, Any]:
    """Quality with each part left out."""
    lacking: dict[str, Callable[[int], Model]] = {part: partial(without, part) for part in PARTS}
    lacking["hidden layer"] = lambda seed: Model(seed=seed, hidden=0)
    return {part: _short(which, make) for part, make in lacking.items()}


def pruning(which: str) -> dict[str, Any]:
    """Quality by how many neighbours the co-visit lists keep."""
    return {str(width): _short(which, partial(_wide, width)) for width in (50, 100, 200, 400)}


def _wide(width: int, seed: int) -> Model:
    return Model(seed=seed, width=width)


def tried(which: str) -> dict[str, Any]:
    """Quality of what was tried and not kept, beside what was."""
    variants: dict[str, Callable[[int], Model]] = {
        "as shipped": lambda seed: Model(seed=seed),
        "hidden layer of 64": lambda seed: Model(seed=seed, hidden=64),
        "ordering rate 0.005": partial(_ordering, rate=0.005),
        "ordering rate 0.1": partial(_ordering, rate=0.1),
        "ordering that starts from nothing": partial(_ordering, floor={}),
        "Adagrad that never forgets": partial(_ordering, half_life=1e12),
        "Adagrad that forgets in 5,000 examples": partial(_ordering, half_life=5e3),
        "32 holders an item": lambda seed: Model(seed=seed, holders=32),
    }
    return {name: _short(which, make) for name, make in variants.items()}


def _ordering(seed: int, **options: Any) -> Model:
    model = Model(seed=seed)
    floor = {name: weight for name, weight in FLOOR.items() if name in model.schema.names}
    model.head = OrderingHead(model.schema, **{"floor": floor, "seed": seed, **options})
    return model


def cost(which: str) -> dict[str, Any]:
    """Time per event of each profile, with nothing else in the same pass, and what its quality is."""
    return {profile: _short(which, make, times=True) for profile, make in prequential.PROFILES.items()}


def _short(which: str, make: Callable[[int], Model], *, times: bool = False) -> dict[str, Any]:
    names = ["candidate_recall", *(["learn_us_p50", "recommend_us_p50"] if times else [])]
    if which == "movielens":
        events = events_of(movielens(), min_rating=5.0)
        report: Any = prequential.prequential(events, make, sources=False)
        names += ["recall_at_10"]
    else:
        report = sessions.sessions(events_of(yoochoose()), make, sources=False)
        names += ["hr_at_20", "mrr_at_20"]
    return {name: getattr(report, name) for name in names}


JOBS: dict[str, Callable[[], dict[str, Any]]] = {
    "movielens": lambda: prequential.run(
        movielens(),
        min_rating=5.0,
        seeds=5,
        shuffles=5,
        baselines=True,
        plot=RESULTS / "quality-movielens.svg",
    ),
    "movielens-at-event": lambda: prequential.run(movielens(), min_rating=5.0, mode="at-event"),
    "yoochoose": lambda: sessions.run(
        yoochoose(), seeds=5, baselines=True, plot=RESULTS / "quality-yoochoose.svg"
    ),
    "yoochoose-at-event": lambda: sessions.run(yoochoose(), mode="at-event"),
    "lean-movielens": lambda: prequential.run(movielens(), min_rating=5.0, model_factory=Model.lean),
    "lean-yoochoose": lambda: sessions.run(yoochoose(), model_factory=Model.lean),
    "ablation-movielens": lambda: ablation("movielens"),
    "ablation-yoochoose": lambda: ablation("yoochoose"),
    "pruning-movielens": lambda: pruning("movielens"),
    "tried-movielens": lambda: tried("movielens"),
    "cost-movielens": lambda: cost("movielens"),
    "cost-yoochoose": lambda: cost("yoochoose"),
    "sync-movielens": lambda: sync.run(
        movielens(), min_rating=5.0, plot=RESULTS / "quality-sync-movielens.svg"
    ),
    "sync-yoochoose": lambda: sync.run(yoochoose(), plot=RESULTS / "quality-sync-yoochoose.svg"),
}


def main(names: list[str]) -> None:
    """Run some jobs, or ``all``."""
    unknown = sorted(set(names) - {*JOBS, "all"})
    if unknown or not names:
        sys.exit(f"usage: python -m bench.quality all | {' | '.join(JOBS)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    machine = {"python": platform.python_version(), "numpy": np.__version__, "machine": platform.machine()}
    for name in JOBS if "all" in names else names:
        told = JOBS[name]()
        file = RESULTS / f"quality-{name}.json"
        file.write_bytes(orjson.dumps({"job": name, **machine, **told}, option=orjson.OPT_INDENT_2))
        print(
            f"{file.name}: {[f'{k} {v:.4f}' for k, v in told.items() if isinstance(v, float)][:4]}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
