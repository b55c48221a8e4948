"""The protocol counts what it says it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.baselines import EaseArm, IsgdArm, ItemItemArm, PopularityArm, baselines
from evaluation.prequential import prequential
from evaluation.protocol import Arm, Event, Tally, replay
from evaluation.sessions import sessions
from evaluation.shuffles import tie_shuffled
from online_models.base import Ids, Interaction, Query


class Oracle:
    """Ranks by a script, and remembers what it was asked and taught."""

    def __init__(self, *ranks: float) -> None:
        self.ranks = list(ranks)
        self.asked: list[tuple[Query, int, list[int]]] = []
        self.taught: list[Interaction] = []

    def rank(self, query: Query, target: int, exclude: Ids) -> float:
        self.asked.append((query, target, exclude.tolist()))
        return self.ranks.pop(0)

    def learn(self, x: Interaction) -> None:
        self.taught.append(x)


EVENTS = [Event(0, 0, 10), Event(1, 0, 20), Event(1, 1, 30), Event(0, 1, 40_000), Event(1, 2, 50_000)]


def test_an_event_is_scored_only_with_history_and_when_its_item_was_seen() -> None:
    arm = Oracle(3.0)
    replay(EVENTS, {"a": arm}, k=10)
    assert [(target, out) for _, target, out in arm.asked] == [(1, [0])]
    assert [x.item for x in arm.taught] == [0, 0, 1, 1, 2]


@pytest.mark.parametrize(("mode", "now"), [("request", 10), ("at-event", 40_000)])
def test_a_request_is_as_of_the_previous_event_unless_asked_at_the_event(mode: str, now: int) -> None:
    arm = Oracle(0.0)
    replay(EVENTS, {"a": arm}, k=10, mode=mode)  # type: ignore[arg-type]
    assert arm.asked[0][0] == Query(0, (0,), (10,), now)


def test_sessions_exclude_nothing_so_that_a_repeat_is_scored() -> None:
    events = [Event(0, 0, 1), Event(0, 0, 2)]
    assert len(replay(events, {"a": Oracle(0.0)}, k=20, exclude_history=False)["a"].ranks) == 1
    assert len(replay(events, {"a": Oracle()}, k=20)["a"].ranks) == 0


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="request or at-event"):
        replay(EVENTS, {}, k=10, mode="sometimes")  # type: ignore[arg-type]


def test_figures_of_known_ranks() -> None:
    tally = Tally(10, events=8, ranks=[0.0, 9.5, 10.0, float("inf")], gaps=[0, 59_999, 60_000, 10**9])
    assert tally.recall() == 0.5
    assert tally.recall_all() == 0.25
    assert tally.mrr() == pytest.approx((1 + 1 / 10.5 + 1 / 11) / 4)
    assert tally.mrr(10) == pytest.approx((1 + 1 / 10.5) / 4)
    assert tally.dcg() == pytest.approx((1 + 1 / np.log2(11.5)) / 4)
    assert tally.by_gap() == {"0": 1.0, "under a minute": 1.0, "under an hour": 0.0, "more": 0.0}


def test_a_tie_shuffle_keeps_times_and_events_and_depends_on_its_seed_alone() -> None:
    events = [Event(0, i, i // 10) for i in range(50)]
    one, two = tie_shuffled(events, 1), tie_shuffled(events, 2)
    assert [e.ts for e in one] == [e.ts for e in events]
    assert sorted(one, key=lambda e: e.item) == events
    assert one != two
    assert one == tie_shuffled(events, 1)


def pairs(users: int = 120) -> list[Event]:
    """Users who act on 2 k and then on 2 k + 1; 30 items."""
    return [Event(u, 2 * (u % 15) + k, 100 * u + k) for u in range(users) for k in (0, 1)]


@pytest.mark.parametrize("arm", [ItemItemArm(), EaseArm(refit=20, l2=1.0)])
def test_a_baseline_that_looks_at_pairs_finds_them(arm: Arm) -> None:
    tally = replay(pairs(), {"a": arm}, k=1)["a"]
    assert tally.by_fifth()[-1] == 1.0


def test_popularity_and_isgd_run_and_do_not_find_them() -> None:
    tallies = replay(pairs(), {"popularity": PopularityArm(), "isgd": IsgdArm()}, k=1)
    assert all(tally.recall() < 0.5 for tally in tallies.values())


def test_a_report_holds_the_keys_that_are_promised_and_a_curve_is_drawn(tmp_path: Path) -> None:
    report = prequential(pairs(), others=baselines(refit=50), plot=tmp_path / "curve.png")
    assert report.recall_at_10 > 0.9
    assert report.candidate_recall == 1.0
    assert report.events == 240
    assert set(report.baselines) == {"popularity", "isgd", "item_item_last_5", "ease_refitted_every_50"}
    assert len(report.by_fifth) == len(report.best_source_by_fifth) == 5
    assert (tmp_path / "curve.png").stat().st_size > 1_000


def test_sessions_find_the_repeat() -> None:
    events = [Event(s, i, 100 * s + k) for s in range(40) for k, i in enumerate((s % 9, 9 + s % 3, s % 9))]
    report = sessions(events)
    assert report.hr_at_20 == 1.0
    assert report.mrr_at_20 > 0.4
