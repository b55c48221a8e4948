"""A worker's part in experiments: tells what its users did, and takes a harmful canary back by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson

from online_models import ops_signals
from online_models.canary_guard import Guard, Harm
from online_models.counters import CLICK
from online_models.experiment_results import ExperimentResults
from online_models.state import Outcome
from online_models.user_sums import UserSums
from streams.decisions import Decisions
from streams.monitor import Monitor
from streams.outputs import Message, Outputs
from streams.registry_log import change
from streams.topics import EXPERIMENT_RESULTS

log = logging.getLogger(__name__)

LOOK_S = 1.0
BEFORE = "user.click_rate"
"""The feature that CUPED takes as known from before: the user's fading click rate as served with the first slate."""


class CanaryWatch:
    """Results of one worker, and the guard that reads those of all.

    Args:
        name: of the worker.
        features: of the click head, in order.
        now: wall clock, ms.
    """

    def __init__(
        self, name: str, decisions: Decisions, monitor: Monitor, outputs: Outputs, features: tuple[str, ...],
        *, now: Callable[[], int], every_s: float, guard: Guard | None = None,
    ) -> None:  # fmt: skip
        before = features.index(BEFORE) if BEFORE in features else None
        self.mine = ExperimentResults(before=before)
        self.guard = guard or Guard()
        self._name, self._decisions, self._monitor, self._outputs = name, decisions, monitor, outputs
        self._now, self._every_s = now, every_s
        self._told = 0

    def committed(self, outcome: Outcome) -> None:
        """Count what a committed batch says of variants."""
        for label in outcome.labelled:
            if label.action == CLICK and (label.variant or self.mine.variants):
                self.mine.observe(label)
        self.mine.served(outcome.exposures)

    def message(self) -> Message | None:
        """All results of this worker, where they have changed since last told."""
        if self.mine.changes == self._told:
            return None
        self._told = self.mine.changes
        told: dict[str, Any] = {
            "v": 1, "id": f"{self._name}-{self._told}", "worker": self._name, "ts": self._now(),
            "variants": self.mine.told(), "tests": self._decisions.board.looks(),
            "losses": self._monitor.losses.told() if self._monitor.losses is not None else {},
        }  # fmt: skip
        return Message(EXPERIMENT_RESULTS, self._name, orjson.dumps(told))

    async def tell(self) -> None:
        """Tell for ever."""
        while True:
            await asyncio.sleep(self._every_s)
            if (message := self.message()) is not None:
                await self._outputs.deliver([message])

    async def watch(self) -> None:
        """Look for harm for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> Harm | None:
        """Take the canary back if it does harm: in this process at once, in the others as they read the log."""
        registry = self._decisions.registry
        if not registry.canary:
            return None
        version, totals = registry.canary, self._decisions.board.totals
        live, canary = (totals.get(f"model:{version}/{side}") or UserSums() for side in ("live", "canary"))
        harm = self.guard.judge(live, canary)
        if harm is not None:
            await self._roll_back(version, harm)
        return harm

    async def _roll_back(self, version: str, harm: Harm) -> None:
        await self._decisions.log.catch_up()
        if self._decisions.registry.canary != version:
            return  # another worker was first
        ts = self._now()
        made = change(
            "rollback",
            ts,
            who=f"guard of {self._name}",
            version=version,
            reason=harm.reason,
            details=asdict(harm),
        )
        log.error("%s is taken back: %s", version, harm.reason)
        if not await self._decisions.log.add(made):
            self._monitor.tell(ops_signals.rolled_back(version, asdict(harm), ts))
