"""Pauses experiments while an error budget burns: what breaks the service must not decide which variant is better.

Each process reads its own counters. A pause is an entry of the registry's log, so all processes act alike within a
second; it ends by itself a while after the budget was last seen to burn, or when somebody resumes experiments.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from online_models import ops_signals
from online_models.drift_signal import DriftSignal
from online_models.error_budget import PAIRS, STEP_S, TOO_FAST, Burning, ErrorBudget
from online_models.errors import StoreUnavailable
from streams.registry_log import RegistryLog, change

log = logging.getLogger(__name__)

PAUSE_MS = 1_800_000
"""How long a pause lasts after the budget was last seen to burn too fast."""
HELD_OPEN_MS = 3_600_000
"""For how long no guard pauses what a person has resumed."""

Read = Callable[[], tuple[float, float]]
"""Bad and all, since the process began."""


class BurnWatch(Collector):
    """Error budgets of one process.

    Args:
        name: of the process.
        objectives: by name, the share of errors allowed and what counts them.
        tell: publishes a signal.
        now: wall clock, ms.
        clock: monotonic, s.
    """

    def __init__(
        self, name: str, registry_log: RegistryLog, objectives: Mapping[str, tuple[float, Read]],
        tell: Callable[[DriftSignal], Awaitable[None]],
        *, now: Callable[[], int], clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._who = f"guard of {name}"
        self._log, self._tell, self._now, self._clock = registry_log, tell, now, clock
        self._watched = [(ErrorBudget(slo, share), read) for slo, (share, read) in objectives.items()]
        self._told: Burning | None = None  # why experiments are paused by us

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                await self.look()
            except (StoreUnavailable, TimeoutError) as error:
                log.warning("whether experiments are to pause cannot be told to the others: %s", error)
            await asyncio.sleep(STEP_S)

    async def look(self) -> None:
        """Read the counters, and pause experiments or see that they go on."""
        for budget, read in self._watched:
            budget.observe(self._clock(), *read())
        burning = next(filter(None, (budget.burning() for budget, _ in self._watched)), None)
        now = self._now()
        if burning is not None and self._log.registry.paused_until < now + PAUSE_MS // 2:
            await self._pause(burning, now)
        elif self._told is not None and self._log.registry.paused_until <= now:
            await self._over(now)

    async def _pause(self, burning: Burning, now: int) -> None:
        if now < self._log.registry.open_until:
            return
        begins = self._log.registry.paused_until <= now
        reason = (
            f"the error budget of {burning.slo} burns {burning.long_rate:.1f} times too fast over "
            f"{burning.long_s / 60:g} minutes, {burning.short_rate:.1f} times over {burning.short_s / 60:g}"
        )
        details = {**asdict(burning), "until": now + PAUSE_MS}
        if await self._log.add(change("pause", now, who=self._who, reason=reason, details=details)):
            return  # somebody was first
        self._told = burning
        if begins:
            log.error("experiments are paused: %s", reason)
            await self._tell(ops_signals.experiments_paused(burning.slo, _rates(burning), TOO_FAST, now))

    async def _over(self, now: int) -> None:
        burning, self._told = self._told, None
        if burning is None:
            return
        log.info("experiments go on")
        rates = _rates(burning) | {
            "long_rate": self._rate(burning, burning.long_s), "short_rate": self._rate(burning, burning.short_s)
        }  # fmt: skip
        await self._tell(ops_signals.experiments_paused(burning.slo, rates, TOO_FAST, now, over=True))

    def _rate(self, burning: Burning, window_s: float) -> float:
        return next(budget.rate(window_s) for budget, _ in self._watched if budget.slo == burning.slo)

    def collect(self) -> Iterable[Metric]:
        """Burn rates as last looked at, and whether experiments are paused."""
        rates = GaugeMetricFamily(
            "freshet_error_budget_burn_ratio",
            "How fast this process uses up an error budget: 1 is just in its period",
            labels=["slo", "window"],
        )
        for budget, _ in self._watched:
            for window_s in sorted({window for pair in PAIRS for window in pair}):
                rates.add_metric([budget.slo, f"{window_s / 60:g}m"], budget.rate(window_s))
        yield rates
        paused = float(self._log.registry.paused_until > self._now())
        yield GaugeMetricFamily(
            "freshet_experiments_paused",
            "1 while experiments are paused, and all get the control",
            value=paused,
        )


def _rates(burning: Burning) -> dict[str, float]:
    return {name: float(value) for name, value in asdict(burning).items() if name != "slo"}
