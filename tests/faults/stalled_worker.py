"""``freshet worker`` that folds nothing while a file says so, though its loop goes on: as a dead consumer does."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from streams import cli
from streams.worker import Worker

_fold = Worker._fold


async def _stalls(self: Worker, batch: Any) -> None:
    if os.path.exists(os.environ["TEST_STALL"]):  # noqa: ASYNC240, PTH110
        await asyncio.Event().wait()
    await _fold(self, batch)


if __name__ == "__main__":
    Worker._fold = _stalls  # type: ignore[method-assign]
    sys.argv = ["freshet", "worker"]
    cli.main()
