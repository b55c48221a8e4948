"""How fast a variant may grow: a step at a time, while nothing speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Step:
    """The share of users from now on, and why."""

    action: Literal["raise", "hold", "stop"]
    traffic: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Growth of an experiment's ``traffic``.

    Growing keeps those who are in (:mod:`serving.experiments`), so results go on to add up.

    Args:
        step: points of traffic at a time.
        most: traffic at the end.
        slos: by name the greatest value allowed, such as ``{"p99_ms": 50.0, "empty_share": 0.01}``.

    >>> Ramp(slos={"p99_ms": 50.0}).next(0.1, {"p99_ms": 30.0}, [{"verdict": "UNDECIDED", "reasons": []}])
    Step(action='raise', traffic=0.15, reason='p99_ms 30 of 50')
    """

    slos: Mapping[str, float]
    step: float = 0.05
    most: float = 0.5

    def __post_init__(self) -> None:
        if not (0.0 < self.step <= self.most <= 1.0):
            raise ValueError(f"step must be above 0 and most from it to 1, not {self.step} and {self.most}")

    def next(
        self, traffic: float, measured: Mapping[str, float], comparisons: list[Mapping[str, Any]]
    ) -> Step:
        """The next step, given what was measured since the last and the report's comparisons."""
        for row in comparisons:
            if row["verdict"] in ("WORSE", "INVALID"):
                return Step("stop", 0.0, f"{row['verdict']}: {'; '.join(row['reasons']) or 'fewer clicks'}")
        if missing := sorted(set(self.slos) - set(measured)):
            return Step("hold", traffic, f"not measured: {', '.join(missing)}")
        over = [name for name in sorted(self.slos) if measured[name] > self.slos[name]]
        if over:
            told = ", ".join(f"{name} {measured[name]:g} over {self.slos[name]:g}" for name in over)
            return Step("hold", traffic, told)
        told = ", ".join(f"{name} {measured[name]:g} of {self.slos[name]:g}" for name in sorted(self.slos))
        if traffic >= self.most:
            return Step("hold", traffic, f"{told}; the ramp is over")
        return Step("raise", round(min(traffic + self.step, self.most), 6), told)
