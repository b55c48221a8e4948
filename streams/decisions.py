"""What a process must hear to decide as all others do: experiments declared, the registry's changes, results so far."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import orjson
from aiokafka import ConsumerRecord

from online_models.registry import Registry
from online_models.store import Store
from serving.experiments import Experiments
from serving.recommender import Recommender
from serving.results_board import ResultsBoard
from streams.broadcast import BroadcastReader
from streams.experiments_file import ExperimentsFile
from streams.overrides import check_for
from streams.registry_log import RegistryLog
from streams.settings import Settings
from streams.topics import EXPERIMENT_RESULTS, topic_name


class Decisions:
    """Keeps a recommender in step.

    Raises:
        SettingsError: the file of experiments does not hold.
    """

    def __init__(
        self, settings: Settings, client: Mapping[str, Any], store: Store, recommender: Recommender
    ) -> None:
        self._recommender = recommender
        self.board = ResultsBoard()
        self.log = RegistryLog(store, self._follow)
        self.file = ExperimentsFile(settings.experiments_file, self._declare, check_for(settings))
        topic = topic_name(settings.namespace, EXPERIMENT_RESULTS)
        self.results = BroadcastReader(topic, client, self.hear)

    @property
    def registry(self) -> Registry:
        """The state of versions and switches."""
        return self.log.registry

    def running(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What runs for ever."""
        return self.log.run(), self.file.run(), self.results.run()

    async def hear(self, records: Sequence[ConsumerRecord]) -> None:
        """Take results of workers in, and look at them once."""
        for record in records:
            self.board.hear(read(record.value))
        self.board.look()

    def report(self) -> dict[str, Any]:
        """All experiments, and which version answers whom."""
        registry = self.registry
        return {
            "experiments": self.board.report(),
            "model": {
                "live": registry.live, "canary": registry.canary or None, "share": registry.share,
                "frozen": registry.frozen, "exploring": registry.exploring and self._recommender.exploring,
                "versions": {v.name: v.state for v in registry.versions.values()},
                "log_loss": self.board.losses(),
            },
        }  # fmt: skip

    def _declare(self, experiments: Experiments) -> None:
        self._recommender.declare(experiments)
        self.board.plan = experiments.plan

    def _follow(self, registry: Registry) -> None:
        self._recommender.follow(registry)
        if registry.canary:
            self.board.canary_share = registry.share


def read(value: bytes | None) -> dict[str, Any]:
    """A record of ``experiment-results``; empty for one that is none."""
    try:
        told = orjson.loads(value or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}
