"""A stock Faust agent that does nothing, on the stock ``kafka://`` driver: the yardstick of ``ingest``.

``python -m bench.stock BOOTSTRAP TOPIC GROUP PROGRESS`` reads the topic from its beginning until it is ended, and
writes now and then to the file ``PROGRESS`` how many records its agent was given, when, and what CPU time it had used.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import faust
from faust.app.base import BootStrategy

_EVERY = 250


class _NoWeb(BootStrategy):  # type: ignore[misc]
    enable_web = False  # it would bind a port


class _App(faust.App):  # type: ignore[misc]
    BootStrategy = _NoWeb


def make(bootstrap: str, topic: str, group: str, progress: Path) -> faust.App:
    """The application with Faust's defaults: events are JSON, nothing is done with them."""
    app = _App(
        group,
        broker=f"kafka://{bootstrap}",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
    )

    async def nothing(stream: Any) -> None:
        count = 0
        async for _ in stream:
            count += 1
            if count % _EVERY == 0:
                tell(progress, count)

    app.agent(app.topic(topic), name="nothing")(nothing)
    return app


def tell(progress: Path, count: int) -> None:
    """How far it is."""
    progress.write_text(f"{count} {time.perf_counter()} {time.process_time()}")


async def main() -> None:
    """Run until ended."""
    bootstrap, topic, group, progress = sys.argv[1:]
    app = make(bootstrap, topic, group, Path(progress))
    app.finalize()
    await app.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
