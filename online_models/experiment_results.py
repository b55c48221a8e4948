"""What each variant earned, kept as labels come: one vector a user, and sums over users.

An exposure carries the variants of its request (``ranking:diverse/control model:v2/live``); they stand on its labels.
Slots count in the order in which their windows close (:mod:`online_models.closing`): clicks come as they are made, the
slots beside them a window later, and counted as they come every rate would begin at 1.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from online_models.answer_times import bucket
from online_models.closing import ClosingOrder
from online_models.events import Exposure
from online_models.labels import Kind, Labelled
from online_models.user_sums import CLICKS, IMPRESSIONS, LOSS, PREDICTED, UserSums

_LEAST = 1e-6


class ExperimentResults:
    """Results of one process, by variant (``layer:experiment/variant``).

    Args:
        before: which feature of a slot, as served, is known of the user from before: the covariate of CUPED, as it was
            in the user's first slate; None for none.
        users: vectors kept per variant, at least 1; beyond it the least recently seen is dropped, its sums stay.
        variants: kept at most, at least 1; those beyond are counted in ``overflow``.

    >>> import numpy as np
    >>> results = ExperimentResults()
    >>> row = np.zeros(1, dtype=np.float32)
    >>> for kind in (Kind.POSITIVE, Kind.NEGATIVE):  # the click waits for what was shown with it
    ...     results.observe(Labelled(1, kind, row, "s", 0, "home", 0.5, 1.0, ts=0, user=7, variant="l:e/a"))
    >>> results.variants["l:e/a"].users, results.variants["l:e/a"].sums[:2].tolist()
    (1, [1.0, 2.0])
    """

    def __init__(self, *, before: int | None = None, users: int = 100_000, variants: int = 256) -> None:
        if users < 1 or variants < 1:
            raise ValueError(f"users and variants must be at least 1, not {users} and {variants}")
        self.before, self.most_users, self.most_variants = before, users, variants
        self.variants: dict[str, UserSums] = {}
        self.overflow = self.changes = 0
        self._closing = ClosingOrder()
        self._users: dict[str, OrderedDict[int, tuple[float, ...]]] = {}

    def observe(self, label: Labelled) -> None:
        """A labelled slot, with the probability as served; one of no variant only moves time on."""
        for ready in self._closing.take(label):
            for variant in ready.variant.split():
                sums = self._of(variant)
                if sums is not None:
                    self._count(sums, self._users[variant], ready)

    def served(self, exposures: Iterable[Exposure]) -> None:
        """Slates served."""
        for exposure in exposures:
            told = exposure.context.get("variant")
            for variant in told.split() if isinstance(told, str) else ():
                sums = self._of(variant)
                if sums is not None:
                    _answered(sums, exposure)
                    self.changes += 1

    def told(self) -> dict[str, Mapping[str, Any]]:
        """All sums as plain values."""
        return {variant: sums.told() for variant, sums in self.variants.items()}

    def _of(self, variant: str) -> UserSums | None:
        sums = self.variants.get(variant)
        if sums is None:
            if len(self.variants) >= self.most_variants or "/" not in variant:
                self.overflow += 1
                return None
            sums = self.variants[variant] = UserSums()
            self._users[variant] = OrderedDict()
        return sums

    def _count(self, sums: UserSums, users: OrderedDict[int, tuple[float, ...]], label: Labelled) -> None:
        old = users.get(label.user)
        new = list(old) if old is not None else [0.0, 0.0, self._covariate(label), 0.0, 0.0]
        _add(new, label)
        sums.moved(old, new)
        sums.converted += new[CLICKS] > 0 and (old is None or not old[CLICKS])
        users[label.user] = tuple(new)
        users.move_to_end(label.user)
        if len(users) > self.most_users:
            users.popitem(last=False)
            sums.forgotten += 1
        self.changes += 1

    def _covariate(self, label: Labelled) -> float:
        known = self.before is not None and len(label.features) > self.before
        return float(label.features[self.before]) if known and self.before is not None else 0.0


def _answered(sums: UserSums, exposure: Exposure) -> None:
    sums.slates += 1
    sums.empty += not exposure.items
    sums.failed += "degraded" in exposure.flags
    took = exposure.context.get("took_ms")
    if isinstance(took, int | float) and math.isfinite(took):
        sums.took[bucket(took)] += 1


def _add(user: list[float], label: Labelled) -> None:
    p = min(max(label.probability, _LEAST), 1.0 - _LEAST)
    user[IMPRESSIONS] += label.kind is not Kind.CORRECTION
    user[CLICKS] += label.kind is not Kind.NEGATIVE
    if not label.probability:  # of an item that was filled in: nothing was predicted
        return
    user[PREDICTED] += label.kind is not Kind.CORRECTION
    user[LOSS] -= math.log(p) if label.kind is not Kind.NEGATIVE else math.log1p(-p)
    if label.kind is Kind.CORRECTION:
        user[LOSS] += math.log1p(-p)
