"""Whether what is shown closes in on itself: coverage, concentration, diversity and novelty of slates, watched live.

Blocks of slates are measured, and each figure is kept on a chart of its own: Page's cumulative sums ("Continuous
inspection schemes", Biometrika 1954), in standard deviations of the blocks it began with. A sum finds the slow fall
that a comparison of neighbouring windows never sees, since both of them fall. ADWIN, which watches clicks, wants a
thousand values where there are some ten blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids
from online_models.diversity import gini_of_shown, intra_list_diversity, novelty
from online_models.drift import LARGE
from online_models.drift_monitor import Hushed
from online_models.drift_signal import DriftSignal

RUNBOOK = "docs/runbooks/feedback-loop.md"
WORSE = {"coverage": -1.0, "gini": 1.0, "diversity": -1.0, "novelty": -1.0}
"""In which direction each figure moves as a bubble forms."""
_FLAT = 1e-3
"""Of the mean: a baseline that hardly moves is taken to move by so much."""


class Chart:
    """The cumulative sum of one figure's moves for the worse.

    Args:
        worse: 1 where a rise is worse, -1 where a fall is.
        baseline: values that say what is usual, at least 2.
        slack: standard deviations that a value may be off without counting.
        limit: of the sum, in standard deviations. 12 beyond a slack of 0.5: about one needless signal in a million
            independent values; neighbouring blocks are alike, so that there are more.

    >>> chart = Chart(1.0, baseline=4)
    >>> [chart.update(v) for v in (1.0, 2.0, 1.0, 2.0, 9.0)][-1] > 0.0
    True
    """

    def __init__(self, worse: float, *, baseline: int = 50, slack: float = 0.5, limit: float = 12.0) -> None:
        if baseline < 2 or slack < 0.0 or limit <= 0.0:
            raise ValueError("baseline must be at least 2, slack at least 0, limit above 0")
        self._worse, self._wanted, self._slack, self.limit = worse, baseline, slack, limit
        self._values: list[float] = []
        self.mean = self._deviation = self.sum = 0.0
        self._rising: list[float] = []

    @property
    def ready(self) -> bool:
        """Whether what is usual is known."""
        return len(self._values) >= self._wanted

    @property
    def lately(self) -> float:
        """The mean since the sum last rose from 0; the usual one while it is 0."""
        return float(np.mean(self._rising)) if self._rising else self.mean

    @property
    def since(self) -> int:
        """For how many values the sum has been above 0."""
        return len(self._rising)

    def update(self, value: float) -> float:
        """Take a value; by how many times the sum exceeds its limit, 0 while it does not. The next one begins anew."""
        if not self.ready:
            self._values.append(value)
            if len(self._values) == self._wanted:
                self.mean, usual = float(np.mean(self._values)), float(np.std(self._values))
                self._deviation = max(usual, _FLAT * abs(self.mean), 1e-9)
            return 0.0
        off = self._worse * (value - self.mean) / self._deviation - self._slack
        self.sum = max(0.0, self.sum + off)
        self._rising = [*self._rising, value][-1_000:] if self.sum else []
        return self.sum / self.limit if self.sum > self.limit else 0.0

    def restart(self) -> None:
        """What comes now is the new usual."""
        self._values, self._rising, self.sum = [], [], 0.0


@dataclass(slots=True)
class _Block:
    slates: list[Ids] = field(default_factory=list)
    diversity: list[float] = field(default_factory=list)
    novelty: list[float] = field(default_factory=list)


class BubbleWatch:
    """Measures slates and says when they close in.

    Args:
        vectors: of items, normalised, float32[n, d].
        shown: impressions of items, int64[n], and of all together.
        items: how many there are on offer.
        block: slates measured together, at least 1.
        kept: blocks that :attr:`latest` looks back on.
        warm_up: blocks before the first baseline: in the beginning everything moves as tastes are learnt.

    >>> unlike = np.eye(9, dtype=np.float32)
    >>> watch = BubbleWatch(lambda ids: unlike[ids], lambda ids: (ids * 0 + 1, 9), lambda: 9, block=1)
    >>> watch.served(np.array([0, 1, 2]), ts=0)
    >>> watch.latest["coverage"], watch.latest["diversity"]
    (0.3333333333333333, 1.0)
    """

    def __init__(
        self,
        vectors: Callable[[Ids], NDArray[np.float32]],
        shown: Callable[[Ids], tuple[NDArray[np.int64], int]],
        items: Callable[[], int],
        *,
        block: int = 100,
        kept: int = 10,
        warm_up: int = 20,
    ) -> None:
        if block < 1 or kept < 1:
            raise ValueError(f"block and kept must be at least 1, not {block} and {kept}")
        self._vectors, self._shown, self._items = vectors, shown, items
        self.block, self.warm_up = block, warm_up
        self.latest: dict[str, float] = {}
        self.blocks = 0
        self.charts = {name: Chart(worse) for name, worse in WORSE.items()}
        self._now = _Block()
        self._before: deque[_Block] = deque(maxlen=kept)
        self._hushed = Hushed()
        self._signals: list[DriftSignal] = []

    def served(self, ids: Ids, ts: int) -> None:
        """A slate was served; one of nothing is left out."""
        if not len(ids):
            return
        shown, total = self._shown(ids)
        self._now.slates.append(ids)
        self._now.diversity.append(intra_list_diversity(self._vectors(ids)))
        self._now.novelty.append(novelty(shown, total))
        if len(self._now.slates) >= self.block:
            self._close(ts)

    def take_signals(self) -> list[DriftSignal]:
        """Signals since the last call."""
        signals, self._signals = self._signals, []
        return signals

    def _close(self, ts: int) -> None:
        self._before.append(self._now)
        of_block, self._now = self._figures([self._now]), _Block()
        self.latest = self._figures(list(self._before))
        self.blocks += 1
        if self.blocks <= self.warm_up:
            return
        found = [
            self._signal(name, ts) for name, chart in self.charts.items() if chart.update(of_block[name])
        ]
        self._signals += self._hushed.admit(found)
        if found:  # what is told is the new usual, of all of them: they move together
            for chart in self.charts.values():
                chart.restart()

    def _figures(self, blocks: list[_Block]) -> dict[str, float]:
        counts = np.unique(np.concatenate([ids for b in blocks for ids in b.slates]), return_counts=True)[1]
        items = max(self._items(), len(counts))
        return {
            "coverage": len(counts) / items,
            "gini": gini_of_shown(counts, items),
            "diversity": float(np.mean([one for b in blocks for one in b.diversity])),
            "novelty": float(np.mean([one for b in blocks for one in b.novelty])),
        }

    def _signal(self, name: str, ts: int) -> DriftSignal:
        chart = self.charts[name]
        before, after = chart.mean, chart.lately
        large = not 1.0 / LARGE < after / max(before, 1e-12) < LARGE
        return DriftSignal(
            name=f"{name}:slates", cause="bubble", detector="cusum", statistic=chart.sum, threshold=chart.limit,
            window=chart.since * self.block, severity="critical" if large else "warning", runbook=RUNBOOK, ts=ts,
            evidence={"before": before, "after": after, **{f"now.{k}": v for k, v in self.latest.items()}},
        )  # fmt: skip
