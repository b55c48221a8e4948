"""A process whose wall clock can be set while it runs; its monotonic clock goes on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """What is added to the wall clock of the processes started with :attr:`env`.

    Args:
        folder: where the library and the value are kept.
        name: of this clock; several may stand in one folder.
    """

    def __init__(self, folder: Path, name: str = "clock") -> None:
        self._file = folder / name
        self.set_s(0.0)
        self.env = {"LD_PRELOAD": str(_library(folder)), "TEST_WALL_CLOCK": str(self._file)}

    def set_s(self, seconds: float) -> None:
        """Let the clock be so far ahead from now on, s; negative is behind."""
        raw = int(seconds * 1_000_000_000).to_bytes(8, sys.byteorder, signed=True)
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(raw)


def _library(folder: Path) -> Path:
    made = folder / "wall_clock.so"
    if made.exists():
        return made
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("a clock that jumps: Linux and a C compiler are needed")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(made), str(_SOURCE), "-ldl"], check=True)
    return made
