"""Tables of speed, for README.md and docs/performance.md, made of what ``python -m bench`` writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.render import Result, markdown, table

ALL = ("ingest", "freshness", "serve", "index", "memory", "growth", "workers")


def _met(reached: bool) -> str:
    return "yes" if reached else "**no**"


def _median(told: Mapping[str, Any], digits: int = 0) -> str:
    return f"{told['median']:,.{digits}f}"


@table("bench", *ALL)
def bench(*results: Result) -> str:
    """What was asked of each benchmark and what it reached."""
    return markdown(["", "must reach", "reached", "met"], [row for make, told in
                    zip(_ROWS, results, strict=True) for row in make(told)])  # fmt: skip


def _ingest(told: Result) -> list[list[str]]:
    rows = []
    for name, run in (("", told), (", with `slate_process`", told["with_slate_process"])):
        ratio, slates = run["ratio"]["median"], run["clicks_with_slate"]["median"]
        rates = f"{ratio:.2f} ({_median(run['events_per_s'])} against {_median(run['stock_events_per_s'])} events/s)"
        what = f"one worker{name}, whole pipeline, against an empty stock Faust agent"
        rows += [
            [what, "1.0", rates, _met(ratio >= 1.0)],
            ["clicks whose user got a new slate meanwhile", "20 %", f"{slates:.0%}", _met(slates >= 0.2)],
        ]
    return rows


def _freshness(told: Result) -> list[list[str]]:
    rows = []
    for name, middle, most in (
        ("at_600_per_s", 10, 50),
        ("at_25%", 10, 50),
        ("at_50%", 0, 100),
        ("at_80%", 0, 250),
    ):
        run = told[name]
        p50, p99, made = (run[figure]["median"] for figure in ("p50_ms", "p99_ms", "published_share"))
        pace = f"click to new slate at {run['events_per_s']['median']:,.0f} events/s"
        pace += f" ({name.removeprefix('at_')} of ingest)" if "%" in name else ""
        must = f"p50 {middle}, p99 {most} ms" if middle else f"p99 {most} ms"
        met = p99 <= most and (not middle or round(p50) <= middle)
        rows.append([pace, must, f"p50 {p50:,.0f}, p99 {p99:,.0f} ms, {made:.0%} made", _met(met)])
    return rows


def _serve(told: Result) -> list[list[str]]:
    p50, p99 = told["p50_ms"]["median"], told["p99_ms"]["median"]
    core = f"{told['per_cpu_second']['median']:,.0f} requests per core and second"
    return [
        [
            "HTTP at 200 requests/s, 100,000 items",
            "p99 10 ms",
            f"p50 {p50:,.1f}, p99 {p99:,.1f} ms",
            _met(p99 <= 10),
        ],
        ["HTTP at saturation", "reported", core, ""],
    ]


def _index(told: Result) -> list[list[str]]:
    recall, found = told["recall_at_100"]["mean"], told["moved_to_findable_ms"]["median"]
    head = f"vector search, {told['items']:,} items"
    return [
        [f"{head}: recall@100", ".98", f"{recall:.3f}".lstrip("0"), _met(recall >= 0.98)],
        [f"{head}: a moved vector is found after", "500 ms", f"{found:.1f} ms", _met(found <= 500)],
        [
            f"{head}: rebuilt beside reads in",
            "600 s for 1M",
            f"{told['rebuild_s']:.0f} s",
            _met(told["rebuild_s"] < 60),
        ],
    ]


def _memory(told: Result) -> list[list[str]]:
    gib = told["redis_gib_per_1m_users"]
    return [
        ["Redis for 1M users with 50 events each", ".4 GiB", f"{gib:.2f} GiB".lstrip("0"), _met(gib <= 0.4)]
    ]


def _growth(told: Result) -> list[list[str]]:
    sizes = list(told["cpu_us_per_event"])
    ratio = told["largest_over_smallest"]
    what = f"cost of an event, {int(sizes[-1]):,} items and users over {int(sizes[0]):,}"
    return [[what, "1.5 times", f"{ratio:.2f} times", _met(ratio <= 1.5)]]


def _workers(told: Result) -> list[list[str]]:
    ratio = told["cpu_of_2_over_1"]
    return [["CPU of an event, two workers over one", "1.1 times", f"{ratio:.2f} times", _met(ratio <= 1.1)]]


_ROWS = (_ingest, _freshness, _serve, _index, _memory, _growth, _workers)


@table("ingest-cpu", "ingest")
def ingest_cpu(told: Result) -> str:
    """CPU time per event of the processes."""
    names = {
        "stock_cpu_us_per_event": "stock Faust agent that does nothing",
        "cpu_us_per_event": "freshet's worker, everything",
        "redis_cpu_us_per_event": "Redis beside it",
    }
    rows = [
        [text, _median(told[n], 1), f"{told[n]['min']:.1f} to {told[n]['max']:.1f}"]
        for n, text in names.items()
    ]
    return markdown(["CPU time per event, us", "median", "range"], rows)


@table("stages", "ingest")
def by_stage(told: Result) -> str:
    """Where the time goes, in one process without a network."""
    stages = told["cpu_us_by_stage"]
    total = sum(stages.values())
    rows = [[name, f"{us:.1f}", f"{us / total:.0%}"] for name, us in stages.items()]
    return markdown(["stage", "us an event", ""], [*rows, ["sum", f"{total:.1f}", ""]])


@table("alone", "ingest")
def alone(told: Result) -> str:
    """What the libraries cost alone."""
    rows = [[name.replace("_", " "), f"{us:.1f}"] for name, us in told["cpu_us_alone"].items()]
    return markdown(["alone", "us an event"], rows)


@table("growth", "growth")
def growth(told: Result) -> str:
    """Cost per event by size and stage."""
    sizes = list(told["by_stage"])
    rows = [
        [stage, *[f"{told['by_stage'][n][stage]:.1f}" for n in sizes]] for stage in told["by_stage"][sizes[0]]
    ]
    rows.append(["sum", *[f"{told['cpu_us_per_event'][n]:.1f}" for n in sizes]])
    return markdown(["us an event, by items and users", *[f"{int(n):,}" for n in sizes]], rows)


@table("crossing", "index")
def crossing(told: Result) -> str:
    """Exact search and graph by size."""
    rows = [[f"{int(n):,}", str(us["exact_us"]), str(us["graph_us"])] for n, us in told["crossing"].items()]
    return markdown(["items", "exact, us", "graph, us"], rows)


@table("memory", "memory")
def memory(told: Result) -> str:
    """Bytes by what they hold."""
    names = {
        "redis_bytes_per_user": "Redis, a user after 50 events (15 % clicks)",
        "redis_bytes_per_user_of_event_ids": "Redis, ids of a user's last events (ten minutes)",
        "redis_bytes_per_pending_slate": "Redis, a slate that waits for clicks (an hour)",
        "redis_bytes_per_item": "Redis, an item's name",
        "worker_bytes_per_item": "worker, an item acted on",
    }
    rows = [[text, f"{told[name]:,.0f}"] for name, text in names.items()]
    return markdown(["bytes", ""], rows)
