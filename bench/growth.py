"""What an event costs as items and users grow: CPU time, all stages, with slates for a fifth of the clicks."""

from __future__ import annotations

from bench import report, stages
from bench.ingest import TRADES

SIZES = (1_000, 10_000, 100_000)
LARGEST = 1_000_000


def run(*, long: bool = False) -> report.Result:
    """The benchmark."""
    events = 60_000 if long else 15_000
    sizes = (*SIZES, LARGEST) if long else SIZES
    by_size = {n: _cost(n, events) for n in sizes}
    totals = {n: sum(cost.values()) for n, cost in by_size.items()}
    figures = {
        "cpu_us_per_event": {str(n): round(total, 1) for n, total in totals.items()},
        "largest_over_smallest": round(totals[sizes[-1]] / totals[sizes[0]], 2),
        "by_stage": {str(n): cost for n, cost in by_size.items()},
    }
    return report.finished("growth", figures, {"events": events, **TRADES})


def _cost(n: int, events: int) -> dict[str, float]:
    """With as many users as items, most of them met before it is measured, and windows closing at every size."""
    return stages.measure(events, 6 * events, traffic={"users": n, "items": n}, **TRADES)
