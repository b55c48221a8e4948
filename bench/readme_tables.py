"""The table of quality in README.md: one line a stream, from the same results as docs/quality.md."""

from __future__ import annotations

from bench.render import Result, markdown, share, table


@table("quality", "quality-movielens", "quality-yoochoose", "quality-cost-movielens")
def quality(movielens: Result, yoochoose: Result, cost: Result) -> str:
    """freshet beside popularity, a batch model and its own best source."""
    best_ml = next(iter(movielens["by_source"].values()))
    best_yoo = max(pair[0] for pair in yoochoose["by_source"].values())
    ease_ml = next(v for name, v in movielens["baselines"].items() if name.startswith("ease"))
    ease_yoo = next(v[0] for name, v in yoochoose["baselines"].items() if name.startswith("ease"))
    rows = [
        ["MovieLens 100k, Recall@10", share(movielens["baselines"]["popularity"]), share(ease_ml),
         share(best_ml), f"**{share(movielens['recall_at_10'])}**"],
        ["Yoochoose sample, HR@20", share(yoochoose["baselines"]["popularity"][0]), share(ease_yoo),
         share(best_yoo), f"**{share(yoochoose['hr_at_20'])}**"],
    ]  # fmt: skip
    told = cost["default"]
    head = ["one pass, test then learn", "popularity", "EASE, refitted", "best single source", "freshet"]
    timed = f"\n\nLearning from an event takes {told['learn_us_p50']:.0f} us, ranking all items for one "
    return markdown(head, rows) + timed + f"{told['recommend_us_p50']:.0f} us (medians, one core)."
