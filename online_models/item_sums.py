"""What came of showing each item, beside what was expected of it: decayed sums that several workers' add up to.

An item's factor multiplies the odds: ``(observed + k) / (expected + k)``, the mean of a gamma posterior around "as
expected" that weighs ``k`` expected events (DuMouchel, 1999), over the same of the slots where nothing happened. Sums
are exact whoever saw what.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids
from online_models.decay import keep_newest, landmark, scale, weight

Floats = NDArray[np.float64]

OBSERVED, EXPECTED, SHOWN = 0, 1, 2
MOST_TOLD = 5_000
"""Rows in one delta; one takes 0.06 KB on the wire, and a topic takes records of up to 1 MiB."""
_TOTAL = 0  # row of all items together; an item's own row is its number plus 1
_START = 256
_MOST_ROWS = 1_000_000


class ItemSums:
    """Observed and expected outcomes by item, and of all together with how often something was shown.

    Args:
        half_life_ms: of the sums, ms, at least 1.
        items: numbers from here on have no sums of their own and count in the total alone, at least 1.

    >>> sums = ItemSums(half_life_ms=1_000)
    >>> for _ in range(10):
    ...     sums.add(3, ts=0, shown=1.0, observed=1.0, expected=0.5)
    >>> sums.factors(np.array([3, 4], dtype=np.int32), now=0, k=5.0).tolist()
    [3.0, 1.0]
    >>> sums.total(now=1_000)
    (5.0, 2.5, 5.0)
    """

    def __init__(self, half_life_ms: int, items: int = 200_000) -> None:
        if half_life_ms < 1 or items < 1:
            raise ValueError(f"half_life_ms and items must be at least 1, not {half_life_ms} and {items}")
        self.half_life_ms, self.items = half_life_ms, items
        self._held: dict[int, Floats] = {}  # landmark -> [rows, observed | expected | shown]
        self._fresh: dict[int, dict[int, Floats]] = {}  # the same of what was not told yet, by row

    def add(self, item: int, *, ts: int, shown: float, observed: float, expected: float) -> None:
        """One slot that closed, or what came late of one that had."""
        mark = landmark(ts, self.half_life_ms)
        row = np.array([observed, expected, shown])
        row *= weight(ts, mark, self.half_life_ms)
        rows = (_TOTAL, item + 1) if item < self.items else (_TOTAL,)
        held, fresh = self._window(mark, rows[-1]), self._fresh.setdefault(mark, {})
        for at in rows:
            held[at] += row
            fresh[at] = fresh[at] + row if at in fresh else row
        keep_newest(self._held, self.half_life_ms)
        keep_newest(self._fresh, self.half_life_ms)

    def total(self, now: int) -> tuple[float, float, float]:
        """Observed, expected and shown of all items as of ``now``."""
        return self._row(_TOTAL, now)

    def factor(self, item: int, now: int, k: float) -> float:
        """The same as :meth:`factors` of one item, sooner."""
        observed, expected, shown = self._row(min(item, self.items) + 1, now)
        without = (max(shown - expected, 0.0) + k) / (max(shown - observed, 0.0) + k)
        return (observed + k) / (expected + k) * without

    def factors(self, ids: Ids, now: int, k: float) -> Floats:
        """By what the odds of an item exceed those expected of it, float64[n]; 1 for one nobody knows."""
        sums = self._read(np.minimum(ids, self.items).astype(np.intp) + 1, now)
        without = np.maximum(
            sums[:, SHOWN, None] - sums[:, :SHOWN], 0.0
        )  # below 0 where late actions outnumber slots
        came = (sums[:, OBSERVED] + k) / (sums[:, EXPECTED] + k)
        out: Floats = came * (without[:, EXPECTED] + k) / (without[:, OBSERVED] + k)
        return out

    def _row(self, at: int, now: int) -> tuple[float, float, float]:
        observed = expected = shown = 0.0
        for mark, held in self._held.items():
            if at < len(held):
                faded = scale(mark, now, self.half_life_ms)
                a, b, c = held[at].tolist()
                observed, expected, shown = observed + a * faded, expected + b * faded, shown + c * faded
        return observed, expected, shown

    def _read(self, rows: NDArray[np.intp], now: int) -> Floats:
        out = np.zeros((len(rows), 3))
        for mark, held in self._held.items():
            inside = rows < len(held)
            out[inside] += held[rows[inside]] * scale(mark, now, self.half_life_ms)
        return out

    def _window(self, mark: int, row: int) -> Floats:
        held = self._held.get(mark)
        if held is None:
            held = np.zeros((_START, 3))
        if row >= len(held):
            grown = np.zeros((max(2 * len(held), row + 1), 3))
            grown[: len(held)] = held
            held = grown
        self._held[mark] = held
        return held

    # ------------------------------------------------------------------ exchange and snapshots

    @property
    def has_untold(self) -> bool:
        """Whether something was added here that no delta has told."""
        return bool(self._fresh)

    def take_delta(self, most: int = MOST_TOLD) -> Arrays:
        """What was added here and not told yet, at most so many rows; the rest is told by the next."""
        told: dict[int, dict[int, Floats]] = {}
        left = most
        for mark in sorted(self._fresh):
            rows = self._fresh[mark]
            told[mark] = {at: rows.pop(at) for at in list(rows)[:left]}
            left -= len(told[mark])
        self._fresh = {mark: rows for mark, rows in self._fresh.items() if rows}
        return _rows(told)

    def harmless(self, delta: Arrays) -> bool:
        """Whether a delta could be another's :meth:`take_delta`."""
        marks, rows, sums = (delta.get(name) for name in ("marks", "rows", "sums"))
        if marks is None or rows is None or sums is None or not len(rows) <= _MOST_ROWS:
            return False
        if marks.shape != rows.shape or sums.shape != (len(rows), 3) or marks.dtype.kind != "i":
            return False
        if rows.dtype.kind != "i" or (rows < 0).any() or (rows > self.items).any():
            return False
        on_grid = bool(all(landmark(int(m), self.half_life_ms) == m >= 0 for m in np.unique(marks)))
        return on_grid and bool(np.isfinite(sums).all() and (sums >= 0).all())

    def merge(self, delta: Arrays) -> None:
        """Add what another told; it is :meth:`harmless`."""
        for mark in np.unique(delta["marks"]).tolist():
            of = delta["marks"] == mark
            rows = delta["rows"][of]
            held = self._window(mark, int(rows.max()))
            np.add.at(held, rows, delta["sums"][of])
        keep_newest(self._held, self.half_life_ms)

    def arrays(self) -> Arrays:
        """All sums that are not 0, and what was not told yet."""
        used = {mark: np.flatnonzero(held.any(axis=1)) for mark, held in self._held.items()}
        held = _packed({mark: (rows.tolist(), list(self._held[mark][rows])) for mark, rows in used.items()})
        return {**held, **{f"fresh_{name}": array for name, array in _rows(self._fresh).items()}}

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self._held, self._fresh = {}, {}
        self.merge({name: arrays[name] for name in ("marks", "rows", "sums")})
        for mark, row, sums in zip(
            arrays["fresh_marks"].tolist(), arrays["fresh_rows"].tolist(), arrays["fresh_sums"], strict=True
        ):
            self._fresh.setdefault(mark, {})[row] = sums.copy()


def _rows(by_mark: dict[int, dict[int, Floats]]) -> Arrays:
    return _packed({mark: (list(rows), list(rows.values())) for mark, rows in by_mark.items()})


def _packed(by_mark: dict[int, tuple[list[int], list[Floats]]]) -> Arrays:
    marks = [mark for mark, (rows, _) in sorted(by_mark.items()) for _ in rows]
    rows = [row for _, (rows, _) in sorted(by_mark.items()) for row in rows]
    sums = [row for _, (_, held) in sorted(by_mark.items()) for row in held]
    return {
        "marks": np.array(marks, dtype=np.int64),
        "rows": np.array(rows, dtype=np.int64),
        "sums": np.array(sums, dtype=np.float64).reshape(-1, 3),
    }
