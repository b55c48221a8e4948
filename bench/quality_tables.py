"""The tables of docs/quality.md, each made of results that ``python -m bench.quality`` writes."""

from __future__ import annotations

from bench.render import Result, markdown, share, table

BASELINES = {"popularity": "popularity", "isgd": "ISGD", "item_item_last_5": "item-item, last 5 items"}


def _deviation(result: Result, name: str, digits: int = 4) -> str:
    return f"{share(result[name], digits)} ± {share(result[f'{name}_sd'], digits)}"


@table("reached-movielens", "quality-movielens", "quality-movielens-at-event")
def reached_movielens(told: Result, at_event: Result) -> str:
    """What was reached on ratings, beside baselines."""
    rows = [[_baseline(name), share(value, 4), "", ""] for name, value in told["baselines"].items()]
    name, value = next(iter(told["by_source"].items()))
    rows.append([f"best single source ({name})", share(value, 4), "", ""])
    rows.append(
        ["**freshet**, five seeds", _deviation(told, "recall_at_10"), _deviation(told, "dcg_at_10"),
         _deviation(told, "mrr")]
    )  # fmt: skip
    rows.append(["last 80 % of the stream", share(told["recall_at_10_last_80"], 4), "", ""])
    rows.append(["unscored events as misses", share(told["recall_at_10_all"], 4), "", ""])
    rows.append(
        ["features at the event", share(at_event["recall_at_10"], 4), share(at_event["dcg_at_10"], 4),
         share(at_event["mrr"], 4)]
    )  # fmt: skip
    shuffled = told["tie_shuffles"]
    rows.append(
        [f"ties in random order, {shuffled['n']} shuffles", _deviation(shuffled, "recall_at_10"), "", ""]
    )
    return markdown(["MovieLens 100k, ratings of 5", "Recall@10", "DCG@10", "MRR"], rows)


@table("reached-yoochoose", "quality-yoochoose", "quality-yoochoose-at-event")
def reached_yoochoose(told: Result, at_event: Result) -> str:
    """What was reached on sessions, beside baselines."""
    pairs = {_baseline(name): values for name, values in told["baselines"].items()}
    best = max(told["by_source"], key=lambda name: told["by_source"][name][0])
    pairs[f"best single source ({best})"] = told["by_source"][best]
    rows = [[name, share(hr, 4), share(mrr, 4)] for name, (hr, mrr) in pairs.items()]
    rows.append(["**freshet**, five seeds", _deviation(told, "hr_at_20"), _deviation(told, "mrr_at_20")])
    rows.append(["last 80 % of the stream", share(told["hr_at_20_last_80"], 4), ""])
    rows.append(["features at the event", share(at_event["hr_at_20"], 4), share(at_event["mrr_at_20"], 4)])
    return markdown(["Yoochoose sample", "HR@20", "MRR@20"], rows)


def _baseline(name: str) -> str:
    if name.startswith("ease_refitted_every_"):
        return f"EASE, refitted every {int(name.rsplit('_', 1)[1]):,} events"
    return BASELINES.get(name, name)


@table("by-source", "quality-movielens", "quality-yoochoose")
def by_source(movielens: Result, yoochoose: Result) -> str:
    """Each source ranked alone."""
    rows = [
        [name, share(value), *[share(v) for v in yoochoose["by_source"][name]]]
        for name, value in movielens["by_source"].items()
    ]
    return markdown(["source alone", "MovieLens Recall@10", "Yoochoose HR@20", "MRR@20"], rows)


@table("by-fifth", "quality-movielens", "quality-yoochoose")
def by_fifth(movielens: Result, yoochoose: Result) -> str:
    """freshet and its best single source in each fifth of a stream."""
    rows = []
    for name, told in (("MovieLens", movielens), ("Yoochoose", yoochoose)):
        rows.append([f"{name}: freshet", *[share(v) for v in told["by_fifth"]]])
        rows.append([f"{name}: best single source", *[share(v) for v in told["best_source_by_fifth"]]])
    return markdown(["fifth of the stream", "1", "2", "3", "4", "5"], rows)


@table("by-gap", "quality-movielens", "quality-yoochoose")
def by_gap(movielens: Result, yoochoose: Result) -> str:
    """By the time since the user's previous event."""
    rows = [
        [gap, share(value), share(yoochoose["by_gap"].get(gap, 0.0))]
        for gap, value in movielens["by_gap"].items()
    ]
    return markdown(["time since the previous event", "MovieLens Recall@10", "Yoochoose HR@20"], rows)


@table("candidates", "quality-movielens", "quality-yoochoose")
def candidates(movielens: Result, yoochoose: Result) -> str:
    """How often the target is among the candidates."""
    held = movielens["candidate_recall_by_n"]
    rows = [[f"MovieLens, {n} candidates", share(value)] for n, value in held.items()]
    rows.append(["Yoochoose, 200 candidates", share(yoochoose["candidate_recall"])])
    return markdown(["", "candidates hold the target"], rows)


@table("ablation", "quality-ablation-movielens", "quality-ablation-yoochoose", "quality-cost-movielens",
       "quality-cost-yoochoose")  # fmt: skip
def ablation(movielens: Result, yoochoose: Result, base_ml: Result, base_yoo: Result) -> str:
    """What each part is worth: quality without it, and the loss."""
    whole, whole_hr = base_ml["default"], base_yoo["default"]
    rows = [["nothing", share(whole["recall_at_10"], 4), "", share(whole_hr["hr_at_20"], 4), ""]]
    for part, told in _parts(movielens):
        lost = whole["recall_at_10"] - told["recall_at_10"]
        hr = yoochoose[part]["hr_at_20"]
        rows.append(
            [
                part,
                share(told["recall_at_10"], 4),
                share(-lost, 4),
                share(hr, 4),
                share(hr - whole_hr["hr_at_20"], 4),
            ]
        )
    return markdown(["left out", "MovieLens Recall@10", "", "Yoochoose HR@20", ""], rows)


def _parts(result: Result) -> list[tuple[str, Result]]:
    """The entries of a result that are figures of variants, not what the run was."""
    return [(name, told) for name, told in result.items() if isinstance(told, dict)]


@table("pruning", "quality-pruning-movielens")
def pruning(told: Result) -> str:
    """Recall by neighbours kept, and what is lost against the widest lists."""
    widest = told["400"]["recall_at_10"]
    rows = [
        [width, share(kept["recall_at_10"], 4), share(kept["recall_at_10"] - widest, 4),
         share(kept["candidate_recall"])]
        for width, kept in _parts(told)
    ]  # fmt: skip
    return markdown(
        ["neighbours kept per item", "Recall@10", "against 400", "candidates hold the target"], rows
    )


@table("staleness", "quality-sync-movielens", "quality-sync-yoochoose")
def staleness(movielens: Result, yoochoose: Result) -> str:
    """The price of staleness."""
    rows = []
    for name, told in movielens["by_interval"].items():
        other = yoochoose["by_interval"][name]
        rows.append([name, *[f(r) for r in (told, other) for f in (_recall, _relative)], share(other["mrr"])])
    head = ["learnt state visible every", "MovieLens Recall@10", "", "Yoochoose HR@20", "", "MRR@20"]
    return markdown(head, rows)


def _recall(report: Result) -> str:
    return share(report["recall"], 4)


def _relative(report: Result) -> str:
    return f"{report['relative']:.1%}"


@table("cost", "quality-cost-movielens", "quality-cost-yoochoose")
def cost(movielens: Result, yoochoose: Result) -> str:
    """Time per event of each profile, and its quality against the default."""
    rows = []
    for data, told, metric in (
        ("MovieLens", movielens, "recall_at_10"),
        ("Yoochoose", yoochoose, "hr_at_20"),
    ):
        for profile, figures in _parts(told):
            relative = figures[metric] / told["default"][metric]
            rows.append(
                [f"{data}, {profile}", f"{figures['learn_us_p50']:.0f}", f"{figures['recommend_us_p50']:.0f}",
                 share(figures[metric], 4), f"{relative:.1%}"]
            )  # fmt: skip
    head = [
        "stream and profile",
        "learn, median us",
        "recommend, median us",
        "Recall@10 or HR@20",
        "of the default",
    ]
    return markdown(head, rows)


@table("tried", "quality-tried-movielens")
def tried(told: Result) -> str:
    """What was tried and not kept, beside what was."""
    rows = [
        [name, share(figures["recall_at_10"], 4), share(figures["candidate_recall"])]
        for name, figures in _parts(told)
    ]
    return markdown(["variant", "MovieLens Recall@10", "candidates hold the target"], rows)
