"""The head of one action beside the click: P(action | shown or clicked), or of a valued action its mean value.

Three opinions, each with as much say as it has evidence:

    shared = base + n / (n + 50) * regression      in log-odds; n actions seen, fading
    answer = shared + ln of the item's factor + ln of the surface's factor

The *base* is how often a shown slot led to the action at all; the *regression* is that of the click head
(:class:`online_models.ranker.ClickRanker`) above that base, on the same features as served; the *item's factor* is
what it earned over what ``shared`` expected of it (:mod:`online_models.item_sums`). So an action seen a handful of
times says its base rate of every item, and not noise. The *surface's factor*, lately observed over foretold, calibrates
the whole. All of it but the regression are sums, which those of several workers add up to exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids
from online_models.item_sums import ItemSums
from online_models.ranker import ClickRanker, Rows, keep_negative

Floats = NDArray[np.float64]

DAY_MS = 86_400_000
ACTIONS_TO_TRUST = 50.0
"""Actions after which the regression has half its say."""
ITEM_PRIOR = 2.0
"""Actions that must be expected of an item until its own record counts as much as what all items say."""
SURFACE_PRIOR = 20.0
"""The same of a surface."""
LATELY = 14
"""How much sooner a surface's sums fade than an item's."""
PRIOR_RATE = 0.01
_PRIOR_SHOWN = 100.0
_LEAST = 1e-6
_PARTS = ("regression", "items", "surfaces")


class ObjectiveHead:
    """What one action's chances are.

    Args:
        action: as events name it.
        features: names of the rows, those of the click head.
        after_click: whether it is waited for from the click on its slot on: P(action | clicked).
        valued: whether it carries a value from 0 to 1 that is to be foretold, as the share of a video watched.
        negative_rate: the share of negatives that is learnt, one over a whole number; where clicks are few or values
            are told, all are.
        half_life_ms: of all that is learnt, ms.

    >>> head = ObjectiveHead("purchase", ["x"], negative_rate=1.0)
    >>> row = np.zeros(1, dtype=np.float32)
    >>> for k in range(400):
    ...     _ = head.learn(row, item=k % 2, value=float(k % 8 == 0), ts=k)
    >>> head.predict(row[None], np.array([0], dtype=np.int32), now=400).round(1).tolist()
    [0.3]
    >>> head.predict(row[None], np.array([1], dtype=np.int32), now=400).round(1).tolist()
    [0.0]
    """

    def __init__(
        self,
        action: str,
        features: Sequence[str],
        *,
        surfaces: Sequence[str] = ("default",),
        after_click: bool = False,
        valued: bool = False,
        negative_rate: float = 0.25,
        half_life_ms: int = 28 * DAY_MS,
        items: int = 200_000,
    ) -> None:
        if not 0 < negative_rate <= 1 or 1 / negative_rate % 1:
            raise ValueError(f"negative_rate must be 1, 1/2, 1/3, ..., not {negative_rate}")
        self.action, self.after_click, self.valued = action, after_click, valued
        self.regression = ClickRanker(
            features,
            surfaces=surfaces,
            negative_rate=1.0 if valued or after_click else negative_rate,
            prior_rate=0.5,  # what differs from the base is learnt, from nothing
            half_life_ms=half_life_ms,
        )
        self.items = ItemSums(half_life_ms, items)
        self.surfaces = ItemSums(max(half_life_ms // LATELY, 1), items=len(surfaces) + 1)
        self._untold = 0

    # ------------------------------------------------------------------ answering

    def base(self, now: int) -> float:
        """How often a shown slot leads to the action, whatever the item; drawn towards 1 in 100 by 100 slots."""
        return _base(*self.items.total(now))

    def trust(self, now: int) -> float:
        """How much say the regression has, from 0 to 1."""
        return _trust(*self.items.total(now))

    def logits(
        self,
        rows: Rows,
        ids: Ids,
        now: int,
        positions: int | NDArray[np.int_] = 0,
        surface: str = "default",
    ) -> Floats:
        """Log-odds of the action, of rows float32[n, F] and their items as of ``now``, ms; float64[n]."""
        shared = self._shared(rows, now, positions, surface)
        out: Floats = shared + np.log(self.items.factors(ids, now, ITEM_PRIOR)) + self._surface(surface, now)
        return out

    def predict(
        self,
        rows: Rows,
        ids: Ids,
        now: int,
        positions: int | NDArray[np.int_] = 0,
        surface: str = "default",
    ) -> Floats:
        """P(action), or the mean value, of rows float32[n, F] and their items as of ``now``, ms; float64[n]."""
        out: Floats = 1.0 / (1.0 + np.exp(-self.logits(rows, ids, now, positions, surface)))
        return out

    def _surface(self, surface: str, now: int) -> float:
        return math.log(self.surfaces.factor(self._place(surface), now, SURFACE_PRIOR))

    def _place(self, surface: str) -> int:
        names = self.regression.surfaces
        return names.index(surface) if surface in names else len(names)

    def _shared(self, rows: Rows, now: int, positions: int | NDArray[np.int_], surface: str) -> Floats:
        total = self.items.total(now)
        above = self.regression.logits(rows, positions, surface)
        out: Floats = _logit(_base(*total)) + _trust(*total) * above
        return out

    # ------------------------------------------------------------------ learning

    def learn(
        self, row: Rows, item: int, value: float, *, ts: int, position: int = 0, surface: str = "default"
    ) -> tuple[float, float] | None:
        """One slot whose window closed; its ``value`` is 0 for a negative, else 1 or what a valued action says.

        Of negatives a share is learnt, each for all it stands for. Returns what was foretold before it was learnt, and
        for how many slots it stands; None for what was left out.
        """
        if not self._accepts(row) or not (value or self._keeps(row, item)):
            return None
        many = 1.0 if value else 1.0 / self.regression.negative_rate
        total = self.items.total(ts)
        offset, trust = _logit(_base(*total)), _trust(*total)
        shared = offset + trust * self.regression.logit(row, position, surface)
        logit = shared + math.log(self.items.factor(item, ts, ITEM_PRIOR))
        place = self._place(surface)
        told = _sigmoid(logit + math.log(self.surfaces.factor(place, ts, SURFACE_PRIOR)))
        self.surfaces.add(place, ts=ts, shown=many, observed=value, expected=many * _sigmoid(logit))
        self.items.add(item, ts=ts, shown=many, observed=value, expected=many * _sigmoid(shared))
        self.regression.learn(row, value, ts=ts, position=position, surface=surface, offset=offset)
        self._untold += 1
        return told, many

    def correct(
        self, row: Rows, item: int, value: float, *, ts: int, position: int = 0, surface: str = "default"
    ) -> None:
        """The action came after its slot was learnt as a negative: unlearn that, learn what came."""
        if not self._accepts(row):
            return
        kept = self._keeps(row, item)
        offset = _logit(self.base(ts))
        self.items.add(item, ts=ts, shown=0.0, observed=value, expected=0.0)
        self.surfaces.add(self._place(surface), ts=ts, shown=0.0, observed=value, expected=0.0)
        self.regression.learn_correction(
            row, ts=ts, position=position, surface=surface, negative_kept=kept, value=value, offset=offset
        )
        self._untold += 1

    def _keeps(self, row: Rows, item: int) -> bool:
        return keep_negative(row, item, self.regression.negative_rate)

    def _accepts(self, row: Rows) -> bool:
        return row.shape == (len(self.regression.features),) and bool(np.isfinite(row).all())

    # ------------------------------------------------------------------ exchange and snapshots

    def take_delta(self) -> Arrays:
        """What was learnt here since last asked, as sums; empty when nothing was."""
        if not self._untold and not self.items.has_untold:
            return {}
        self._untold = 0
        return _joined((self.regression.take_delta(), self.items.take_delta(), self.surfaces.take_delta()))

    def merge(self, delta: Arrays) -> bool:
        """Add another's sums; False, and nothing is changed, when they would do harm."""
        regression, items, surfaces = (_part(delta, name) for name in _PARTS)
        if not self.items.harmless(items) or not self.surfaces.harmless(surfaces):
            return False
        if not self.regression.merge(regression):
            return False
        self.items.merge(items)
        self.surfaces.merge(surfaces)
        return True

    def arrays(self) -> Arrays:
        """All that is learnt, and what is not told yet."""
        own = _joined((self.regression.arrays(), self.items.arrays(), self.surfaces.arrays()))
        return {**own, "untold": np.array([self._untold], dtype=np.int64)}

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        regression, items, surfaces = (_part(arrays, name) for name in _PARTS)
        self.regression.load(regression)
        self.items.load(items)
        self.surfaces.load(surfaces)
        self._untold = int(arrays["untold"][0])


def _base(observed: float, _: float, shown: float) -> float:
    rate = (observed + PRIOR_RATE * _PRIOR_SHOWN) / (shown + _PRIOR_SHOWN)
    return min(max(rate, _LEAST), 1.0 - _LEAST)


def _trust(observed: float, _expected: float, _shown: float) -> float:
    return observed / (observed + ACTIONS_TO_TRUST)


def _logit(p: float) -> float:
    return math.log(p / (1.0 - p))


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit)) if logit > -700.0 else 0.0


def _joined(parts: Iterable[Arrays]) -> Arrays:
    return {
        f"{part}.{name}": array
        for part, arrays in zip(_PARTS, parts, strict=True)
        for name, array in arrays.items()
    }


def _part(arrays: Arrays, part: str) -> Arrays:
    head = f"{part}."
    return {name.removeprefix(head): array for name, array in arrays.items() if name.startswith(head)}
