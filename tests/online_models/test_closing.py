"""Clicks wait for the negatives of their time, so that a young click head does not see clicks alone."""

import numpy as np
import pytest

from online_models.click_features import ClickSchema
from online_models.closing import ClosingOrder
from online_models.counters import ItemCounters
from online_models.labels import Kind, Labelled
from online_models.learner import Learner
from online_models.model import Model
from online_models.ranker import ClickRanker
from online_models.state import Outcome

ROW = np.zeros(1, dtype=np.float32)


def label(item: int, kind: Kind, served: int, row: np.ndarray = ROW, schema: str = "s") -> Labelled:
    return Labelled(item, kind, row, schema, 0, "home", 0.1, 1.0, ts=served + 5, served=served)


def test_a_click_is_learnt_just_before_the_first_negative_served_no_earlier() -> None:
    order = ClosingOrder()
    assert order.take(label(1, Kind.POSITIVE, 10)) == []
    assert [x.item for x in order.take(label(2, Kind.NEGATIVE, 9))] == [2]
    assert [x.item for x in order.take(label(3, Kind.NEGATIVE, 10))] == [1, 3]
    assert len(order) == 0


def test_clicks_come_out_in_the_order_their_slates_were_served() -> None:
    order = ClosingOrder()
    for item, served in ((1, 30), (2, 10), (3, 10)):
        order.take(label(item, Kind.POSITIVE, served))
    assert [x.item for x in order.take(label(9, Kind.NEGATIVE, 30))] == [2, 3, 1, 9]


def test_a_correction_does_not_wait() -> None:
    assert len(ClosingOrder().take(label(1, Kind.CORRECTION, 10))) == 1


def test_beyond_the_cap_the_oldest_click_goes_on() -> None:
    order = ClosingOrder(most=1)
    assert order.take(label(1, Kind.POSITIVE, 10)) == []
    assert [x.item for x in order.take(label(2, Kind.POSITIVE, 20))] == [1]
    with pytest.raises(ValueError, match="most"):
        ClosingOrder(most=0)


def test_before_any_window_has_closed_clicks_alone_do_not_raise_what_is_predicted() -> None:
    model = Model()
    learner = Learner(model, ClickRanker(ClickSchema.of(model.schema).names), ItemCounters(1_000))
    row = np.ones(len(learner.features), dtype=np.float32)
    before = learner.ranker.predict_many(row[None])[0]
    clicks = [label(k, Kind.POSITIVE, 10 + k, row, learner.schema) for k in range(50)]
    learner.learn(Outcome(labelled=clicks))
    assert learner.ranker.predict_many(row[None])[0] == before
    learner.learn(Outcome(labelled=[label(99, Kind.NEGATIVE, 99, row, learner.schema)]))
    assert learner.ranker.predict_many(row[None])[0] > before
    assert learner.ranker.examples == 51


class Seen:
    """A watch that notes what it is shown."""

    def __init__(self) -> None:
        self.items: list[int] = []

    def observe(self, label: Labelled, predicted: float) -> None:
        self.items.append(label.item)


def test_clicks_of_one_partition_do_not_wait_for_nor_follow_the_negatives_of_another() -> None:
    model = Model(hidden=0)
    one = Learner(model, ClickRanker(ClickSchema.of(model.schema).names), ItemCounters(1_000))
    one.watch = seen = Seen()
    one.learn(Outcome(source="p0", labelled=[label(1, Kind.POSITIVE, 10)]))
    one.learn(Outcome(source="p1", labelled=[label(2, Kind.NEGATIVE, 50)]))
    assert seen.items == [2]
    one.learn(Outcome(source="p0", labelled=[label(3, Kind.NEGATIVE, 20)]))
    assert seen.items == [2, 1, 3]
