"""Sums over the users of one variant, from which every figure of a report follows; partial ones add up.

A user is a vector ``(clicks, impressions, before, loss, predicted)``: ``before`` is known from before the first slate
of the experiment, ``loss`` is the log-loss of the probabilities as served, over ``predicted`` slots. Kept are the sums
of the vectors and of their products, and how many users there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from online_models import answer_times
from online_models.answer_times import Counts
from online_models.experiment_stats import Ratio

Floats = NDArray[np.float64]
CLICKS, IMPRESSIONS, BEFORE, LOSS, PREDICTED = range(5)
WIDTH = 5


@dataclass(slots=True)
class UserSums:
    """What is known of a variant.

    Attributes:
        users: who saw a slot; ``converted`` clicked at least once.
        slates: served, ``empty`` without an item, ``failed`` in part or whole (flag ``degraded``).
        took: how long they took to make, a histogram (:mod:`online_models.answer_times`).
        forgotten: users who were dropped from memory; one that comes back counts as another.
    """

    users: int = 0
    converted: int = 0
    slates: int = 0
    empty: int = 0
    failed: int = 0
    forgotten: int = 0
    took: Counts = field(default_factory=answer_times.none)
    sums: Floats = field(default_factory=lambda: np.zeros(WIDTH))
    products: Floats = field(default_factory=lambda: np.zeros((WIDTH, WIDTH)))

    def moved(self, before: Sequence[float] | None, after: Sequence[float]) -> None:
        """One user's vector went from one to another; None is a user not seen before."""
        new = np.asarray(after, np.float64)
        self.users += before is None
        self.sums += new
        self.products += np.outer(new, new)
        if before is not None:
            old = np.asarray(before, np.float64)
            self.sums -= old
            self.products -= np.outer(old, old)

    def __add__(self, other: UserSums) -> UserSums:
        """Both together; no user may be in both."""
        return UserSums(
            self.users + other.users, self.converted + other.converted, self.slates + other.slates,
            self.empty + other.empty, self.failed + other.failed, self.forgotten + other.forgotten,
            self.took + other.took, self.sums + other.sums, self.products + other.products,
        )  # fmt: skip

    def ratio(self, above: int, below: int) -> Ratio:
        """A ratio of two sums, with its variance by user.

        >>> sums = UserSums()
        >>> sums.moved(None, (1.0, 10.0, 0.0, 0.0, 0.0))
        >>> sums.moved(None, (0.0, 10.0, 0.0, 0.0, 0.0))
        >>> rate = sums.ratio(CLICKS, IMPRESSIONS)
        >>> float(rate.value), float(rate.error)
        (0.05, 0.05)
        """
        p = self.products
        return Ratio(
            float(self.users), float(self.sums[above]), float(self.sums[below]), float(p[above, above]),
            float(p[above, below]), float(p[below, below]),
        )  # fmt: skip

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "users": self.users, "converted": self.converted, "slates": self.slates, "empty": self.empty,
            "failed": self.failed, "forgotten": self.forgotten, "took": answer_times.told(self.took),
            "sums": self.sums.tolist(), "products": self.products.ravel().tolist(),
        }  # fmt: skip

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> UserSums:
        """The sums :meth:`told` wrote; ValueError or KeyError when it is something else."""
        counts = {name: int(told[name]) for name in ("users", "converted", "slates", "empty", "forgotten")}
        failed, took = (
            int(told.get("failed", 0)),
            answer_times.read(told.get("took", {})),
        )  # older workers tell none
        sums, products = np.array(told["sums"], np.float64), np.array(told["products"], np.float64)
        if not (np.isfinite(sums).all() and np.isfinite(products).all() and sums.shape == (WIDTH,)):
            raise ValueError("sums that are no numbers")
        return cls(**counts, failed=failed, took=took, sums=sums, products=products.reshape(WIDTH, WIDTH))


@dataclass(frozen=True, slots=True)
class Adjusted:
    """A difference with what was known before taken out (CUPED); the interval is of ONE look.

    ``variance_left`` is the share of the variance that stays.
    """

    value: float
    low: float
    high: float
    variance_left: float


def cuped_difference(control: UserSums, treatment: UserSums, *, level: float = 0.95) -> Adjusted | None:
    """Treatment minus control of the click rate, by CUPED on the linearised ratio; None while too few are known.

    With ``r_u = (x_u - R y_u) / mean y`` in each variant and one ``theta = cov(r, b) / var(b)`` for both, a variant's
    rate is ``R - theta (mean b - mean b of both)`` and its variance ``var(r - theta b) / n``: the same as
    :func:`online_models.experiment_stats.cuped` on :func:`~online_models.experiment_stats.linearised` values.
    """
    if min(control.users, treatment.users) < 2 or not (
        control.sums[IMPRESSIONS] and treatment.sums[IMPRESSIONS]
    ):
        return None
    parts = [_moments(sums) for sums in (control, treatment)]
    spread = sum(n * var_b for n, _, _, _, var_b, _ in parts)
    theta = sum(n * cov for n, _, _, _, _, cov in parts) / spread if spread > 0 else 0.0
    values = [rate - theta * mean_b for _, rate, mean_b, _, _, _ in parts]
    plain = sum(var_r / n for n, _, _, var_r, _, _ in parts)
    left = sum((var_r - 2 * theta * cov + theta**2 * var_b) / n for n, _, _, var_r, var_b, cov in parts)
    gap, error = values[1] - values[0], float(np.sqrt(max(left, 0.0)))
    z = float(stats.norm.ppf(0.5 + level / 2.0))
    return Adjusted(gap, gap - z * error, gap + z * error, left / plain if plain > 0 else 1.0)


def _moments(sums: UserSums) -> tuple[float, float, float, float, float, float]:
    """Users, rate, mean of ``before``, and of r and ``before`` variances and covariance."""
    n, s, p = float(sums.users), sums.sums / sums.users, sums.products / sums.users
    rate = float(s[CLICKS] / s[IMPRESSIONS])
    w = np.zeros(WIDTH)
    w[CLICKS], w[IMPRESSIONS] = 1.0 / s[IMPRESSIONS], -rate / s[IMPRESSIONS]
    few = n / (n - 1.0)
    var_b = float(p[BEFORE, BEFORE] - s[BEFORE] ** 2) * few
    return n, rate, float(s[BEFORE]), float(w @ p @ w) * few, max(var_b, 0.0), float(w @ p[:, BEFORE]) * few
