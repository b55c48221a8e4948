"""What one process learns reaches the others: counts, order, click head and its calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from online_models import deltas
from online_models.base import Interaction, Query
from online_models.click_features import ClickSchema
from online_models.counters import ItemCounters
from online_models.deltas import Delta
from online_models.features import FeatureSchema
from online_models.labels import Kind, Labelled
from online_models.learner import Learner, Unlimited
from online_models.model import Model
from online_models.ranker import ClickRanker
from online_models.state import Outcome

HOUR = 3_600_000


class Telling:
    """A watch that calibrates: every label was worth a logit of 0."""

    def __init__(self, learner: Learner) -> None:
        self._calibration = learner.calibration

    def observe(self, label: Labelled, predicted: float) -> None:
        self._calibration.update(0.0, label.kind is Kind.POSITIVE, label.surface)


def learner() -> Learner:
    model = Model(hidden=0)
    return Learner(model, ClickRanker(ClickSchema.of(model.schema).names), ItemCounters(HOUR))


def labels(of: Learner, n: int, click_every: int) -> Outcome:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(n, len(of.features))).astype(np.float32)
    made = [
        Labelled(k, Kind(int(k % click_every == 0)), row, of.schema, 0, "home", 0.1, 1.0, ts=k)
        for k, row in enumerate(rows)
    ]
    return Outcome(labelled=made)


def told(by: Learner, name: str) -> Delta:
    interactions, learners = by.take()
    return deltas.decode(deltas.encode(Delta(name, 1, interactions, learners)))


def test_a_process_without_labels_of_its_own_calibrates_by_the_mean_of_the_workers() -> None:
    workers = [learner(), learner()]
    listener = learner()
    for number, (worker, click_every) in enumerate(zip(workers, (5, 20), strict=True)):
        worker.watch = Telling(worker)
        worker.learn(labels(worker, 400, click_every))
        listener.hear(told(worker, f"w{number}"))
    own = [worker.calibration.get("home")[1] for worker in workers]
    assert own[0] > own[1]
    assert abs(listener.calibration.get("home")[1] - sum(own) / 2) < 1e-9


def test_a_worker_keeps_its_own_calibration_whatever_others_say() -> None:
    worker, other = learner(), learner()
    for one in (worker, other):
        one.watch = Telling(one)
    worker.learn(labels(worker, 100, 2))
    other.learn(labels(other, 100, 50))
    before = worker.calibration.get("home")
    worker.hear(told(other, "other"))
    assert worker.calibration.get("home") == before


def test_a_click_schema_is_another_when_the_ordering_head_reads_other_features() -> None:
    """A snapshot names this version alone, and is refused by it."""
    one = FeatureSchema.of(["popular"])
    other = replace(one, version="of-another-kind")
    assert ClickSchema.of(one).names == ClickSchema.of(other).names
    assert ClickSchema.of(one).version != ClickSchema.of(other).version


def test_labels_of_another_feature_schema_are_counted_and_not_learnt() -> None:
    one = learner()
    outcome = labels(one, 4, 2)
    stale = [
        Labelled(x.item, x.kind, x.features, "c0-old", 0, "home", 0.1, 1.0, ts=1) for x in outcome.labelled
    ]
    one.learn(Outcome(labelled=stale))
    assert one.ranker.examples == 0 and one.stats["labels_of_other_schema"] == 4


def test_a_frozen_learner_counts_on_and_learns_nothing() -> None:
    one = learner()
    one.frozen = True
    one.learn(labels(one, 10, 2))
    assert one.ranker.examples == 0 and one.stats["frozen"] == 10


def _history(user: int, items: tuple[int, ...], item: int) -> Outcome:
    times = tuple(range(len(items), 0, -1))
    return Outcome(interactions=[Interaction(user, item, 100, items, times)])


class _Hours:
    """A budget of so many beginnings."""

    def __init__(self, left: int) -> None:
        self.left = left

    def begin(self) -> bool:
        return self.left > 0

    def end(self) -> None:
        self.left -= 1


def test_where_no_slate_was_remembered_the_order_is_learnt_within_the_budget() -> None:
    one = learner()
    one.order_budget = _Hours(2)
    for user in range(5):
        one.learn(_history(user, (1, 2), 3))
    assert one.stats["ordered_as_of_before"] == 2
    assert one.stats["order_over_budget"] == 3


def test_without_a_budget_or_a_history_nothing_is_made_up() -> None:
    one = learner()
    one.learn(_history(1, (1, 2), 3))
    one.order_budget = Unlimited()
    one.learn(_history(2, (), 3))
    assert not one.stats


def test_what_is_learnt_so_is_what_a_slate_after_the_previous_event_would_have_taught() -> None:
    made, shown = learner(), learner()
    made.order_budget = Unlimited()
    for user in range(40):
        before, target = ((1, 2), 3) if user % 2 else ((4, 5), 6)
        exclude = np.array(before, dtype=np.int32)
        if user > 1:
            shown.remember(user, shown.model.candidates(Query(user, before, (2, 1), 2), exclude=exclude))
        for one in (made, shown):
            one.learn(_history(user, before, target))
    assert made.model.head.examples == shown.model.head.examples > 0
    assert np.array_equal(made.model.head.parameters["linear"], shown.model.head.parameters["linear"])


class Reading:
    """A watch that reads what the click head says of each slot when it is judged."""

    def __init__(self, learner: Learner) -> None:
        self._ranker = learner.ranker
        self.read: list[float] = []

    def observe(self, label: Labelled, predicted: float) -> None:
        self.read.append(self._ranker.logit(label.features, label.position, label.surface))


def test_a_slate_is_judged_whole_before_any_of_its_clicks_lifts_what_is_expected_of_the_others() -> None:
    worker = learner()
    worker.watch = watch = Reading(worker)
    row = np.ones(len(worker.features), dtype=np.float32)
    slate = [
        Labelled(k, Kind(int(k == 0)), row, worker.schema, 0, "home", 0.1, 1.0, ts=9, served=5)
        for k in range(10)
    ]
    before = worker.ranker.logit(row, 0, "home")
    worker.learn(Outcome(labelled=slate))
    assert watch.read == [before] * 10
    assert worker.ranker.logit(row, 0, "home") != before, "and then it was learnt"
