"""The short form of the game day, and that no runbook is left out of the long one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gameday.failures import FAILURES, NOT_PROVOKED, Signal
from tests.gameday.run import line, play, quick
from tests.gameday.stack import Stack
from tests.kafka.broker import KafkaBroker
from tests.support.redis_server import RedisServer

RUNBOOKS = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
SIGNALS = [signal for failure in FAILURES for signal in failure.signals]


def test_every_runbook_is_provoked_or_says_why_not() -> None:
    provoked = {signal.runbook for signal in SIGNALS}
    assert provoked | set(NOT_PROVOKED) == {page.stem for page in RUNBOOKS.glob("*.md")}
    assert not provoked & set(NOT_PROVOKED)
    assert all(NOT_PROVOKED.values())


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: f"{signal.runbook}-{signal.name}")
def test_a_signal_is_named_by_its_runbook_where_it_says_what_is_seen(signal: Signal) -> None:
    text = (RUNBOOKS / f"{signal.runbook}.md").read_text()
    assert signal.name in text[: text.index("## How to mitigate")]


@pytest.mark.timeout(240)
def test_what_can_be_provoked_quickly_is_seen_as_its_runbook_says(
    make_broker: Callable[..., KafkaBroker],
    make_redis: Callable[..., RedisServer],
    tmp_path: Path,
    namespace: str,
) -> None:
    with Stack(tmp_path, namespace, broker=make_broker(), redis=make_redis()) as stack:
        rows = play(stack, quick())
    assert rows and all(row.seen_s is not None for row in rows), "\n".join(map(line, rows))
