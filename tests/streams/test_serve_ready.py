"""When an API replica says that it can answer, and when it does not."""

from __future__ import annotations

from pathlib import Path

from streams import settings
from streams.serve import Replica


async def test_a_replica_that_is_loaded_stays_ready_while_redis_is_away(tmp_path: Path) -> None:
    replica = Replica(settings.load(snapshot_dir=str(tmp_path)))
    replica._waiting("interned", 5.0, TimeoutError())
    assert "redis" in replica.lacking()
    replica._lacking = {}  # all is loaded
    replica._waiting("follow", 5.0, TimeoutError())
    assert replica.lacking() == {}
