"""A share of one CPU for work that can be left out, measured by a clock that is given."""

from __future__ import annotations

from collections.abc import Callable

from streams.slates import CpuBudget


class Metered:
    """A :class:`online_models.learner.Budget` over a token bucket.

    Args:
        clock: s, monotonic.

    >>> times = iter([0.0, 0.4, 0.5])
    >>> metered = Metered(CpuBudget(share=0.5, burst_s=0.1), lambda: next(times))
    >>> metered.begin(), metered.end(), metered.begin()
    (True, None, False)
    """

    def __init__(self, budget: CpuBudget, clock: Callable[[], float]) -> None:
        self._budget, self._clock = budget, clock
        self._begun = 0.0

    def begin(self) -> bool:
        """Whether there is time left."""
        self._begun = self._clock()
        self._budget.refill(self._begun)
        return self._budget.allows

    def end(self) -> None:
        """What was done since :meth:`begin` is paid."""
        self._budget.spend(self._clock() - self._begun)
