"""Tables of the bubble, made of what ``python -m bench.exploration`` writes."""

from __future__ import annotations

from typing import Any

from bench.render import Result, markdown, share, table

LAST = 3
"""A run's last so many windows are told."""
FIGURES = {
    "coverage": ("shown lately", 3),
    "ever_shown": ("ever shown", 3),
    "gini": ("Gini", 3),
    "diversity": ("difference within a slate", 3),
    "novelty": ("novelty, bits", 2),
    "new_share": ("slots of later items", 3),
    "click_rate": ("clicks a slot", 4),
}


@table("exploration-described", "exploration")
def described(told: Result) -> str:
    """A catalogue with titles and tags."""
    return _spread(told, "described")


@table("exploration-ids-only", "exploration")
def ids_only(told: Result) -> str:
    """A catalogue of which nothing is known but ids."""
    return _spread(told, "ids-only")


def _spread(told: Result, name: str) -> str:
    rows = []
    for run in told["runs"][name]:
        for arm, windows in run["arms"].items():
            figures = [share(_late(windows, figure), digits) for figure, (_, digits) in FIGURES.items()]
            rows.append([f"seed {run['seed']}, {arm}", *figures])
    titles = {"described": "titles and tags", "ids-only": "nothing but ids"}
    head = f"catalogue with {titles[name]}, last sixth of {told['visits']:,} slates"
    return markdown([head, *[title for title, _ in FIGURES.values()]], rows)


def _late(windows: list[dict[str, Any]], figure: str) -> float:
    held = windows[-LAST:]
    return float(sum(window[figure] for window in held) / len(held))
