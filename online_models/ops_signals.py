"""Signals that are no drift of a series but an operator's business all the same, in the same form."""

from __future__ import annotations

from online_models.drift import DriftSignal


def lost_range(partition: int, position: int, log_start: int, ts: int) -> DriftSignal:
    """The log no longer holds the position to read on from.

    >>> lost_range(3, 10, 25, ts=0).evidence["records_lost"]
    15
    """
    return DriftSignal(
        name=f"lost_range:{partition}",
        cause=f"lost_range:{partition}",
        detector="position",
        statistic=float(log_start - position),
        threshold=0.0,
        window=0,
        severity="critical",
        runbook="docs/runbooks/lost-range.md",
        ts=ts,
        evidence={"position": position, "log_start": log_start, "records_lost": log_start - position},
    )
