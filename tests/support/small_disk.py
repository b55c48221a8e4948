"""A disk of a few megabytes that is really full when it is filled: a tmpfs of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self

LEFT = 8_192
"""Bytes left free on a full disk: a folder can be made, no snapshot can be written."""


class CannotMount(Exception):
    """This user may not mount."""


class SmallDisk:
    """Mounted at ``folder`` while the block runs.

    Args:
        megabytes: its size.

    Raises:
        CannotMount: neither we nor ``sudo`` without a password may.
    """

    def __init__(self, folder: Path, megabytes: int = 64) -> None:
        self.folder, self._megabytes = folder, megabytes
        self._ballast = folder / ".ballast"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f"size={self._megabytes}m,mode=0777"
        if _as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)):
            raise CannotMount("a disk of one's own needs root, or sudo without a password")
        return self

    def __exit__(self, *_: object) -> None:
        _as_root("umount", "--lazy", str(self.folder))

    def fill(self) -> None:
        """Leave next to nothing free; again, where room was made since."""
        with self._ballast.open("ab") as file, suppress(OSError):
            while True:
                free = os.statvfs(self.folder)
                room = free.f_bavail * free.f_frsize - LEFT
                if room <= 0:
                    return
                file.write(b"\0" * min(room, 1 << 20))
                file.flush()

    def empty(self) -> None:
        """Make room again."""
        self._ballast.unlink(missing_ok=True)


def _as_root(*words: str) -> int:
    """Run a command as root; its exit code."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if sudo and shutil.which("sudo") is None:
        return 1
    return subprocess.run([*sudo, *words], capture_output=True, check=False).returncode
