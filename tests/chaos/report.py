"""What a run of faults came to, in counts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tests.chaos.world import World

RESULTS = Path(__file__).resolve().parents[2] / "bench" / "results" / "chaos.json"


def measured(world: World) -> dict[str, Any]:
    """Counts of a run that has settled."""
    load, asking = world.current, world.asking
    answered = np.array(asking.seconds or [0.0])
    return {
        "seed": world.seed,
        "date": time.strftime("%Y-%m-%d"),
        "faults": dict(sorted(world.faults.items())),
        "connections_cut": world.proxy.cuts,
        "events": len(load.sent) + len(load.broken),
        "repeated": load.repeats,
        "late_or_out_of_order": load.late,
        "broken": len(load.broken),
        "workers_that_ended_themselves": world.ended_by_themselves,
        "recovery_s": _seconds([s for _, s in world.recoveries]),
        "recovery_by_fault": {
            fault: _seconds([s for of, s in world.recoveries if of == fault])
            for fault in sorted(world.faults)
        },
        "longest_pause_s": round(world.longest_pause_s, 2),
        "api": {
            **dict(sorted(asking.stats.items())),
            "p99_ms": round(1_000 * float(np.quantile(answered, 0.99)), 1),
        },
    }


def _seconds(took: list[float]) -> dict[str, float]:
    return {
        "p50": round(float(np.quantile(took, 0.5)), 2),
        "p99": round(float(np.quantile(took, 0.99)), 2),
        "max": round(max(took), 2),
    }


def write(counts: dict[str, Any]) -> None:
    """Put a run's counts where the documents are made from."""
    RESULTS.write_bytes(orjson.dumps(counts, option=orjson.OPT_INDENT_2) + b"\n")
