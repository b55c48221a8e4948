"""A variant grows step by step, waits when a service level is broken, and stops when it does harm."""

from __future__ import annotations

import pytest

from serving.ramp import Ramp

FINE = [{"verdict": "UNDECIDED", "reasons": []}]
RAMP = Ramp(slos={"p99_ms": 50.0, "empty_share": 0.01}, most=0.3)
GOOD = {"p99_ms": 20.0, "empty_share": 0.0}


def test_it_grows_by_five_points_until_the_end() -> None:
    traffic, seen = 0.1, []
    while RAMP.next(traffic, GOOD, FINE).action == "raise":
        traffic = RAMP.next(traffic, GOOD, FINE).traffic
        seen.append(traffic)
    assert seen == [0.15, 0.2, 0.25, 0.3]


@pytest.mark.parametrize("measured", [{**GOOD, "p99_ms": 51.0}, {"p99_ms": 20.0}])
def test_it_waits_while_a_service_level_is_broken_or_unknown(measured: dict[str, float]) -> None:
    step = RAMP.next(0.1, measured, FINE)
    assert (step.action, step.traffic) == ("hold", 0.1)


@pytest.mark.parametrize("verdict", ["WORSE", "INVALID"])
def test_it_stops_on_harm_whatever_the_service_levels_say(verdict: str) -> None:
    step = RAMP.next(0.2, GOOD, [{"verdict": verdict, "reasons": ["because"]}])
    assert (step.action, step.traffic, "because" in step.reason) == ("stop", 0.0, True)


def test_a_ramp_that_goes_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="step"):
        Ramp(slos={}, step=0.0)
