"""The heads of a process: each learns from its own labels; what they learn reaches other processes and snapshots."""

from __future__ import annotations

import numpy as np
import pytest

from online_models import deltas
from online_models.click_features import ClickSchema
from online_models.counters import ItemCounters
from online_models.deltas import Delta
from online_models.errors import DeltaRefused
from online_models.labels import Kind, Labelled
from online_models.learner import Learner
from online_models.model import Model
from online_models.objective_watch import ObjectiveWatch
from online_models.objectives import Objectives
from online_models.ranker import ClickRanker
from online_models.state import Outcome
from online_models.windows import Window

WINDOWS = {
    "purchase": Window(86_400_000, after_click=True),
    "dislike": Window(60_000),
    "watch": Window(60_000),
}


def learner() -> Learner:
    model = Model(hidden=0)
    names = ClickSchema.of(model.schema).names
    return Learner(model, ClickRanker(names), ItemCounters(3_600_000), objectives=Objectives(names, WINDOWS))


def label(of: Learner, k: int, action: str, kind: Kind, value: float = 1.0, item: int = 1) -> Labelled:
    row = np.random.default_rng(k).normal(size=len(of.features)).astype(np.float32)
    return Labelled(item, kind, row, of.schema, 0, "home", 0.1, 1.0, ts=k, action=action, value=value)


def learnt(of: Learner, *labels: Labelled) -> Learner:
    of.learn(Outcome(labelled=list(labels)))
    return of


def test_each_head_learns_from_the_labels_of_its_own_action_alone() -> None:
    one = learner()
    learnt(one, *(label(one, k, "purchase", Kind(int(k % 4 == 0))) for k in range(100)))
    heads = one.objectives.heads
    assert heads["purchase"].items.total(100)[0] > 20
    assert heads["dislike"].take_delta() == heads["watch"].take_delta() == {}
    assert one.ranker.examples == 0 and one.ranker.take_delta() == {}


def test_labels_of_clicks_are_the_click_heads_alone() -> None:
    one = learner()
    learnt(one, *(label(one, k, "click", Kind(int(k % 4 == 0))) for k in range(100)))
    assert one.ranker.examples == 100
    assert one.objectives.take_delta() == {}


def test_a_positive_waits_for_the_negatives_of_its_own_action() -> None:
    one = learner()
    learnt(
        one,
        label(one, 5, "purchase", Kind.POSITIVE),
        *(label(one, k, "click", Kind.NEGATIVE) for k in range(9)),
    )
    assert one.objectives.take_delta() == {}
    learnt(one, label(one, 6, "purchase", Kind.NEGATIVE))
    assert one.objectives.take_delta().keys() == {"objective:purchase"}


def test_an_action_nobody_waits_for_is_passed_over() -> None:
    one = learner()
    learnt(one, label(one, 1, "share", Kind.NEGATIVE), label(one, 2, "share", Kind.CORRECTION))
    assert one.objectives.take_delta() == {}


def test_what_one_process_learns_reaches_another_and_its_snapshots_exactly() -> None:
    one, other, restored = learner(), learner(), learner()
    for k in range(0, 200, 10):
        for action in WINDOWS:
            kinds = [Kind(int(j % 3 == 0)) for j in range(k, k + 10)]
            learnt(one, *(label(one, k + j, action, kind, 0.5, item=j % 5) for j, kind in enumerate(kinds)))
        _, told = one.take()
        other.hear(deltas.decode(deltas.encode(Delta("w", k + 1, (), told))))
    for action, head in one.objectives.heads.items():
        sums = other.objectives.heads[action].items.total(200)
        np.testing.assert_allclose(sums, head.items.total(200), rtol=1e-12)
    restored.load(one.components())
    rows = np.random.default_rng(1).normal(size=(5, len(one.features))).astype(np.float32)
    ids = np.arange(5, dtype=np.int32)
    want = one.objectives.predict(WINDOWS, rows, ids, 200, "home")
    for process in (other, restored):
        got = process.objectives.predict(WINDOWS, rows, ids, 200, "home")
        for action, said in want.items():
            np.testing.assert_allclose(got[action], said, rtol=0.1 if process is other else 1e-12)
    assert all(arrays.dtype != object for part in one.components().values() for arrays in part.values())


def test_a_snapshot_from_before_an_action_was_declared_can_be_restored() -> None:
    one, old = learner(), learner()
    held = {name: arrays for name, arrays in old.components().items() if not name.startswith("objective:")}
    one.load(held)
    rows, ids = np.zeros((1, len(one.features)), dtype=np.float32), np.zeros(1, dtype=np.int32)
    assert one.objectives.predict(["purchase"], rows, ids, 0, "x")["purchase"].round(4).tolist() == [0.01]


def test_sums_that_would_do_harm_are_refused_and_named() -> None:
    one = learner()
    learnt(one, *(label(one, k, "dislike", Kind(int(k % 3 == 0)), item=k % 5) for k in range(60)))
    _, told = one.take()
    told["objective:dislike"]["items.sums"] *= -1.0
    with pytest.raises(DeltaRefused, match="objective:dislike"):
        learner().hear(Delta("w", 1, (), told))


def test_a_frozen_learner_teaches_no_head() -> None:
    one = learner()
    one.frozen = True
    learnt(one, *(label(one, k, "dislike", Kind(int(k % 3 == 0))) for k in range(60)))
    assert one.objectives.take_delta() == {}


def test_calibration_and_log_loss_are_measured_before_a_slot_is_learnt() -> None:
    one = learner()
    rng = np.random.default_rng(1)
    labels = [label(one, k, "purchase", Kind(int(rng.random() < 0.2)), item=k % 7) for k in range(3_000)]
    learnt(one, *labels)
    told = one.objectives.watch.get("purchase")
    assert told.rate == pytest.approx(0.2, abs=0.03)
    assert told.calibration == pytest.approx(1.0, abs=0.1)
    assert told.normalised_entropy == pytest.approx(1.0, abs=0.1)
    learnt(one, label(one, 9_999, "purchase", Kind.CORRECTION))
    assert one.objectives.watch.corrections["purchase"] == 1


def test_a_rate_that_breaks_gives_one_signal_that_names_the_action_and_the_end_of_it() -> None:
    watch = ObjectiveWatch(["purchase"])
    rng = np.random.default_rng(2)
    for k in range(40_000):
        watch.observe("purchase", float(rng.random() < (0.10 if k < 20_000 else 0.02)), 0.1, 1.0, ts=k)
    told = watch.take_signals()
    assert {signal.name for signal in told} == {"objective_rate:purchase"}
    assert [signal.detector == "recovery" for signal in told] == [False, True]
    assert told[0].severity == "critical" and told[0].evidence["after"] < 0.5 * told[0].evidence["before"]
    assert watch.take_signals() == []
