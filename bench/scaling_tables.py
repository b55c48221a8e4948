"""The tables of docs/scaling.md and docs/reliability.md."""

from __future__ import annotations

import math
from typing import Any

from bench.render import Result, markdown, share, table

USERS = 100_000_000
EVENTS_PER_S = 1_000_000
BUSY = 0.6
"""Share of a core that is planned for; the rest is for rebalances and catching up."""
ACTIVE = 0.02
"""Share of all users who act within ten minutes."""
MASTER_GIB = 24
"""Of one Redis master, so that a fork to rewrite its append-only file fits into 48."""


@table("mixing", "mixing")
def mixing(told: Result) -> str:
    """Quality of several workers against one."""
    return _mixed(told, "workers, own events between deltas")


@table("mixing-time", "mixing_time")
def mixing_time(told: Result) -> str:
    """The same by the stream's time."""
    return _mixed(told, "workers, stream time between deltas")


def _mixed(told: Result, first: str) -> str:
    rows = [
        [name, share(row["recall_at_10"], 4), f"{row['difference']:+.4f}", f"{row['standard_error']:.4f}",
         f"{row['bound']:.4f}", "yes" if row["within"] else "no", f"{row['deltas']:,}"]
        for name, row in told["arms"].items()
    ]  # fmt: skip
    head = [first, "Recall@10", "against one", "paired s.e.",
            "max(2 %, 2 s.e.)", "within", "deltas"]  # fmt: skip
    return markdown(head, rows)


@table("cluster", "footprint", "ingest")
def cluster(bytes_: Result, ingest: Result) -> str:
    """A cluster for 100 million users and a million events a second."""
    cpu, redis_cpu = ingest["cpu_us_per_event"]["median"], ingest["redis_cpu_us_per_event"]["median"]
    workers = math.ceil(EVENTS_PER_S * cpu / 1e6 / BUSY)
    partitions = 1 << math.ceil(math.log2(workers * 1.5))
    memory = (USERS * bytes_["record_bytes"] + USERS * ACTIVE * bytes_["ring_bytes"]) / 2**30
    by_memory, by_cpu = (
        math.ceil(1.3 * memory / MASTER_GIB),
        math.ceil(EVENTS_PER_S * redis_cpu / 1e6 / BUSY),
    )
    day_tb = EVENTS_PER_S * 86_400 * bytes_["event_bytes"] / 1e12
    rows = [
        ["worker processes", f"{workers:,}", f"{cpu:.0f} us of CPU an event, at {BUSY:.0%} of a core"],
        ["partitions of `events`", f"{partitions:,}", "the power of two from 1.5 workers up"],
        ["Redis, state", f"{memory:,.0f} GiB", f"{bytes_['record_bytes']:.0f} bytes a user, "
         f"{bytes_['ring_bytes']:.0f} more for the {ACTIVE:.0%} who acted within ten minutes"],
        ["Redis masters", f"{max(by_memory, by_cpu):,}",
         f"{by_memory} by memory ({MASTER_GIB} GiB each, 30 % spare), {by_cpu} by CPU ({redis_cpu:.0f} us an event)"],
        ["log, one day", f"{day_tb:,.0f} TB", f"{bytes_['event_bytes']} bytes an event before compression, one copy"],
        ["deltas, all to all", f"{EVENTS_PER_S * bytes_['delta_bytes_per_interaction'] / 1e9:.1f} GB/s a reader",
         f"{bytes_['delta_bytes_per_interaction']:.0f} bytes an interaction: more than a reader can take, see below"],
    ]  # fmt: skip
    return markdown(["what", "how much", "from"], rows)


def _slow(by_fault: dict[str, Any]) -> list[list[str]]:
    """A row for each fault, slowest first."""
    ordered = sorted(by_fault.items(), key=lambda told: (-told[1]["p50"], told[0]))
    return [[f"- {name.replace('_', ' ')}", f"{s['p50']} s / {s['p99']} s", ""] for name, s in ordered]


@table("chaos", "chaos")
def chaos(told: Result) -> str:
    """What a run of faults came to."""
    api, recovery = told["api"], told["recovery_s"]
    faults = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in told["faults"].items())
    rows = [
        ["faults", f"{sum(told['faults'].values()):,}", faults],
        ["connections cut", f"{told['connections_cut']:,}", "between a command and its answer"],
        ["events", f"{told['events']:,}", f"{told['repeated']:,} sent again, {told['late_or_out_of_order']:,} late or "
         f"out of order, {told['broken']:,} broken"],
        ["counters compared", f"{told['counters']:,}", "integers exactly, decayed ones to 1e-9"],
        ["counters that differ", f"{told['mismatches']:,}", ""],
        ["broken events without a dead letter", "0", f"{told['dead_letters_repeated']:,} dead letters came twice"],
        ["workers that ended themselves", f"{told['workers_that_ended_themselves']:,}", "and were started anew"],
        ["recovery", f"{recovery['p50']} s / {recovery['p99']} s",
         "median / 99 %, from the fault until every partition has folded something that came after it"],
        *_slow(told["recovery_by_fault"]),
        ["longest time without a commit", f"{told['longest_pause_s']} s", ""],
        ["requests", f"{api['requests']:,}", f"{api['answered']:,} answered, {api['degraded']:,} of them degraded, "
         f"{api['empty']:,} empty (the busiest users act on every item there is)"],
        ["answers with a retired item", f"{api.get('with_retired', 0):,}", ""],
        ["answers with an item acted on", f"{api.get('with_seen', 0):,}",
         f"and {api.get('with_seen_degraded', 0):,} of those that say they are degraded"],
    ]  # fmt: skip
    return markdown(["what", "how many", ""], rows)
