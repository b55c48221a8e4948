"""Staleness has its price in a world where the right answer is known, and none in one that nothing is learnt from."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from evaluation.protocol import Event, ModelArm, replay
from evaluation.sync import INTERVALS, DelayedArm, staleness
from online_models.base import Interaction
from online_models.model import Model
from streams.cli_evaluate import app

MINUTE = 60_000


def pairs(users: int = 60) -> list[Event]:
    """A user a minute, who acts on 2 k and then on 2 k + 1; 10 items, so each pair comes again after 5 minutes."""
    return [Event(u, 2 * (u % 5) + k, MINUTE * u + k) for u in range(users) for k in (0, 1)]


def test_staleness_beyond_the_stream_s_length_means_nothing_was_learnt() -> None:
    model = Model()
    arm = DelayedArm(model, interval_ms=61 * MINUTE)
    tally = replay(pairs(), {"a": arm}, k=10, before=lambda e: arm.reach(e.ts))["a"]
    assert tally.recall() == 0.0
    assert arm.syncs == 0
    assert model.popular(5, now=61 * MINUTE)[0].tolist() == []


def test_no_delay_is_the_plain_protocol() -> None:
    plain = replay(pairs(), {"a": ModelArm(Model())}, k=1)["a"]
    (report,) = staleness(pairs(), intervals={"every event": 0}, k=1).values()
    assert report.recall == plain.recall()
    assert report.mrr == plain.mrr(1)


def test_a_pair_is_known_once_the_interval_it_was_first_seen_in_has_passed() -> None:
    told = staleness(pairs(), intervals={"none": 0, "half": 30 * MINUTE, "day": 1_440 * MINUTE}, k=2)
    # 55 of the 60 second clicks are scored; the first 25 of them fall into the first half hour
    assert [report.recall for report in told.values()] == [1.0, pytest.approx(30 / 55), 0.0]
    assert told["half"].relative == told["half"].recall
    assert [report.syncs for report in told.values()] == [119, 1, 0]


def test_the_ordering_waits_too_and_is_learnt_from_what_was_shown() -> None:
    events = pairs()
    model = Model()
    arm = DelayedArm(model, interval_ms=30 * MINUTE)
    replay(events[:-2], {"a": arm}, k=2, before=lambda e: arm.reach(e.ts))
    assert model.head.examples == 0  # in the first half hour the target was never among the candidates
    arm.reach(60 * MINUTE)
    assert model.head.examples == 29


def test_a_history_is_current_however_stale_what_is_learnt() -> None:
    seen: list[tuple[int, ...]] = []

    class Watching(DelayedArm):
        def rank(self, query, target, exclude):  # type: ignore[no-untyped-def]
            seen.append(query.recent)
            return super().rank(query, target, exclude)

    arm = Watching(Model(), interval_ms=10**12)
    replay(pairs(6), {"a": arm}, k=2, before=lambda e: arm.reach(e.ts))
    assert seen == [(0,)]


def test_intervals_are_those_of_the_published_table_and_one_below_zero_is_refused() -> None:
    assert list(INTERVALS) == ["every event", "1 s", "1 min", "10 min", "5 h", "1 day"]
    with pytest.raises(ValueError, match="interval_ms must be at least 0"):
        DelayedArm(Model(), interval_ms=-1)


def test_waiting_candidates_without_the_target_take_no_memory() -> None:
    arm = DelayedArm(Model(), interval_ms=10**12)
    replay(pairs(), {"a": arm}, k=2, before=lambda e: arm.reach(e.ts))
    assert all(shown is None for shown, _ in arm._waiting)
    assert isinstance(arm._waiting[0][1], Interaction)


def test_the_command_tells_a_table_or_json_and_draws(tmp_path: Path) -> None:
    file = tmp_path / "ratings"
    file.write_text("\n".join(f"{e.user}\t{e.item}\t5\t{e.ts // 1000}" for e in pairs()) + "\n")
    words = ["sync", "--data", str(file), "--plot", str(tmp_path / "sync.svg")]
    told = orjson.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert list(told["by_interval"]) == list(INTERVALS)
    assert told["metric"] == "Recall@10"
    assert (tmp_path / "sync.svg").exists()
    assert "visible every" in CliRunner().invoke(app, words).stdout
