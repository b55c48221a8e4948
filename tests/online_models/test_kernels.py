"""The compiled loops against a few plain lines of Python each."""

from __future__ import annotations

import random
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.base import Interaction, Query
from online_models.kernels import embedding, masks
from online_models.kernels import neighbours as kernel_of_neighbours
from online_models.kernels import unite as kernel
from online_models.scratch import Uniter, best
from online_models.sources.covisits import CHANNELS, VIEWS, Covisits
from online_models.sources.family import scores
from online_models.sources.neighbours import Neighbours
from online_models.sources.tastes import Tastes

Ids = st.lists(st.integers(-1, 40), max_size=30)
Log = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=80)


@given(st.lists(Ids, min_size=1, max_size=4), Ids, st.lists(st.booleans(), max_size=50))
def test_the_union_is_ascending_without_what_is_excluded_and_each_item_finds_its_place(
    lists: list[list[int]], exclude: list[int], allowed: list[bool]
) -> None:
    uniter = Uniter()
    for _ in range(2):  # the working memory is clean again
        union, places = uniter.unite(
            [np.array(ids, dtype=np.int32) for ids in lists],
            np.array(exclude, dtype=np.int32),
            np.array(allowed, dtype=np.bool_),
        )
        barred = {i for i, free in enumerate(allowed) if not free} | set(exclude) | {-1}
        want = sorted({i for ids in lists for i in ids} - barred)
        assert union.tolist() == want
        for ids, at in zip(lists, places, strict=True):
            assert at.tolist() == [want.index(i) if i in want else len(want) for i in ids]


Scored = st.lists(st.sampled_from([0.0, 1.0, 2.5, -1.0, float("nan"), float("inf"), 0.1]), max_size=40)


@given(Scored, st.integers(0, 50), st.randoms(use_true_random=False))
def test_the_best_are_those_of_a_sort_by_score_then_id(
    scores: list[float], n: int, order: random.Random
) -> None:
    ids = list(range(len(scores)))
    order.shuffle(ids)
    want = sorted((-s, i) for s, i in zip(scores, ids, strict=True) if 0 < s < np.inf)[:n]
    found, said = best(np.array(ids, dtype=np.int32), np.array(scores), n)
    assert found.tolist() == [i for _, i in want]
    assert said.tolist() == [np.float32(-s) for s, _ in want]


@given(st.lists(Ids, min_size=1, max_size=4), Ids)
def test_sums_of_lists_are_those_of_a_count_and_leave_nothing_behind(
    lists: list[list[int]], exclude: list[int]
) -> None:
    sums, sizes = np.zeros(41), np.arange(41, dtype=np.int16)
    held = [[i for i in ids if i >= 0] for ids in lists]
    want: defaultdict[int, float] = defaultdict(float)
    for gain, ids in enumerate(held, start=1):
        for i in ids:
            want[i] += gain
    ids, said = kernel.summed(
        np.array([i for ids in held for i in ids], dtype=np.int32), np.array([len(ids) for ids in held]),
        np.arange(1.0, len(held) + 1), np.array(exclude, dtype=np.int32), sizes, sums,
    )  # fmt: skip
    assert dict(zip(ids.tolist(), said.tolist(), strict=True)) == {
        i: total / np.sqrt(1 + i) for i, total in want.items() if i not in exclude
    }
    assert not sums.any()


Tagged = st.lists(st.lists(st.integers(0, 9), max_size=4, unique=True), min_size=1, max_size=12)


@given(
    Tagged,
    st.lists(st.integers(0, 14), max_size=8),
    st.lists(st.integers(0, 14), max_size=8),
    st.integers(1, 6),
)
def test_what_tags_are_worth_is_the_solution_of_a_ridge_regression(
    tagged: list[list[int]], recent: list[int], shown: list[int], known: int
) -> None:
    tastes = Tastes(known=known)
    for item, tags in enumerate(tagged):
        tastes.note(item, tags=[str(tag) for tag in tags])
    query = Query(1, tuple(recent), (0,) * len(recent), 9, tuple(shown))
    union = np.arange(15, dtype=np.int32)
    said = scores(tastes, tastes.touch(query), np.arange(0), union)[0]
    names = list(dict.fromkeys(tag for tags in tagged for tag in tags))  # as they are numbered
    rows = [(i, 0.95**age, 1.0) for age, i in enumerate(recent)] + [(i, 1.0, -0.05) for i in shown]
    rows = [row for row in rows if row[0] < len(tagged) and tagged[row[0]]]
    if not rows:
        assert not said.any()
        return
    often = {tag: sum(d / len(tagged[i]) for i, d, _ in rows if tag in tagged[i]) for tag in names}
    met = [tag for tag in names if often[tag] > 0]
    told_apart = sorted(met, key=lambda tag: (-round(often[tag], 9), names.index(tag)))[:known]
    x = np.array([[(tag in tagged[i]) / len(tagged[i]) for tag in told_apart] for i, _, _ in rows])
    d = np.diag([trust for _, trust, _ in rows])
    w = np.linalg.solve(x.T @ d @ x + 0.5 * np.eye(len(told_apart)), x.T @ d @ [y for *_, y in rows])
    worth = dict(zip(told_apart, w.tolist(), strict=True))
    for item in range(15):
        tags = tagged[item] if item < len(tagged) else []
        fit = sum(worth.get(tag, 0.0) for tag in tags) / max(len(tags), 1)
        want = (max(fit + 0.05, 0.0) + 0.02) / (1 + 0.3 * shown.count(item))
        assert said[item] == pytest.approx(want, rel=1e-4)


@given(st.sets(st.integers(0, 40)), st.lists(st.integers(0, 50), max_size=20))
def test_what_is_among_others_is_marked(ids: set[int], some: list[int]) -> None:
    items = np.array(sorted(ids), dtype=np.int32)
    assert masks.among(items, some).tolist() == [item in some for item in items.tolist()]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.lists(st.integers(0, 30)))
def test_states_pass_and_items_beyond_the_table_are_in_the_first(states: list[int], ids: list[int]) -> None:
    passes = np.array([1, 0, 0, 1], dtype=np.uint8)
    told = masks.by_state(np.array(states, dtype=np.int8), np.array(ids, dtype=np.int32), passes)
    assert told.tolist() == [(states[i] if i < len(states) else 0) in (0, 3) for i in ids]


@given(st.lists(st.integers(0, 12), max_size=8), st.integers(0, 1_000))
def test_a_history_is_the_fading_sum_of_its_distinct_items(recent: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    inner = rng.normal(size=(6, 4)).astype(np.float32)
    slot = rng.permutation(10).astype(np.int32)
    slot[slot >= 6] = -1
    fades = (0.9 ** np.arange(8)).astype(np.float32)
    held = [slot[i] for i in dict.fromkeys(recent) if i < len(slot) and slot[i] >= 0]
    weights = [fades[:k] / np.linalg.norm(fades[:k]) for k in range(1, 9)]
    want = weights[len(held) - 1] @ inner[held] if held else np.zeros(4)
    norms = np.array([w[0] for w in weights], dtype=np.float32)
    said = embedding.faded(recent, slot, inner, weights[-1].astype(np.float32), norms)
    np.testing.assert_allclose(said, want, rtol=1e-4, atol=1e-6)


def histories(log: list[tuple[int, int]]) -> list[Interaction]:
    held: defaultdict[int, list[int]] = defaultdict(list)
    out = []
    for ts, (user, item) in enumerate(log):
        recent = tuple(reversed(held[user]))
        out.append(Interaction(user, item, ts, recent, tuple(range(ts, ts - len(recent), -1))))
        held[user].append(item)
    return out


@given(Log, st.lists(st.integers(0, 12), min_size=1, max_size=25), st.integers(2, 12))
def test_every_view_scores_as_the_equation_of_covisits_says(
    log: list[tuple[int, int]], recent: list[int], width: int
) -> None:
    covisits = Covisits(width=width)
    for x in histories(log):
        covisits.learn_one(x)
    touch = covisits.touch(Query(9, tuple(recent), tuple(range(len(recent))), now=100))
    union = np.unique(touch.ids[touch.ids >= 0]).astype(np.int32)
    at = np.array(
        [union.tolist().index(i) if i >= 0 else len(union) for i in touch.ids.tolist()], dtype=np.intp
    )
    said_by_view = scores(covisits, touch, at, union)
    lists, known = covisits.lists, [i for i in recent if i < len(covisits.lists)]
    for view, row in zip(VIEWS, said_by_view, strict=True):
        shrink = CHANNELS[view.channel].shrink
        for item, said in zip(union.tolist(), row.tolist(), strict=True):
            want = sum(
                view.fade**age
                * lists.row(a)[item][view.channel]
                / np.sqrt(
                    (visits(lists, a, view.channel) + shrink) * (visits(lists, item, view.channel) + shrink)
                )
                for age, a in enumerate(known[: view.last])
                if item in lists.row(a)
            )
            assert said == pytest.approx(want, rel=1e-4, abs=1e-7)


def visits(lists: object, item: int, channel: int) -> float:
    return float(lists.visits[item, channel] / lists.unit[channel])  # type: ignore[attr-defined]


@given(Log, st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(0, 6), st.integers(1, 6))
def test_neighbours_vote_as_a_plain_count_over_their_histories_says(
    log: list[tuple[int, int]], recent: list[int], asking: int, users: int
) -> None:
    window = 3
    neighbours = Neighbours(
        users=users, history=32, holders=100, window=window, voters=10_000, nearest=10_000
    )
    held: dict[int, list[int]] = {}
    for user, item in log:
        neighbours.learn_one(Interaction(user, item, 0))
        own = held.pop(user, [])
        if not own and len(held) == users:
            del held[next(iter(held))]  # silent for longest
        held[user] = [*own, item]
    query = Query(asking, tuple(recent), (0,) * len(recent), now=1)
    mine = [i for i in dict.fromkeys(recent) if i < 256]
    cosine = {
        user: sum(items.count(i) for i in mine) / np.sqrt(len(set(items)) * len(mine))
        for user, items in held.items()
        if user != asking and set(items) & set(mine)
    }
    knn: defaultdict[int, float] = defaultdict(float)
    after: defaultdict[int, float] = defaultdict(float)
    around: defaultdict[int, float] = defaultdict(float)
    for user, alike in cosine.items():
        for item in held[user]:
            knn[item] += alike
        for age, anchor in enumerate(mine[: neighbours.anchors]):
            for place in [k for k, item in enumerate(held[user]) if item == anchor]:
                for other, item in enumerate(held[user]):
                    distance = other - place
                    if distance and abs(distance) <= window:
                        vote = alike * 0.85**age * np.exp(-(abs(distance) - 1) / 8)
                        around[item] += vote
                        after[item] += vote if distance > 0 else 0.0
    touch = neighbours.touch(query)
    union = np.arange(12, dtype=np.int32)
    at = np.where(touch.ids >= 0, touch.ids, 12).astype(np.intp)
    said = scores(neighbours, touch, at, union)
    for row, want in zip(said, (knn, around, after), strict=False):
        np.testing.assert_allclose(row, [want[i] for i in range(12)], rtol=1e-4, atol=1e-6)
    assert not neighbours._shared.any(), "the working memory is clean again"
    assert not neighbours._cosine.any()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=60))
def test_a_history_that_goes_round_its_ring_is_held_as_by_numpy(log: list[tuple[int, int]]) -> None:
    size, window, holders = 8, 3, 4

    def tables() -> tuple[np.ndarray, ...]:
        items, length = np.full((3, size), -1, dtype=np.int32), np.zeros(3, dtype=np.int32)
        who, held = np.zeros((6, holders), dtype=np.int32), np.zeros(6, dtype=np.int64)
        return items, length, np.zeros(3, dtype=np.float32), who, who.copy(), held

    plain, compiled = tables(), tables()
    items, length, distinct, who, where, held = plain
    for row, item in log:
        kernel_of_neighbours.hold(row, item, window, *compiled)
        place = int(length[row])
        distinct[row] += not (items[row] == item).any()
        items[row, place % size] = item
        items[row, (place + np.arange(1, window + 1)) % size] = -1
        length[row] += 1
        at = held[item] % holders
        who[item, at], where[item, at] = row, place
        held[item] += 1
    for mine, want in zip(compiled, plain, strict=True):
        np.testing.assert_array_equal(mine, want)


@given(st.integers(0, 1_000), st.integers(1, 4))
def test_a_step_of_the_embedding_is_the_gradient_of_its_softmax(seed: int, n_held: int) -> None:
    rng = np.random.default_rng(seed)
    inner, outer = (rng.normal(0, 0.5, (10, 6)).astype(np.float32) for _ in range(2))
    sums = rng.uniform(0.1, 1.0, (2, 10)).astype(np.float32)
    held, targets = rng.permutation(10)[:n_held], rng.permutation(10)[:5]
    fades = (0.9 ** np.arange(n_held)).astype(np.float32)
    hidden = fades @ inner[held]
    p = np.exp(outer[targets] @ hidden)
    wrong = p / p.sum() - (np.arange(5) == 4)
    back = wrong @ outer[targets]
    want_inner, want_outer, want_sums = inner.copy(), outer.copy(), 0.9 * sums
    want_sums[0] = np.where(np.isin(np.arange(10), held), want_sums[0], sums[0])
    want_sums[1] = np.where(np.isin(np.arange(10), targets), want_sums[1], sums[1])
    want_sums[0, held] += fades**2 * (back @ back) / 6
    want_sums[1, targets] += wrong**2 * (hidden @ hidden) / 6
    want_inner[held] -= np.outer(fades * 0.1 / np.sqrt(want_sums[0, held]), back)
    want_outer[targets] -= np.outer(wrong * 0.1 / np.sqrt(want_sums[1, targets]), hidden)
    embedding.learn(held, fades, targets, inner, outer, sums, 0.9, 0.1)
    np.testing.assert_allclose(sums, want_sums, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(inner, want_inner, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outer, want_outer, rtol=1e-4, atol=1e-5)
