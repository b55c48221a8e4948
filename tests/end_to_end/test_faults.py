"""Workers that die or stall in the middle of a replay: every counter is right all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.end_to_end.harness import Deployment, Event, Recount

PIECE = 10_000
EARLY = 1_500
"""Events of a piece that are folded in when its fault comes: most are not."""


def _send_piece(running: Deployment, events: list[Event], number: int) -> None:
    """Send a piece, and return while most of it is still to be folded in."""
    before = sum(running.positions())
    running.send(events[number * PIECE : (number + 1) * PIECE])
    running.wait_for_folded(before + EARLY)


@pytest.mark.timeout(600)
def test_a_worker_killed_three_times_in_a_replay_loses_and_repeats_nothing(
    kafka: str, redis_url: str, deploy: Callable[..., Deployment], movielens: list[Event]
) -> None:
    running = deploy(kafka, redis_url)
    running.two_workers()
    for piece in range(3):
        _send_piece(running, movielens, piece)
        before = running.epochs()
        running.workers[-1].kill()
        running.worker()
        running.wait_for_claims(before)
    running.settle()
    want = Recount(running.settings).add(movielens[: 3 * PIECE])
    running.check(want)
    newest = {slate["user_id"]: slate for slate in running.slates()}
    assert newest.keys() == want.last.keys(), "who was owed a slate by a worker that died has none"
    shown = {user: {slot["item_id"] for slot in slate["items"]} for user, slate in newest.items()}
    assert [user for user in shown if shown[user] & want.acted[user]] == []


@pytest.mark.timeout(600)
def test_a_worker_stalled_past_its_session_adds_nothing_when_it_wakes(
    kafka: str, redis_url: str, deploy: Callable[..., Deployment], movielens: list[Event]
) -> None:
    running = deploy(kafka, redis_url)
    running.two_workers()
    _send_piece(running, movielens, 0)
    before = running.epochs()
    running.workers[0].pause()
    running.wait_for_claims(before)  # the other one has taken all over
    _send_piece(running, movielens, 1)
    before = running.epochs()
    running.workers[0].resume()
    running.wait_for_claims(before)  # and gives a share back
    _send_piece(running, movielens, 2)
    running.settle()
    assert all(worker.running for worker in running.workers), running.logs(60)
    want = Recount(running.settings).add(movielens[: 3 * PIECE])
    running.check(want)
    assert {slate["user_id"] for slate in running.slates()} == want.last.keys()
