"""The other end of a drift signal: a record that says its series is steady again, and where it came to rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from online_models.drift_signal import DriftSignal


@dataclass(slots=True)
class _Open:
    """A signal told, and what has come since."""

    signal: DriftSignal
    n: int = 0
    total: float = 0.0


class Recovery:
    """Watches the series whose drift was told until they hold still.

    Args:
        steady: values without a further change after which a series is steady, at least 1.
        most: series watched at once; the oldest is forgotten, at least 1.
    """

    def __init__(self, steady: int = 5_000, most: int = 100) -> None:
        if steady < 1 or most < 1:
            raise ValueError(f"steady and most must be at least 1, not {steady} and {most}")
        self.steady, self.most = steady, most
        self._open: OrderedDict[str, _Open] = OrderedDict()

    def told(self, signals: Iterable[DriftSignal]) -> None:
        """These signals were given; their series are watched from now on."""
        for signal in signals:
            self._open[signal.name] = _Open(signal)
            if len(self._open) > self.most:
                self._open.popitem(last=False)

    def watch(self, name: str, values: NDArray[np.float64], ts: int, *, changed: bool) -> list[DriftSignal]:
        """Values of a series, and whether they hold a change; the record once it has been steady for long."""
        held = self._open.get(name)
        if held is None:
            return []
        if changed:
            held.n, held.total = 0, 0.0
            return []
        held.n += len(values)
        held.total += float(values.sum())
        if held.n < self.steady:
            return []
        del self._open[name]
        return [_recovered(held, ts)]

    def close(self, prefix: str, ts: int) -> list[DriftSignal]:
        """All series of a kind are steady, as found by other means."""
        names = [name for name in self._open if name.startswith(prefix)]
        return [_recovered(self._open.pop(name), ts) for name in names]


def _recovered(held: _Open, ts: int) -> DriftSignal:
    signal = held.signal
    evidence = {"since": float(signal.ts), "steady": float(held.n)}
    if held.n and "before" in signal.evidence:
        before, after, now = signal.evidence["before"], signal.evidence["after"], held.total / held.n
        returned = abs(now - before) < abs(now - after)
        evidence |= {"before": before, "after": now, "returned": float(returned)}
    return replace(
        signal, detector="recovery", severity="info", statistic=0.0, window=held.n, ts=ts,
        evidence=evidence, histogram={},
    )  # fmt: skip
