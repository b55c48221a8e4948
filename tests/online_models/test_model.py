"""The model as a whole: reads never write, a restored one continues alike, what is excluded or retired never comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.base import Arrays, Interaction, Query
from online_models.candidates import Candidates
from online_models.features import (
    OF_ITEM,
    Buckets,
    FeatureSchema,
    logarithms,
    logged,
    of_items,
    shares,
    table,
)
from online_models.model import Model

Log = list[tuple[int, int]]
Logs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), min_size=1, max_size=60)


def interactions(log: Log) -> Iterable[Interaction]:
    histories: dict[int, list[int]] = {}
    for k, (user, item) in enumerate(log):
        held = histories.setdefault(user, [])
        recent = tuple(held[:-51:-1])
        yield Interaction(user, item, 1_000 * k, recent, tuple(1_000 * k for _ in recent))
        held.append(item)


def teach(model: Model, log: Log) -> Model:
    for x in interactions(log):
        if x.recent:
            c = model.candidates(Query(x.user, x.recent, x.recent_ts, x.ts), 50)
            model.learn_order(c, x.item)
        model.learn_one(x)
    return model


def same(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


ASKED = Query(0, (3, 4), (2_000, 1_000), now=3_000)


@settings(max_examples=15, deadline=None)
@given(Logs, Logs)
def test_a_restored_model_continues_bit_for_bit(before: Log, after: Log) -> None:
    model = teach(Model(hidden=4), before)
    model.retire(2)
    model.note_item(40, 5, tags=("a",))
    copy = Model(hidden=4)
    copy.load(model.arrays())
    copy.note_item(40, 5, tags=("a",))  # content comes from the catalogue topic, not from snapshots
    assert same(teach(model, after).arrays(), teach(copy, after).arrays())
    one, two = model.candidates(ASKED), copy.candidates(ASKED)
    assert (one.features == two.features).all()
    assert (model.order(one) == copy.order(two)).all()


@settings(max_examples=15, deadline=None)
@given(Logs)
def test_the_same_events_and_seed_give_the_same_model_and_reads_change_nothing(log: Log) -> None:
    read = Model(hidden=4)
    for x in interactions(log):
        query = Query(x.user, x.recent, x.recent_ts, x.ts)
        c = read.candidates(query)
        read.order(c)
        read.similar(x.item, 5, x.ts)
        read.popular(5, x.ts)
        read.propose(query)
        read.vectors(np.array([x.item, 500]))
        read.learn_one(x)
    unread = Model(hidden=4)
    for x in interactions(log):
        unread.learn_one(x)
    assert same(read.arrays(), unread.arrays())


@settings(max_examples=15, deadline=None)
@given(Logs, st.integers(1, 20), st.sets(st.integers(0, 30), max_size=10))
def test_candidates_are_distinct_ascending_bounded_and_never_excluded(
    log: Log, n: int, out: set[int]
) -> None:
    model = teach(Model(hidden=4), log)
    c = model.candidates(ASKED, n, exclude=np.array(sorted(out), dtype=np.int32))
    assert len(c.ids) <= n
    assert (np.diff(c.ids) > 0).all()
    assert not out & set(c.ids.tolist())
    assert c.features.shape == (len(c.ids), len(model.schema.names))
    assert np.isfinite(c.features).all()
    assert np.isfinite(model.order(c)).all()


@settings(max_examples=10, deadline=None)
@given(Logs)
def test_each_source_proposes_best_first_with_ties_by_the_lower_id(log: Log) -> None:
    for ids, scores in teach(Model(hidden=4), log).propose(ASKED).values():
        assert (np.lexsort((ids, -scores)) == np.arange(len(ids))).all()


def pairs() -> Log:
    """Users who act on 2 k and then on 2 k + 1."""
    return [(user, 2 * (user % 20) + k) for user in range(200) for k in (0, 1)]


def test_after_one_click_a_new_user_gets_what_goes_with_it() -> None:
    model = teach(Model(), pairs())
    c = model.candidates(Query(999, (8,), (0,), now=1), exclude=np.array([8]))
    assert c.ids[model.order(c).argmax()] == 9


def test_an_unknown_user_gets_what_is_popular() -> None:
    model = teach(Model(), [*pairs(), *[(500 + u, 33) for u in range(50)]])
    c = model.candidates(Query(999, (), (), now=1))
    assert len(c.ids) == 40
    assert c.place(33) is not None
    assert model.popular(1, now=1)[0].tolist() == [33]


@settings(max_examples=15, deadline=None)
@given(Logs)
def test_only_items_that_somebody_acted_on_or_the_catalogue_holds_are_candidates(log: Log) -> None:
    model = teach(Model(hidden=4), log)
    model.note_item(40, 0)
    assert set(model.candidates(ASKED).ids.tolist()) - {3, 4} <= {item for _, item in log} | {40}


def test_a_new_item_is_a_candidate_at_once_by_its_content_and_by_being_new() -> None:
    model = teach(Model(), pairs())
    model.note_item(8, 0, tags=("war",))
    model.note_item(77, 500_000, tags=("war",))
    c = model.candidates(Query(999, (8,), (0,), now=1), n=12)
    assert c.place(77) is not None
    assert model.fresh(1, now=1).tolist() == [77]


def test_a_new_item_is_reachable_at_once_by_the_vector_it_came_with_and_one_of_another_length_is_counted() -> (
    None
):
    model = teach(Model(without=("fresh",)), pairs())
    for item, vector in ((8, [1.0, 0.0]), (77, [0.9, 0.1]), (78, [1.0, 0.0, 0.0])):
        model.note_item(item, 500_000, embedding=vector)
    c = model.candidates(Query(999, (8,), (0,), now=1), n=12)
    assert c.place(77) is not None
    assert c.place(78) is None
    assert model.content.vectors.refused["length"] == 1


def test_a_retired_item_never_comes_again_until_it_is_back() -> None:
    model = teach(Model(), pairs())
    query = Query(999, (8,), (0,), now=1)
    model.retire(9)
    assert model.candidates(query).place(9) is None
    assert 9 not in model.similar(8, 10, now=1)[0]
    model.note_item(9, 600_000)
    assert model.candidates(query).place(9) is not None


def test_what_the_caller_does_not_keep_is_no_candidate_and_does_not_count_as_best() -> None:
    model = teach(Model(), pairs())
    query = Query(999, (8,), (0,), now=1)
    c = model.candidates(query, keep=lambda ids: ids % 2 == 0)
    assert (c.ids % 2 == 0).all()
    column = model.schema.names.index("popular_year.score")
    assert c.features[:, column].max() == pytest.approx(np.log(1.01), rel=1e-4)


def test_a_source_that_fails_is_named_and_the_request_answered_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = teach(Model(), pairs())

    def fail(query: Query) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(model.covisits, "touch", fail)
    c = model.candidates(Query(999, (8,), (0,), now=1))
    assert c.failed == ("covisits",)
    assert len(c.ids) > 0
    assert model.stats["source_failed.covisits"] == 1


def test_contributions_add_up_to_the_score() -> None:
    model = teach(Model(), pairs())
    c = model.candidates(Query(999, (8,), (0,), now=1))
    for row in (0, 5):
        assert sum(model.explain(c, row).values()) == pytest.approx(model.order(c)[row], rel=1e-3, abs=1e-4)


def test_ordering_learns_which_source_to_trust() -> None:
    def share_of_the_right_one(model: Model) -> float:
        c = model.candidates(Query(999, (8,), (0,), now=1), exclude=np.array([8]))
        scores, at = model.order(c), c.place(9)
        assert at is not None
        p = np.exp(scores - scores.max())
        return float(p[at] / p.sum())

    ordered, unordered = teach(Model(), pairs() * 3), Model()
    for x in interactions(pairs() * 3):
        unordered.learn_one(x)
    assert share_of_the_right_one(unordered) < 0.9
    assert share_of_the_right_one(ordered) > 0.99


def test_lists_from_the_sources_assemble_into_candidates() -> None:
    model = teach(Model(), pairs())
    query = Query(999, (8,), (0,), now=1)
    lists = list(model.propose(query).values())
    c = model.assemble(lists, query, 10)
    assert isinstance(c, Candidates)
    assert c.place(9) is not None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(0, (), (), now=5), Buckets(gap=5, pace=5, length=0)),
        (Query(0, (1,), (5,), now=5), Buckets(gap=0, pace=5, length=1)),
        (Query(0, (1, 2), (90_000, 20_000), now=95_000), Buckets(gap=1, pace=2, length=2)),
    ],
)
def test_buckets(query: Query, expected: Buckets) -> None:
    assert Buckets.of(query) == expected


def test_features_say_where_an_item_stands_in_the_history() -> None:
    schema = FeatureSchema.of(["one"])
    ids = np.array([2, 5, 9], dtype=np.int32)
    share = shares(np.array([[4.0, 2.0, 0.0]], dtype=np.float32), np.arange(3))
    query = Query(0, (5, 2, 5), (3, 2, 1), now=4)
    seen = np.full((10, 2), -1, dtype=np.int64)
    seen[[2, 5]] = (0, 9), (7, 10)
    of_item = of_items(ids, query, seen, 10)
    rows, _ = table(np.arange(3), share, logarithms(share), of_item)
    told = [dict(zip(schema.names, row, strict=True)) for row in rows.tolist()]
    assert [t["latest"] for t in told] == [0.0, 1.0, 0.0]
    assert [t["before_latest"] for t in told] == [1.0, 0.0, 0.0]
    assert [t["repeats"] for t in told] == pytest.approx([0.0, np.log(2.0), 0.0], rel=1e-5)
    assert [t["one.score"] for t in told] == pytest.approx(np.log([1.01, 0.51, 0.01]), rel=1e-4)
    assert told[2]["idle"] == 5.0
    assert [t["one.share"] for t in told] == [1.0, 0.5, 0.0]
    assert logged(rows).shape[1] == schema.logged == 1 + len(OF_ITEM)
    assert len(schema.names) == schema.logged + 1


Spoil = Callable[[Arrays], object]
SPOILT: list[Spoil] = [
    lambda d: d["gradient.linear"].__setitem__((0, 0), np.nan),
    lambda d: d["gradient.linear"].__setitem__((0, 0), 1e9),
    lambda d: d["squares.linear"].__setitem__((0, 0), -1.0),
    lambda d: d.pop("gradient.linear"),
    lambda d: d.update({"gradient.linear": np.zeros((2, 2))}),
    lambda d: d.update({"examples": np.array([0])}),
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_delta_that_would_do_harm_is_refused_counted_and_changes_nothing(spoil: Spoil) -> None:
    source, target = teach(Model(), pairs()), Model()
    delta = source.take_delta()
    spoil(delta)
    before = target.head.parameters["linear"].copy()
    assert not target.merge(delta)
    assert target.head.refused == 1
    assert (target.head.parameters["linear"] == before).all()


def test_two_workers_that_exchange_gradients_end_close_to_one_that_saw_everything() -> None:
    log = list(interactions(pairs() * 4))
    alone, workers = Model(hidden=0), [Model(hidden=0), Model(hidden=0)]
    for k, x in enumerate(log):
        query = Query(x.user, x.recent, x.recent_ts, x.ts)
        owner = workers[x.user % 2]
        for model in (alone, owner):
            model.learn_order(model.candidates(query, 50), x.item)
        for model in (alone, *workers):
            model.learn_one(x)
        if k % 50 == 49:
            deltas = [w.take_delta() for w in workers]
            assert all(w.merge(d) for w, d in zip(workers, reversed(deltas), strict=True) if d)
    for worker in workers:
        gap = np.abs(worker.head.parameters["linear"] - alone.head.parameters["linear"]).max()
        assert gap < 0.15 * np.abs(alone.head.parameters["linear"]).max()


def test_nothing_learnt_is_nothing_to_tell() -> None:
    assert Model().take_delta() == {}


def test_arrays_of_another_schema_are_refused() -> None:
    with pytest.raises(ValueError, match="the schema needs"):
        Model(hidden=8).load(Model(hidden=4).arrays())


def test_items_beyond_the_cap_are_counted_and_take_no_memory() -> None:
    model = Model(items=10)
    model.learn_one(Interaction(1, item=3, ts=0))
    model.learn_one(Interaction(1, item=10**9, ts=1, recent=(3,), recent_ts=(0,)))
    model.learn_one(Interaction(1, item=4, ts=2, recent=(10**9, 3), recent_ts=(1, 0)))
    model.note_item(10**9, 0)
    model.retire(10**9)
    assert model.stats["items_beyond_cap"] == 3
    assert max(len(array) for array in model.arrays().values()) < 10_000_000
    assert model.candidates(Query(2, (3, 10**9), (0, 0), now=3)).place(4) is not None
