"""The bubble with and without exploration: ``python -m bench.exploration`` (about half an hour), a JSON and pictures.

``--visits`` and ``--seeds`` make it shorter, ``--draw`` only draws the picture anew from what was measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import orjson

from bench.quality import RESULTS
from evaluation import exploration
from evaluation.plots import check_plot, plot_panels

NAME = "exploration"
CATALOGUES: dict[str, dict[str, Any]] = {
    "described": {},
    "ids-only": {
        "described": False,
        "users": 300,
        "items": 400,
        "new_items": 80,
        "new_item_every_ms": 20_000,
    },
}
"""With titles and tags; and a smaller one of which nothing is known but who acted on what."""
PANELS = {
    "coverage": "share of the catalogue shown, by window",
    "gini": "Gini of exposures, by window",
    "diversity": "difference within a slate",
    "novelty": "novelty of what is shown, bits",
    "ever_shown": "share of the catalogue shown until then",
    "click_rate": "expected clicks a slot",
}


def measure(seeds: Sequence[int], visits: int) -> dict[str, Any]:
    """All seeds of both catalogues, one after the other."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CATALOGUES}
    for name, world in CATALOGUES.items():
        for seed in seeds:
            runs[name].append(exploration.run(seed=seed, visits=visits, **world))
            print(f"{name}, seed {seed}", flush=True)
    return {"job": NAME, "visits": visits, "runs": runs}


def draw(told: dict[str, Any]) -> None:
    """A picture a catalogue, one panel a figure, one line an arm and seed, over the minutes of the world."""
    for name, runs in told["runs"].items():
        minutes = [window["until_s"] / 60.0 for window in runs[0]["arms"]["exploring"]]
        panels = {
            title: {arm: [[w[figure] for w in run["arms"][arm]] for run in runs] for arm in exploration.ARMS}
            for figure, title in PANELS.items()
        }
        plot_panels(minutes, panels, RESULTS / f"{NAME}-{name}.svg", xlabel="minutes")


def main() -> None:
    """Measure, keep, draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.exploration", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--visits", type=int, default=6_000)
    parser.add_argument("--draw", action="store_true", help="only the picture, from the result that is there")
    asked = parser.parse_args()
    check_plot(RESULTS / f"{NAME}-described.svg")
    file = RESULTS / f"{NAME}.json"
    if not asked.draw:
        told = measure(range(asked.seeds), asked.visits)
        file.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    draw(orjson.loads(file.read_bytes()))


if __name__ == "__main__":
    main()
