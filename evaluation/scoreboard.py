"""How good slates were in a simulated world, beside random, popular and the best possible ones.

Click rates are the expected ones, by the world's truth, at the same user and moment: the comparison is free of the
noise of who happened to click.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from evaluation.simulator import World

ARMS = ("policy", "random", "popular", "oracle")


@dataclass(slots=True)
class Scoreboard:
    """Expected click rates per slot, over all slates and per window of time.

    Args:
        window_ms: length of the windows of :meth:`curve`.
        windows_max: windows kept; the oldest go first.

    ``last`` holds the rates of the slate that was added last, by arm.
    """

    world: World
    window_ms: int = 5_000
    windows_max: int = 10_000
    slates: int = 0
    new_item_slots: int = 0
    slots: int = 0
    last: dict[str, float] = field(default_factory=dict)
    _sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ARMS, 0.0))
    _windows: dict[int, tuple[int, dict[str, float]]] = field(default_factory=dict)

    def add(self, user_id: str, slate: Sequence[str], now: int, acted: Collection[str] = ()) -> None:
        """Score a slate of the policy; ``acted`` are items the others leave out as well."""
        if not slate:
            return
        world, n = self.world, len(slate)
        rates = {
            "policy": world.expected(user_id, slate, now),
            "random": world.expected(user_id, world.random(user_id, n, now, acted), now),
            "popular": world.expected(user_id, world.popular(user_id, n, now, acted), now),
            "oracle": world.expected(user_id, world.oracle(user_id, n, now, acted), now),
        }
        self.last = rates
        self.slates += 1
        self.slots += n
        self.new_item_slots += sum(world.is_new(item) for item in slate)
        self._tally(rates, now)

    def _tally(self, rates: dict[str, float], now: int) -> None:
        window = (now - self.world.config.start_ms) // self.window_ms
        count, sums = self._windows.get(window, (0, dict.fromkeys(ARMS, 0.0)))
        for arm, rate in rates.items():
            self._sums[arm] += rate
            sums[arm] += rate
        self._windows[window] = (count + 1, sums)
        while len(self._windows) > self.windows_max:
            del self._windows[min(self._windows)]

    def rates(self) -> dict[str, float | None]:
        """``ctr_policy``, ``ctr_random``, ``ctr_popular``, ``ctr_oracle``; None before the first slate."""
        return {f"ctr_{a}": self._sums[a] / self.slates if self.slates else None for a in ARMS}

    def regret(self) -> float | None:
        """Expected clicks per slot left behind by the policy, against the best slates."""
        return (self._sums["oracle"] - self._sums["policy"]) / self.slates if self.slates else None

    def curve(self) -> list[tuple[int, int, dict[str, float]]]:
        """By window: its start after the world's (ms), slates in it, mean rate by arm."""
        return [
            (window * self.window_ms, count, {arm: total / count for arm, total in sums.items()})
            for window, (count, sums) in sorted(self._windows.items())
        ]
