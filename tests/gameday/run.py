"""Provoke failures one after the other and note after how long each signal was seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.gameday.failures import FAILURES, Failure
from tests.gameday.stack import Stack

PATIENCE_S = 90.0
LOOK_S = 0.1


@dataclass(frozen=True)
class Row:
    """One signal: after how many seconds it was seen; None when it was not."""

    failure: str
    runbook: str
    signal: str
    seen_s: float | None


def play(
    stack: Stack, failures: Iterable[Failure], told: Callable[[Row], None] = lambda _: None
) -> list[Row]:
    """All failures in their order; each is mended before the next."""
    rows: list[Row] = []
    for failure in failures:
        begun = time.monotonic()
        with failure.provoke(stack) as seen:
            for signal, is_there in zip(failure.signals, seen, strict=True):
                row = Row(failure.what, signal.runbook, signal.name, _after(is_there, begun))
                rows.append(row)
                told(row)
    return rows


def quick() -> tuple[Failure, ...]:
    """The failures of the short form."""
    return tuple(failure for failure in FAILURES if failure.quick)


def _after(is_there: Callable[[], bool], begun: float) -> float | None:
    while time.monotonic() - begun < PATIENCE_S:
        if is_there():
            return time.monotonic() - begun
        time.sleep(LOOK_S)
    return None


def line(row: Row) -> str:
    """A row for people."""
    seen = "NOT SEEN" if row.seen_s is None else f"{row.seen_s:8.1f}"
    return f"{row.failure:<30} {row.runbook:<20} {row.signal:<38} {seen:>8}"


HEADER = f"{'failure':<30} {'runbook':<20} {'signal':<38} {'seen, s':>8}"
