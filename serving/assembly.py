"""What one process learns with and answers from, built in one place: for a worker, an API replica, a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from online_models.catalog import Catalog
from online_models.click_features import ClickSchema
from online_models.counters import ItemCounters
from online_models.drift_monitor import DriftMonitor
from online_models.events import Item
from online_models.interning import Interner
from online_models.learner import Learner
from online_models.model import Model
from online_models.objectives import Objectives
from online_models.ranker import ClickRanker
from online_models.watch import QualityWatch
from online_models.windows import Window
from serving.recommender import Recommender
from serving.types import SurfacePolicy


@dataclass(frozen=True, slots=True)
class Parts:
    """Models, counters and catalogue of one process, what answers from them, and what measures them."""

    learner: Learner
    catalog: Catalog
    interner: Interner
    recommender: Recommender
    watch: QualityWatch

    def note_item(self, number: int, item: Item, ts: int) -> None:
        """A catalogue entry; ``ts`` stands for the moment of its arrival where it names none."""
        self.catalog.upsert(number, item, ts)
        self.learner.note_item(number, item, item.created_at or item.ts or ts)


def assemble(
    surfaces: Mapping[str, SurfacePolicy],
    *,
    seed: int = 0,
    half_life_ms: int = 86_400_000,
    negative_rate: float = 1.0,
    candidates: int = 200,
    namespace: str = "freshet",
    exploring: bool = True,
    windows: Mapping[str, Window] | None = None,
    model: Model | None = None,
) -> Parts:
    """The parts, with nothing learnt yet; nothing is watched until ``learner.watch`` is set.

    Args:
        surfaces: how slates are made, by surface; the first stands for any other.
        windows: the actions beside the click that have a head, and how each is waited for.
        model: one of its own, in place of the model as shipped.

    >>> parts = assemble({"default": SurfacePolicy()})
    >>> parts.learner.features == parts.watch.ranker.features
    True
    """
    model = model or Model(seed=seed)
    names = ClickSchema.of(model.schema).names
    ranker = ClickRanker(names, surfaces=tuple(surfaces), negative_rate=negative_rate)
    catalog, interner = Catalog(), Interner()
    objectives = Objectives(names, windows, surfaces=tuple(surfaces))
    learner = Learner(model, ranker, ItemCounters(half_life_ms), objectives=objectives)
    watch = QualityWatch(
        ranker,
        DriftMonitor(ranker.features, expected_series=3 * max(len(surfaces), 1)),
        calibration=learner.calibration,
        examination=learner.examination,
    )
    recommender = Recommender(
        learner, catalog, interner, surfaces, candidates=candidates, namespace=namespace
    )
    recommender.exploring = exploring
    return Parts(learner, catalog, interner, recommender, watch)
