"""The file that declares experiments, read again whenever it changes; one that does not hold changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from online_models.errors import SettingsError
from serving.experiments import Check, Experiments, load
from streams.overrides import known_override

log = logging.getLogger(__name__)

LOOK_S = 2.0


class ExperimentsFile:
    """Declared experiments.

    Args:
        path: of the YAML; empty is none.
        declare: told of what holds from now on.
        check: refuses overrides that this deployment cannot have.

    Raises:
        SettingsError: the file does not hold, or is not there.
    """

    def __init__(
        self, path: str, declare: Callable[[Experiments], None], check: Check = known_override
    ) -> None:
        self._path = Path(path) if path else None
        self._declare, self._check = declare, check
        self._mark = self._now()
        if self._path is not None:
            if self._mark is None:
                raise SettingsError(f"FRESHET_EXPERIMENTS_FILE: there is no file {self._path}")
            declare(load(self._path, check))

    def look(self) -> bool:
        """Take the file over if it has changed; whether it did."""
        mark = self._now()
        if self._path is None or mark == self._mark or mark is None:
            return False  # a file that is gone leaves what it declared: it is about to be replaced
        self._mark = mark
        try:
            declared = load(self._path, self._check)
        except (SettingsError, OSError) as error:
            log.error("experiments stay as they were: %s", error)
            return False
        self._declare(declared)
        log.info("experiments were declared anew by %s", self._path)
        return True

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def _now(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_size) if stat is not None else None
