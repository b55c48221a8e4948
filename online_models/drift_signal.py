"""What a detector says when something is not as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["info", "warning", "critical"]
RUNBOOK = "docs/runbooks/model-drift.md"
FEATURE_RUNBOOK = "docs/runbooks/feature-skew.md"


@dataclass(frozen=True, slots=True)
class DriftSignal:
    """Something is not as it was: what, how far, how surely, and what to do."""

    name: str  # of the series, such as click_rate:home
    cause: str  # signals of one cause are given once per quiet period
    detector: str
    statistic: float
    threshold: float
    window: int  # values compared
    severity: Severity
    runbook: str
    ts: int  # event time, ms
    evidence: Mapping[str, float] = field(default_factory=dict)
    histogram: Mapping[str, Sequence[float]] = field(
        default_factory=dict
    )  # edges, and shares older and newer
