"""Figures of the simulated world, one JSON file each: ``python -m bench.simulation all`` (about ten minutes).

``simulate-seed-N`` is ``freshet evaluate simulate --seed N``; ``simulate-through-kafka`` the replay of 5,000 ratings
through a broker, Redis and a worker beside the same in process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from bench.quality import RESULTS, movielens
from evaluation import simulation
from evaluation.protocol import events_of
from streams import through_kafka

SEEDS = (0, 1, 2)
VISITS = 10_000
EVENTS = 5_000


def through() -> dict[str, Any]:
    """The first ratings of 5 of MovieLens 100k, in process and through Kafka."""
    return through_kafka.run(events_of(movielens(), min_rating=5.0, limit=EVENTS), k=10)


def _simulated(seed: int) -> dict[str, Any]:
    plot = RESULTS / "simulate.svg" if seed == SEEDS[0] else None
    return simulation.run(seed=seed, visits=VISITS, plot=plot)


JOBS: dict[str, Callable[[], dict[str, Any]]] = {
    **{f"seed-{seed}": partial(_simulated, seed) for seed in SEEDS},
    "through-kafka": through,
}


def main(names: list[str]) -> None:
    """Run some jobs, or ``all``."""
    unknown = sorted(set(names) - {*JOBS, "all"})
    if unknown or not names:
        sys.exit(f"usage: python -m bench.simulation all | {' | '.join(JOBS)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in JOBS if "all" in names else names:
        option = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
        file = RESULTS / f"simulate-{name}.json"
        file.write_bytes(orjson.dumps({"job": name, **JOBS[name]()}, option=option))
        print(file.name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
