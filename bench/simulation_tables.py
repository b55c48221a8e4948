"""Tables of the simulated world, made of results that ``python -m bench.simulation`` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.render import Result, markdown, share, table

RUNS = ("simulate-seed-0", "simulate-seed-1", "simulate-seed-2")
ARMS = ("policy", "popular", "random", "oracle")
OWN_VISITS = ("1-2", "3-5", "6-10", "11-20", "21+")


def _figure(value: float | None, digits: int = 3) -> str:
    return "never" if value is None else share(value, digits)


@table("simulate-rates", *RUNS)
def rates(*runs: Result) -> str:
    """Expected click rates of slates, by seed."""
    rows = []
    for run in runs:
        for name, told in (
            ("an hour", run),
            ("a new deployment, 40 to 60 s", run["new_deployment"]["last_20_s"]),
        ):
            rates_ = [share(told[f"ctr_{arm}"]) for arm in ARMS]
            rows.append([f"seed {run['seed']}, {name}", *rates_, f"{told['times_popular']:.2f}"])
    return markdown(["click rate of", "freshet", "popular", "random", "oracle", "times popular"], rows)


@table("simulate-by-clicks", RUNS[0])
def by_clicks(run: Result) -> str:
    """Cold users: click rates by how much is known of the user."""
    rows = [
        [name, f"{told['visits']:,}", *[share(told[f"ctr_{arm}"]) for arm in ARMS]]
        for name, told in run["by_clicks"].items()
    ]
    return markdown(["items clicked before", "slates", "freshet", "popular", "random", "oracle"], rows)


@table("simulate-shift", *RUNS)
def shift(*runs: Result) -> str:
    """Recovery of users whose tastes shifted, early and late in the stream."""
    rows = []
    for run in runs:
        for name, told in run["recovery"].items():
            visits = ["never" if v is None else f"{v:,}" for v in
                      (told["visits_to_half"], told["visits_to_90_percent"])]  # fmt: skip
            own = told["by_own_visits"]
            shares = [share(own[at]["share"]) if at in own else "" for at in OWN_VISITS]
            rows.append([f"seed {run['seed']}, {name}", _figure(told["before"]), *shares, *visits])
    head = ["shift", "of the oracle before", *[f"visits {at}" for at in OWN_VISITS]]
    return markdown([*head, "all visits to half", "to nine tenths"], rows)


@table("simulate-calibration", *RUNS)
def calibration(*runs: Result) -> str:
    """Predicted over observed, and what the click head knows beyond an item's click rate."""
    rows = []
    for run in runs:
        kept, entropy = run["calibration"], run["normalised_entropy"]
        spans = [[v for v in values if v is not None] for values in
                 (kept["by_decile"], kept["by_position"].values())]  # fmt: skip
        rows.append(
            [f"seed {run['seed']}", share(kept["overall"]), *[f"{min(s):.2f} to {max(s):.2f}" for s in spans],
             share(entropy["model"]), f"{entropy['gain']:.1%}", f"{entropy['gain_over_position']:.1%}"]
        )  # fmt: skip
    pooled = _pooled([run["calibration"] for run in runs])
    rows.append(["deciles of all together", "", f"{min(pooled):.2f} to {max(pooled):.2f}", *[""] * 4])
    head = [
        "predicted / observed", "overall", "deciles", "positions", "normalised entropy",
        "below the item's click rate", "below item and position",
    ]  # fmt: skip
    return markdown(head, rows)


def _pooled(told: Sequence[Mapping[str, Any]]) -> list[float]:
    """Predicted over observed by decile, of several runs together: sums over sums.

    >>> one, other = {"by_decile": [0.5, None], "decile_clicks": [30, 0]}, {"by_decile": [1.0], "decile_clicks": [10]}
    >>> _pooled([one, other | {"by_decile": [1.0, 1.2], "decile_clicks": [10, 5]}])
    [0.625, 1.2]
    """
    deciles = range(max(len(one["decile_clicks"]) for one in told))
    clicks = [sum(one["decile_clicks"][k] for one in told) for k in deciles]
    predicted = [sum((one["by_decile"][k] or 0.0) * one["decile_clicks"][k] for one in told) for k in deciles]
    return [p / n for p, n in zip(predicted, clicks, strict=True) if n]


@table("simulate-new-items", *RUNS)
def new_items(*runs: Result) -> str:
    """New items' share of what is shown, beside their share of what there is."""
    rows = [
        [f"seed {run['seed']}", *[share(run["new_items"][name]) for name in
         ("share_of_exposure", "share_of_exposure_lately", "share_of_catalogue")]]
        for run in runs
    ]  # fmt: skip
    return markdown(["new items", "of all slots", "of the last fifth", "of the catalogue then"], rows)


@table("through-kafka", "simulate-through-kafka")
def through_kafka(told: Result) -> str:
    """The same replay in process and through Kafka."""
    rows = [
        [name, share(told[arm]["recall"], 4), str(told[arm]["hits"]), str(told[arm]["scored"])]
        for name, arm in (("in process", "in_process"), ("through Kafka, Faust and Redis", "kafka"))
    ]
    return markdown(["MovieLens 100k, slates of 10", "Recall@10", "hits", "scored"], rows)
