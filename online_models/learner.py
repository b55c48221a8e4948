"""What one process has learnt, and how it learns more: from its own committed events and from other workers' deltas.

Order within a batch is the order of the log: predict, measure, learn. Everything here happens after the commit, so
that a refused batch has taught nothing; a crash loses at most what was learnt since the last delta was sent.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from online_models.base import Arrays, Interaction, Query
from online_models.calibration import Calibration, combined
from online_models.candidates import Candidates
from online_models.click_features import ClickSchema
from online_models.closing import ClosingOrder
from online_models.counters import CLICK, CounterBatch, ItemCounters
from online_models.counters_wire import from_arrays, to_arrays
from online_models.deltas import Delta
from online_models.errors import DeltaRefused
from online_models.events import Item
from online_models.examination import Examination
from online_models.heads import BASE, Heads, OwnWeights, Recipe, challenger
from online_models.labels import Kind, Labelled
from online_models.model import FLOOR, Model
from online_models.objectives import Objectives
from online_models.ranker import ClickRanker
from online_models.registry import Registry
from online_models.state import Outcome

MAX_UNSENT = 100_000
"""Interactions kept for the next delta; the oldest beyond it are dropped and counted."""

MAX_WORKERS = 64
"""Workers whose calibration is remembered, the last heard."""


class Watch(Protocol):
    """Told of every labelled slot and the probability it was given, before it is learnt."""

    def observe(self, label: Labelled, predicted: float) -> None:
        """Measure, and look for drift."""


class Budget(Protocol):
    """Says whether there is time for work that can be left out; who keeps it has the clock."""

    def begin(self) -> bool:
        """Whether such work may begin now."""

    def end(self) -> None:
        """The work that began is done."""


class Unlimited:
    """A budget that never ends."""

    def begin(self) -> bool:
        """Always."""
        return True

    def end(self) -> None:
        """Nothing is counted."""


class Learner:
    """Models and counters of one process.

    Args:
        calibration: of the click head, moved by ``watch``; one of its own when not given.
        objectives: the heads of further actions; none when not given.
        watch: told of each labelled slot before it is learnt; None measures nothing.
        remembered: how many users' latest candidates are kept for the ordering head to learn from.

    Where no slate was remembered (another process served it, or nobody did) the ordering head learns from candidates
    as of the user's previous event, within :attr:`order_budget`; without a budget it does not.
    """

    def __init__(
        self,
        model: Model,
        ranker: ClickRanker,
        counters: ItemCounters,
        *,
        calibration: Calibration | None = None,
        objectives: Objectives | None = None,
        watch: Watch | None = None,
        remembered: int = 4_096,
    ) -> None:
        if remembered < 1:
            raise ValueError(f"remembered must be at least 1, not {remembered}")
        self.model, self.ranker, self.counters = model, ranker, counters
        self.calibration = calibration or Calibration()
        self.examination = Examination()
        self.objectives = objectives or Objectives(ranker.features)
        self.watch = watch
        self._click = ClickSchema.of(model.schema)
        if ranker.features != self._click.names:
            raise ValueError("ranker must read the features of ClickSchema.of(model.schema), in their order")
        self.stats: Counter[str] = Counter()
        self._remembered = remembered
        self._candidates: OrderedDict[int, tuple[Candidates, str]] = OrderedDict()  # and for which variants
        # by partition and action: each closes its windows at its own time
        self._closing: dict[tuple[str, str], ClosingOrder] = {}
        self._unsent: list[Interaction] = []
        self._uncounted = CounterBatch(counters.half_life_ms)
        self._stored: dict[str, Arrays] = {}  # of versions that may yet be held
        self._calibrations: OrderedDict[str, Arrays] = OrderedDict()  # of the workers heard
        self.heads = {BASE: Heads(BASE, model.head, ranker, self.calibration)}
        self.live = BASE
        self.frozen = False
        self.order_budget: Budget | None = None

    def follow(self, registry: Registry) -> None:
        """Hold the versions that the registry wants ready; each begins, learns and rests as it says."""
        for name in registry.held:
            if name not in self.heads:
                self.heads[name] = self._challenger(name, Recipe.of(registry.versions[name].recipe))
        for name in [
            name for name, of in self.heads.items() if name not in (*registry.held, BASE) and not of.only
        ]:
            del self.heads[name]
        for name, heads in self.heads.items():
            heads.learning = not registry.frozen if heads.only else registry.learns(name)
        self.live, self.frozen = registry.live, registry.frozen

    def give_own(self, declared: Mapping[str, OwnWeights]) -> None:
        """Hold weights of their own for variants of experiments; they begin as the live ones, or as they were saved."""
        for name in [name for name, of in self.heads.items() if of.only and name not in declared]:
            del self.heads[name]
        for name, own in declared.items():
            if name not in self.heads:
                self.heads[name] = made = self._challenger(name, Recipe.of(own.recipe))
                made.only, made.learning = own.label, not self.frozen

    def _challenger(self, name: str, recipe: Recipe) -> Heads:
        schema, like = self.model.schema, self.heads[self.live]
        floor = {feature: weight for feature, weight in FLOOR.items() if feature in schema.names}
        made = challenger(
            name, recipe, like, schema=schema, floor=floor, surfaces=self.ranker.surfaces, seed=0
        )
        made.load(self._stored)
        return made

    @property
    def schema(self) -> str:
        """The version of the features this process computes and learns from."""
        return self._click.version

    @property
    def features(self) -> tuple[str, ...]:
        """Their names, in the order of the rows of an exposure."""
        return self._click.names

    @property
    def click_weight(self) -> float:
        """How much the base's click head has to say in the order."""
        return self.heads[BASE].click_weight

    def remember(self, user: int, candidates: Candidates, variant: str = "") -> None:
        """Keep what a slate was chosen from, with its features as served, for the user's next action."""
        self._candidates[user] = candidates, variant
        self._candidates.move_to_end(user)
        if len(self._candidates) > self._remembered:
            self._candidates.popitem(last=False)

    def note_item(self, number: int, item: Item, ts: int) -> None:
        """A catalogue entry: its content makes the item retrievable at once."""
        self.model.note_item(number, ts, title=item.title, tags=tuple(item.tags), embedding=item.embedding)

    # ------------------------------------------------------------------ own events

    def learn(self, outcome: Outcome) -> None:
        """Learn from one committed micro-batch."""
        if outcome.counts is not None:
            self.counters.apply(outcome.counts)
            self._uncounted.merge(outcome.counts)
        if self.frozen:
            self.stats["frozen"] += len(outcome.interactions) + len(outcome.labelled)
            return
        shown = {(label.user, label.item) for label in outcome.labelled if label.kind is not Kind.NEGATIVE}
        for x in outcome.interactions:
            self._interaction(x, organic=(x.user, x.item) not in shown)
        self._labels(outcome)
        self._unsent.extend(outcome.interactions)
        if len(self._unsent) > MAX_UNSENT:
            self.stats["unsent_dropped"] += len(self._unsent) - MAX_UNSENT
            del self._unsent[:-MAX_UNSENT]

    def _interaction(self, x: Interaction, *, organic: bool) -> None:
        remembered = self._candidates.pop(x.user, None)
        if remembered is not None:
            candidates, variant = remembered
            self._recall(candidates, x.item, "organic" if organic else "shown")
            for heads in self.heads.values():
                heads.learn_order(candidates, x.item, variant)
            self.stats["ordered"] += 1
        elif x.recent and self.order_budget is not None:
            self._order_as_of_before(x, self.order_budget)
        self.model.learn_one(x)

    def _recall(self, candidates: Candidates, item: int, how: str) -> None:
        """Count whether the candidates held what was acted on: found by the user alone, or shown by us."""
        self.stats[f"choice.{how}"] += 1
        at = candidates.place(item)
        if at is not None:
            self.stats[f"held.{how}.{self.model.sources[candidates.source[at]]}"] += 1

    def _order_as_of_before(self, x: Interaction, budget: Budget) -> None:
        """Learn the order from what a slate could have held after the user's previous event."""
        if not budget.begin():
            self.stats["order_over_budget"] += 1
            return
        query = Query(x.user, x.recent, x.recent_ts, x.recent_ts[0])
        candidates = self.model.candidates(query, exclude=np.array(x.recent, dtype=np.int32))
        self.model.learn_order(candidates, x.item)
        self.stats["ordered_as_of_before"] += 1
        budget.end()

    def _labels(self, outcome: Outcome) -> None:
        """Judge all labels that are ready, then learn them.

        A slate's labels come together. Were each judged after those before it are learnt, a click would lift what is
        expected of its neighbours, and the calibration would take that for what was foretold of them.
        """
        ready: list[Labelled] = []
        for label in outcome.labelled:
            order = self._closing.setdefault((outcome.source, label.action), ClosingOrder())
            ready += order.take(label)
        for label in ready:
            if label.action == CLICK:
                self._judge(label)
        for label in ready:
            self._label(label)

    def _judge(self, label: Labelled) -> None:
        if self.watch is not None:
            self.watch.observe(label, label.probability)
        if label.schema == self.schema:
            for heads in self.heads.values():
                heads.judge(label)

    def _label(self, label: Labelled) -> None:
        if label.schema != self.schema:
            self.stats["labels_of_other_schema"] += 1
            return
        if label.action != CLICK:
            self.objectives.learn(label)
            return
        for heads in self.heads.values():
            heads.learn_label(label)

    # ------------------------------------------------------------------ exchange

    def take(self) -> tuple[tuple[Interaction, ...], dict[str, Arrays]]:
        """What was learnt here since last asked."""
        learners = {part: told for heads in self.heads.values() for part, told in heads.take_delta().items()}
        learners |= self.objectives.take_delta()
        if self._uncounted.counts:
            learners["counters"] = to_arrays(self._uncounted)
            self._uncounted = CounterBatch(self.counters.half_life_ms)
        if self.watch is not None and "click" in learners:
            learners["calibration"] = self.calibration.arrays()
        interactions, self._unsent = tuple(self._unsent), []
        return interactions, learners

    def hear(self, delta: Delta) -> None:
        """Apply what another worker learnt.

        Raises:
            DeltaRefused: a part of it would do harm; the parts before it are applied.
        """
        if "counters" in delta.learners:
            self.counters.apply(from_arrays(delta.learners["counters"], self.counters.half_life_ms))
        if self.frozen:
            return
        if "calibration" in delta.learners and self.watch is None:
            self._calibrate(delta.worker, delta.learners["calibration"])
        for x in delta.interactions:
            self.model.learn_one(x)
        for heads in self.heads.values():
            if harmful := heads.merge(delta.learners, labelled_here=self.watch is not None):
                raise DeltaRefused(f"{harmful}: the gradients of {delta.worker} are out of bounds")
        if harmful := self.objectives.merge(delta.learners):
            raise DeltaRefused(f"{harmful}: the sums of {delta.worker} are out of bounds")

    def _calibrate(self, worker: str, told: Arrays) -> None:
        """Who sees no labels takes the mean of what the workers say, of the last that were heard."""
        self._calibrations.pop(worker, None)
        self._calibrations[worker] = told
        if len(self._calibrations) > MAX_WORKERS:
            self._calibrations.popitem(last=False)
        self.calibration.load(combined(self._calibrations.values()))

    # ------------------------------------------------------------------ snapshots

    def components(self) -> dict[str, Arrays]:
        """All learnt state as arrays, by component."""
        return {
            "model": self.model.arrays(),
            "click": self.ranker.arrays(),
            "counters": self.counters.arrays(),
            "calibration": self.calibration.arrays(),
            "examination": self.examination.arrays(),
            **self.objectives.components(),
        } | {
            part: arrays
            for heads in self.heads.values()
            if heads.version != BASE
            for part, arrays in heads.components().items()
        }

    def load(self, components: Mapping[str, Arrays]) -> None:
        """Restore what :meth:`components` gave."""
        self.model.load(components["model"])
        self.ranker.load(components["click"])
        self.counters.load(components["counters"])
        self.calibration.load(components["calibration"])
        if "examination" in components:  # older snapshots hold none
            self.examination.load(components["examination"])
        self.objectives.load(components)
        self._stored = {name: arrays for name, arrays in components.items() if "@" in name}
        for heads in self.heads.values():
            heads.load(self._stored)
