"""Each source proposes what it should in a world small enough to know the answer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.base import RECENT, Interaction, Query
from online_models.scratch import Uniter
from online_models.sources import vectors
from online_models.sources.content import Content
from online_models.sources.covisits import Channel, Covisits, View
from online_models.sources.embedding import Embedding
from online_models.sources.family import Family, scores
from online_models.sources.fresh import Fresh
from online_models.sources.neighbours import Neighbours
from online_models.sources.popularity import DAY, HOUR, Popularity

Log = list[tuple[int, int]]
Logs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=60)


def interactions(log: Iterable[tuple[int, int]]) -> Iterable[Interaction]:
    histories: dict[int, list[int]] = {}
    for ts, (user, item) in enumerate(log):
        held = histories.setdefault(user, [])
        recent = tuple(held[:-51:-1])
        yield Interaction(user, item, ts, recent, tuple(range(ts, ts - len(recent), -1)))
        held.append(item)


def taught(family: Family, log: Iterable[tuple[int, int]]) -> Family:
    for x in interactions(log):
        family.learn_one(x)
    return family


def said(family: Family, *recent: int, user: int = 99) -> dict[str, dict[int, float]]:
    touch = family.touch(Query(user, recent, tuple(0 for _ in recent), now=0))
    union, (at,) = Uniter().unite([touch.ids])
    rows = scores(family, touch, at, union)
    return {
        name: {int(i): float(s) for i, s in zip(union, row, strict=True) if s > 0}
        for name, row in zip(family.names, rows, strict=True)
    }


def test_covisits_go_both_ways_and_transitions_only_onward() -> None:
    told = said(taught(Covisits(width=5), [(1, 3), (1, 4)]), 4)
    assert set(told["covisits_1"]) == {3}
    assert told["after_1"] == {}
    assert set(said(taught(Covisits(width=5), [(1, 3), (1, 4)]), 3)["after_1"]) == {4}


def test_a_covisit_score_is_the_shrunk_cosine() -> None:
    near = Channel(span=20, half_life=1e12, directed=False, shrink=2.0)
    family = Covisits(width=5, channels=[near], views=[View("near", 0, 1, 1.0)])
    taught(family, [(1, 3), (1, 4), (2, 3)])
    assert said(family, 3)["near"][4] == pytest.approx(1.0 / np.sqrt((2 + 2) * (1 + 2)), rel=1e-5)


def test_a_stronger_action_counts_more() -> None:
    family = Covisits(width=5)
    for user, item, weight in ((1, 4, 1.0), (2, 5, 3.0)):
        family.learn_one(Interaction(user, 3, ts=0))
        family.learn_one(Interaction(user, item, ts=1, recent=(3,), recent_ts=(0,), weight=weight))
    told = said(family, 3)["covisits_1"]
    assert told[5] > 2.5 * told[4]


def test_a_recent_habit_outweighs_an_old_one_of_equal_count() -> None:
    quick = Channel(span=5, half_life=2.0, directed=True, shrink=1.0)
    family = Covisits(width=5, channels=[quick], views=[View("quick", 0, 1, 1.0)])
    told = said(taught(family, [(1, 3), (1, 4), (2, 3), (2, 5)]), 3)["quick"]
    assert told[5] > told[4]


def test_similar_users_vote_for_what_else_they_hold_and_nobody_asks_themselves() -> None:
    family = taught(Neighbours(users=10, history=64, holders=8), [(1, 3), (1, 4), (1, 5), (2, 8), (2, 9)])
    assert set(said(family, 3, 4)["user_knn"]) >= {5}
    assert 9 not in said(family, 3, 4)["user_knn"]
    assert said(family, 3, 4, user=1)["user_knn"] == {}


def test_what_stood_nearer_to_a_shared_item_gets_more_votes_and_after_counts_only_later_ones() -> None:
    family = taught(Neighbours(users=10, history=64, holders=8), [(1, i) for i in (2, 3, 4, 5)])
    told = said(family, 3)
    assert told["vsk"][4] > told["vsk"][5]
    assert set(told["vsk_after"]) == {4, 5}
    assert set(told["vsk_near"]) == {2, 4, 5}


@given(Logs)
@settings(max_examples=50)
def test_votes_equal_a_plain_recount_of_windows(log: Log) -> None:
    family = Neighbours(users=10, history=64, holders=64)
    taught(family, log)
    histories = {u: [i for v, i in log if v == u] for u in range(5)}
    anchor = 3
    expected: dict[int, float] = {}
    for held in histories.values():
        if anchor not in held:
            continue
        cosine = held.count(anchor) / np.sqrt(len(set(held)))
        for place in (k for k, item in enumerate(held) if item == anchor):
            for other, item in enumerate(held):
                away = abs(other - place)
                if 0 < away <= 20:
                    expected[item] = expected.get(item, 0.0) + cosine * np.exp(-(away - 1) / 8)
    told = said(family, anchor)["vsk"]
    assert told == pytest.approx(expected, rel=1e-4)


def test_a_forgotten_user_votes_no_more() -> None:
    family = Neighbours(users=2, history=64, holders=8)
    taught(family, [(1, 3), (1, 4), (2, 7), (3, 8)])
    told = said(family, 3)
    assert told["vsk"] == {}
    assert told["user_knn"] == {}


@given(Logs)
@settings(max_examples=30)
def test_memory_of_neighbours_is_bounded_by_users_history_and_holders(log: Log) -> None:
    family = Neighbours(users=2, history=64, holders=3)
    taught(family, log)
    assert len(family.arrays()["users"]) <= 2
    assert family.arrays()["who"].shape[1] == 3


def test_an_hour_forgets_what_a_year_remembers() -> None:
    family = Popularity({"hour": HOUR, "year": 365 * DAY})
    for ts, item in [(0, 1), (0, 1), (0, 1), (5 * HOUR, 2)]:
        family.learn_one(Interaction(user=0, item=item, ts=ts))
    assert family.top("hour", 1, now=5 * HOUR)[0].tolist() == [2]
    assert family.top("year", 1, now=5 * HOUR)[0].tolist() == [1]


@given(st.permutations([(1, 0), (2, 3 * HOUR), (1, 40 * HOUR), (3, 41 * HOUR)]))
def test_popularity_does_not_depend_on_the_order_events_arrive_in(order: list[tuple[int, int]]) -> None:
    family = Popularity({"hour": HOUR})
    for item, ts in order:
        family.learn_one(Interaction(user=0, item=item, ts=ts))
    ids, counts = family.top("hour", 5, now=41 * HOUR)
    # an hour's half-life leaves 2 ** -41 of the first event
    assert ids.tolist() == [3, 1, 2]
    assert counts == pytest.approx([1.0, 0.5 + 2.0**-41, 2.0**-38], rel=1e-6)


def test_popularity_survives_a_gap_of_years() -> None:
    family = Popularity()
    for ts, item in [(0, 1), (20 * 365 * DAY, 2), (0, 1)]:
        family.learn_one(Interaction(user=0, item=item, ts=ts))
    assert np.isfinite(family.sums).all()
    assert family.top("popular_hour", 1, now=20 * 365 * DAY)[0].tolist() == [2]


def test_an_embedding_refuses_vectors_of_another_length_and_stays_as_it_is() -> None:
    short, long = Embedding(dims=8), Embedding(dims=16)
    for embedding in (short, long):
        embedding.learn_one(Interaction(1, 4, 0, (3,), (0,)))
    before = long.arrays()
    with pytest.raises(ValueError, match="length 8; this build's have 16"):
        long.load(short.arrays())
    assert all((long.arrays()[name] == array).all() for name, array in before.items())


def test_an_embedding_hears_the_whole_history_that_travels_with_a_query() -> None:
    """On ratings the user's older items tell what the latest ten do not."""
    embedding = Embedding(seed=3)
    rest = tuple(range(100, 100 + RECENT - 1))
    for k in range(300):
        oldest, then = ((1, 2), (3, 4))[k % 2]
        embedding.learn_one(Interaction(k, then, k, (*rest, oldest), (k,) * RECENT))
    union = np.array([2, 4], dtype=np.int32)
    for oldest, then in ((1, 2), (3, 4)):
        query = Query(999, (*rest, oldest), (0,) * RECENT, 0)
        said = scores(embedding, embedding.touch(query), np.arange(0), union)[0]
        assert union[said.argmax()] == then


def test_the_embedding_learns_what_comes_next_and_restores_to_the_same_future() -> None:
    pattern = [(u, 2 * (u % 3) + k) for u in range(300) for k in (0, 1)]
    family = Embedding(dims=8, seed=3)
    taught(family, pattern)
    assert max(said(family, 2)["embedding"].items(), key=lambda s: s[1])[0] == 3
    copy = Embedding(dims=8, seed=77)
    copy.load(family.arrays())
    for x in interactions([(900 + u, i) for u in range(20) for i in (1, 2, 600)]):
        family.learn_one(x)
        copy.learn_one(x)
    assert all((a == b).all() for a, b in zip(family.arrays().values(), copy.arrays().values(), strict=True))


def test_a_snapshot_whose_vectors_went_by_item_is_restored_without_the_items_nobody_met() -> None:
    family = taught(Embedding(dims=8, seed=3), [(u, i) for u in range(50) for i in (7, 900)])
    now = family.arrays()
    slots = np.flatnonzero(now["item"] >= 0)
    by_item = {name: now[name] for name in ("acted", "rng", "index_vectors", "index_live")}
    for name, axis in (("inner", 0), ("outer", 0), ("steps", 1), ("learnt", 0)):
        shape = [1_000 if k == axis else n for k, n in enumerate(now[name].shape)]
        table = by_item[name] = np.ones(shape, dtype=now[name].dtype)
        table[(slice(None),) * axis + (now["item"][slots],)] = now[name].take(slots, axis=axis)
    by_item["acted"] = now["item"][now["acted"]]
    old = Embedding(dims=8)
    old.load(by_item)
    assert len(old.arrays()["item"]) == 2
    union = np.array([7, 900], dtype=np.int32)
    assert (old.vectors(union) == family.vectors(union)).all()
    assert said(old, 7) == said(family, 7)


def test_a_large_catalogue_is_searched_by_the_index_and_finds_the_same_best() -> None:
    exact, indexed = Embedding(dims=8, seed=3), Embedding(dims=8, seed=3, exact_below=50, settle=1)
    pattern = [(u, 2 * (u % 60) + k) for u in range(1_200) for k in (0, 1)]
    taught(exact, pattern)
    taught(indexed, pattern)
    indexed.index.rebuild(wait=True)
    query = Query(9, (20,), (0,), now=0)
    for family in (exact, indexed):
        assert 21 in family.touch(query).ids
        assert max(said(family, 20)["embedding"].items(), key=lambda s: s[1])[0] == 21


def test_an_item_with_shared_tags_is_found_before_anybody_acted_on_it() -> None:
    family = Content()
    family.note(1, tags=("war", "drama"), title="Paths of Glory")
    family.note(2, tags=("comedy",), title="Airplane")
    family.note(3, tags=("war",), title="Glory")
    assert family.touch(Query(0, (1,), (0,), now=0)).ids.tolist() == [3]
    family.drop(3)
    assert family.touch(Query(0, (1,), (0,), now=0)).ids.tolist() == []


def test_an_item_whose_vector_points_the_same_way_is_found_without_a_tag() -> None:
    family = Content()
    for item, vector in (
        (1, [1.0, 0.0, 0.0]),
        (2, [9.0, 1.0, 0.0]),
        (3, [0.0, 1.0, 0.0]),
        (4, [-1.0, 0.0, 0.0]),
    ):
        family.note(item, tags=(), title="", embedding=vector)
    told = said(family, 1)["content"]
    assert told == {2: pytest.approx(9.0 / np.sqrt(82.0))}
    family.drop(2)
    assert said(family, 1)["content"] == {}


def test_vectors_of_the_last_items_count_by_their_age_and_add_to_what_tags_say() -> None:
    family = Content()
    family.note(1, tags=("war",), title="", embedding=[1.0, 0.0])
    family.note(2, tags=(), title="", embedding=[0.0, 1.0])
    family.note(3, tags=(), title="", embedding=[1.0, 0.0])
    family.note(4, tags=(), title="", embedding=[0.0, 1.0])
    family.note(5, tags=("war",), title="", embedding=[0.0, 1.0])
    told = said(family, 1, 2)["content"]
    profile = np.array([1.0, 0.8]) / np.hypot(1.0, 0.8)
    assert told == pytest.approx({3: profile[0], 4: profile[1], 5: 1.0 + profile[1]}, rel=1e-5)


def test_vectors_of_another_length_zero_or_not_finite_are_refused_and_counted() -> None:
    family = Content()
    for item, vector in enumerate(
        ([1.0, 0.0], [1.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [], [0.5, 0.5])
    ):
        family.note(item, tags=(), title="", embedding=vector)
    assert family.vectors.refused == {"length": 1, "zero or not finite": 4}
    assert len(family.vectors) == 2
    assert set(said(family, 0)["content"]) == {6}


def test_one_length_holds_until_no_vector_is_left() -> None:
    family = Content()
    family.note(1, tags=(), title="", embedding=[1.0, 0.0])
    family.note(1, tags=(), title="", embedding=[1.0, 0.0, 0.0])  # its own vector was the last one
    family.note(2, tags=(), title="", embedding=[1.0, 0.5, 0.0])
    assert set(said(family, 1)["content"]) == {2}


def test_memory_of_vectors_is_bounded_and_the_item_noted_longest_ago_gives_way() -> None:
    family = Content(memory=3 * 2 * 4)
    for item in range(100):
        family.note(item, tags=(), title="", embedding=[1.0, 0.01 * item])
    assert len(family.vectors) == 3
    assert set(said(family, 99)["content"]) == {97, 98}
    assert said(family, 5)["content"] == {}


def test_a_large_catalogue_of_vectors_is_searched_by_the_graph_and_finds_the_nearest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vectors, "_EXACT", 0)
    family, rng = Content(), np.random.default_rng(5)
    rows = rng.normal(size=(400, 8))
    for item, row in enumerate(rows):
        family.note(item, tags=(), title="", embedding=row.tolist())
    family.vectors._index.rebuild(wait=True)  # type: ignore[union-attr]
    unit = rows / np.linalg.norm(rows, axis=1)[:, None]
    nearest = np.argsort(-unit @ unit[7])[1:11].tolist()
    assert set(nearest) <= set(said(family, 7)["content"])


def test_fresh_forgets_the_oldest_beyond_its_cap() -> None:
    family = Fresh(kept=2)
    for item, ts in [(5, 1), (6, 3), (7, 2)]:
        family.note(item, ts)
    assert family.newest(9).tolist() == [6, 7]
    family.drop(6)
    assert family.newest(9).tolist() == [7]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Neighbours(history=100),
        lambda: Neighbours(users=0),
        lambda: Embedding(rate=0.0),
        lambda: Popularity({"x": 0}),
        lambda: Fresh(kept=0),
        lambda: Content(last=0),
        lambda: Content(memory=0),
        lambda: Channel(span=51, half_life=1.0, directed=True, shrink=1.0),
    ],
)
def test_settings_out_of_range_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"must|power of two"):
        make()  # type: ignore[operator]


def test_the_popular_are_found_among_the_few_as_they_are_among_all():
    rng = np.random.default_rng(3)
    few, whole = Popularity(proposed=5, refresh=7), Popularity(proposed=5, refresh=7)
    for k in range(3_000):
        x = Interaction(user=0, item=int(rng.zipf(1.3)) % 400, ts=k * 600_000)
        few.learn_one(x)
        whole._dropped = True  # looks at all items each time
        whole.learn_one(x)
        if k % 500 == 250:
            for family in (few, whole):
                family.drop(1)
        for name in few.names:
            ours, theirs = (family.top(name, 5, x.ts)[1] for family in (few, whole))
            np.testing.assert_array_equal(ours, theirs)


def test_content_adds_up_as_one_item_and_one_token_at_a_time_would():
    rng, content = np.random.default_rng(5), Content(last=3, width=20)
    tags: dict[int, list[str]] = {}
    for k in range(600):
        item = int(rng.integers(200))
        tags[item] = [f"t{t}" for t in rng.integers(0, 12, rng.integers(1, 5)).tolist()]
        content.note(item, tags=tags[item], title=f"item number {item % 7}")
        if k % 9 == 0:
            content.drop(gone := int(rng.integers(200)))
            tags.pop(gone, None)
        recent = tuple(rng.integers(0, 200, 3).tolist())
        weights: dict[str, float] = {}
        for age, of in enumerate(recent):
            for token in content._tokens.get(of, ()):
                weights[token] = weights.get(token, 0.0) + 0.8**age
        wanted: dict[int, float] = {}
        for token, weight in weights.items():
            held = content._items.get(token, {})
            for of in held:
                gain = weight * np.log1p((len(content._tokens) + 1) / (1 + len(held))) ** 2
                wanted[of] = wanted.get(of, 0.0) + gain
        wanted = {
            i: said / np.sqrt(1 + len(content._tokens[i])) for i, said in wanted.items() if i not in recent
        }
        ids, sums = content._sums(recent)
        assert dict(zip(ids.tolist(), sums.tolist(), strict=True)) == pytest.approx(wanted)
