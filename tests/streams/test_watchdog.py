"""The watchdog: a stall ends the process, progress does not, and being stopped from outside is no stall."""

import threading

import pytest

from streams.watchdog import EXIT_CODE, Watchdog


def test_a_silence_ends_the_process_with_its_exit_code():
    ended, codes = threading.Event(), []
    dog = Watchdog(0.2, end=lambda code: (codes.append(code), ended.set()))
    dog.start()
    assert ended.wait(5)
    assert codes == [EXIT_CODE]


def test_progress_keeps_it_alive():
    ended, pause = threading.Event(), threading.Event()
    dog = Watchdog(0.5, end=lambda code: ended.set())
    dog.start()
    for _ in range(20):
        dog.beat()
        pause.wait(0.05)  # twice the patience passes, beat by beat
    assert not ended.is_set()
    dog.stop()


def test_a_patience_of_nothing_is_refused():
    with pytest.raises(ValueError, match="patience_s"):
        Watchdog(0)
