"""Tags speak from a user's first actions on, and what was passed over counts against them."""

import numpy as np
import pytest

from online_models.base import Interaction, Query
from online_models.history import SHOWN, UserRecord, decode, encode
from online_models.model import Model
from online_models.sources import family
from online_models.sources.tastes import Tastes

JAZZ, CHESS, BOTH, MORE_JAZZ, MORE_CHESS, NEWS, PLAIN = range(7)
TAGS = {
    JAZZ: ("jazz",), CHESS: ("chess",), BOTH: ("jazz", "chess"), MORE_JAZZ: ("jazz",), MORE_CHESS: ("chess",),
    NEWS: ("news",), PLAIN: (),
}  # fmt: skip


def tastes(**options: float) -> Tastes:
    out = Tastes(**options)  # type: ignore[arg-type]
    for item, tags in TAGS.items():
        out.note(item, tags=tags)
    return out


def scores(source: Tastes, recent: tuple[int, ...] = (), shown: tuple[int, ...] = ()) -> dict[int, float]:
    query = Query(1, recent, tuple(range(len(recent), 0, -1)), 99, shown)
    touch = source.touch(query)
    union = np.arange(7, dtype=np.int32)
    at = np.searchsorted(union, touch.ids)
    return dict(enumerate(family.scores(source, touch, at, union)[0].tolist()))


def test_one_click_lifts_what_shares_its_tag_above_everything_else() -> None:
    said = scores(tastes(), recent=(JAZZ,))
    assert said[MORE_JAZZ] > said[BOTH] > said[NEWS] == said[CHESS] == said[PLAIN] > 0


def test_of_two_tags_that_come_together_the_one_passed_over_alone_gets_no_credit() -> None:
    said = scores(tastes(), recent=(BOTH, BOTH), shown=(JAZZ, MORE_JAZZ) * 10)
    assert said[MORE_CHESS] > 1.5 * said[NEWS]
    assert said[MORE_CHESS] > 3 * said[MORE_JAZZ]


def test_a_user_without_an_action_is_turned_from_what_was_passed_over() -> None:
    said = scores(tastes(), shown=(JAZZ,) * 5)
    assert said[NEWS] > said[MORE_JAZZ] > said[JAZZ]


def test_the_latest_actions_count_most() -> None:
    said = scores(tastes(fade=0.7), recent=(MORE_CHESS, CHESS, *([JAZZ] * 3)))
    assert said[MORE_CHESS] > said[MORE_JAZZ] * 0.99
    turned = scores(tastes(fade=0.7), recent=(JAZZ, MORE_JAZZ, *([CHESS] * 3)))
    assert turned[MORE_JAZZ] > turned[MORE_CHESS] * 0.99


def test_without_tags_or_history_there_is_nothing_to_say() -> None:
    assert set(scores(tastes()).values()) == {0.0}
    assert set(scores(tastes(), recent=(PLAIN, 99_999)).values()) == {0.0}


def test_a_retired_item_is_proposed_no_more() -> None:
    source = tastes()
    source.drop(MORE_JAZZ)
    assert MORE_JAZZ not in source.touch(Query(1, (JAZZ,), (0,), 9)).ids.tolist()
    source.drop(MORE_JAZZ)


@pytest.mark.parametrize("wrong", [{"fade": 0.0}, {"ridge": 0.0}, {"usual_rate": 1.0}, {"asked": 0}])
def test_arguments_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Tastes(**wrong)  # type: ignore[arg-type]


def test_after_a_click_on_jazz_the_whole_slate_is_jazz_though_nobody_else_acted_yet() -> None:
    model = Model()
    for item in range(60):
        model.note_item(item, item, tags=(("jazz", "news", "chess")[item % 3],))
    c = model.candidates(Query(1, (0,), (5,), 9))
    best = c.ids[np.argsort(-model.order(c))][:10]
    jazz = [int(item) % 3 == 0 for item in best if item != 0]
    assert sum(jazz) >= 9


def test_the_latest_slots_passed_over_are_remembered_and_an_action_takes_them_back() -> None:
    record = UserRecord()
    for item in range(SHOWN + 5):
        record.see(item)
    record.act(SHOWN, ts=1_000)
    assert len(record.shown) == SHOWN - 1
    assert record.query(1, now=9).shown[0] == SHOWN + 4
    assert decode(encode(record)) == record


def test_what_a_user_without_an_action_passed_over_ten_times_is_half_as_likely_as_the_unknown() -> None:
    said = scores(tastes(), shown=(JAZZ,) * 10)
    assert said[NEWS] > 2 * said[MORE_JAZZ]


def test_a_click_by_chance_is_outweighed_by_the_many_slots_with_its_tag_that_were_passed_over() -> None:
    said = scores(tastes(), recent=(JAZZ,), shown=(MORE_JAZZ, BOTH) * 20)
    assert said[NEWS] > said[MORE_JAZZ]


def test_a_slate_for_who_passed_jazz_over_holds_what_is_not_known_to_be_disliked() -> None:
    model = Model()
    for item in range(60):
        model.note_item(item, item, tags=(("jazz", "news", "chess")[item % 3],))
    for user in range(20):  # jazz is what everybody else acts on
        model.learn_one(Interaction(user, item=3 * (user % 5), ts=user))
    c = model.candidates(Query(99, (), (), 30, tuple(range(30, 60, 3)) * 3))
    best = c.ids[np.argsort(-model.order(c))][:10]
    assert sum(int(item) % 3 == 0 for item in best) <= 3
