"""Signals that are no drift of a series but an operator's business all the same, in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from online_models.drift_signal import DriftSignal


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


def state_lost(partition: int, was: int, now: int, ts: int) -> DriftSignal:
    """Redis holds less of a partition than was committed to it; what is missing is folded again.

    >>> state_lost(3, was=25, now=10, ts=0).evidence
    {'was': 25, 'now': 10}
    """
    return DriftSignal(
        name=f"state_lost:{partition}",
        cause=f"state_lost:{partition}",
        detector="position",
        statistic=float(was - now),
        threshold=0.0,
        window=0,
        severity="critical",
        runbook="docs/runbooks/state-lost.md",
        ts=ts,
        evidence={"was": was, "now": now},
    )


def experiments_paused(
    slo: str, rates: Mapping[str, float], limit: float, ts: int, *, over: bool = False
) -> DriftSignal:
    """Experiments are paused since an error budget burns too fast, or go on.

    Args:
        rates: burn rates and the windows they were read over.

    >>> experiments_paused("latency", {"long_rate": 3.5, "short_rate": 4.0}, 2.0, ts=0).statistic
    3.5
    """
    return DriftSignal(
        name=f"experiments_paused:{slo}",
        cause="experiments_paused",
        detector="recovery" if over else "burn_rate",
        statistic=float(rates.get("long_rate", 0.0)),
        threshold=limit,
        window=int(rates.get("long_s", 0.0)),
        severity="info" if over else "critical",
        runbook="docs/runbooks/experiments-paused.md",
        ts=ts,
        evidence=dict(rates),
    )


def rolled_back(version: str, harm: Mapping[str, Any], ts: int) -> DriftSignal:
    """A canary was taken back by itself; ``harm`` is what :class:`online_models.canary_guard.Harm` says.

    >>> harm = {"metric": "click rate", "live": 0.2, "canary": 0.1, "low": -0.1, "high": -0.05, "limit": 0, "users": 90}
    >>> rolled_back("v2", harm, ts=0).name
    'rollback:v2'
    """
    metric = str(harm["metric"])
    figures = {name: float(value) for name, value in harm.items() if name != "metric"}
    return DriftSignal(
        name=f"rollback:{version}",
        cause=f"rollback:{version}",
        detector=f"guardrail: {metric}",
        statistic=figures["canary"] - figures["live"],
        threshold=figures["limit"],
        window=int(figures["users"]),
        severity="critical",
        runbook="docs/runbooks/model-rollback.md",
        ts=ts,
        evidence=figures,
    )
