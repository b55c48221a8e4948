"""A worker with the least of folds: it counts events per key, under the commit protocol and nothing else.

``python -m tests.faults.counting_worker BOOTSTRAP REDIS_URL NAMESPACE GROUP TOPIC SESSION_S FOLD_S``

It takes ``FOLD_S`` between reading a batch and committing it, so that whatever befalls it, it is in a batch's middle.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from typing import Any

from online_models.store import Store
from streams.faust_app import FreshetApp, make_app, run, use_uvloop
from streams.positions import Positions
from streams.transport import batches


def counting_app(
    bootstrap: str, store: Store, group: str, topic: str, session_s: float, fold_s: float
) -> tuple[FreshetApp, Positions]:
    """The application and its positions."""
    app = make_app(group, bootstrap, session_timeout_s=session_s, heartbeat_s=1.0)
    positions = Positions(store, app, topic)

    @app.agent(batches(app, topic))
    async def fold(stream: Any) -> None:
        async for batch in stream:
            held = positions.admit(batch)
            if held is None:
                continue
            counts = Counter(record.key.decode() for record in batch.records)
            counters = store.prefix(batch.partition) + "counts"
            writes = [("HINCRBY", counters, key, n) for key, n in sorted(counts.items())]
            await asyncio.sleep(fold_s)
            await positions.commit(held, writes, batch.next_position)

    return app, positions


def _told(operation: str, waited_s: float, error: Exception) -> None:
    logging.info("%s waited %.1f s for Redis: %r", operation, waited_s, error)


async def main(bootstrap: str, redis_url: str, namespace: str, group: str, topic: str, *seconds: str) -> None:
    """Count until told to stop."""
    store = Store(redis_url, namespace, timeout_s=2.0, patience_s=None, on_wait=_told)
    app, positions = counting_app(bootstrap, store, group, topic, *map(float, seconds))
    try:
        await run(app)
    finally:
        print(
            f"gaps={positions.gaps} fenced={positions.fenced} moved={positions.moved} stale={positions.stale}",
            flush=True,
        )
        await store.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    use_uvloop()
    asyncio.run(main(*sys.argv[1:]))
