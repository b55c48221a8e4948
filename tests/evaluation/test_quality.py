"""On real data: a fall in quality fails here, long before a full measurement (docs/quality.md) would show it."""

from __future__ import annotations

from pathlib import Path

from evaluation import prequential, sessions
from evaluation.datasets import open_dataset
from evaluation.protocol import events_of


def test_the_first_fifth_of_movielens_is_recommended_as_well_as_ever(data_dir: Path) -> None:
    told = prequential.run(open_dataset(data_dir / "ml-100k.inter.gz"), min_rating=5.0, limit=4_240)
    assert told["recall_at_10"] > 0.175
    assert told["candidate_recall"] > 0.79
    assert told["scored"] == 3_341
    assert told["recall_at_10"] > max(told["by_source"].values())


def test_a_short_stretch_of_sessions_is_recommended_as_well_as_ever(data_dir: Path) -> None:
    dataset = open_dataset(data_dir / "yoochoose-clicks-100k_train_full.txt.gz")
    told = sessions.run(dataset, limit=8_000)
    assert told["hr_at_20"] > 0.63
    assert told["mrr_at_20"] > 0.38
    assert told["hr_at_20"] > max(hr for hr, _ in told["by_source"].values())


def test_what_a_list_may_know_is_told_apart(data_dir: Path) -> None:
    events = events_of(open_dataset(data_dir / "ml-100k.inter.gz"), min_rating=5.0, limit=1_500)
    asked = prequential.prequential(events, sources=False)
    at_event = prequential.prequential(events, mode="at-event", sources=False)
    assert asked.recall_at_10 != at_event.recall_at_10
