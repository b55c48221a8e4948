"""Processes we start on this machine: they listen on loopback only, and none outlives us.

Used by the embedded Redis of ``freshet demo`` and by the brokers and servers of the test suite.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below Linux's ephemeral range (32768 and up): a client that reconnects to a stopped server is never
# given the server's own port as its source port, and so the server can come back on it.
PORTS = range(20_000, 32_000)
_POLL_S = 0.02
_GUARD_TIMEOUT_S = 5.0


class ChildFailed(RuntimeError):
    """A process of ours ended, or did not become ready in time; the message ends with its log."""


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Our own variables, handed on as they are, and more."""
    return {**os.environ, **more}


def free_port() -> int:
    """A TCP port of 127.0.0.1 nothing listens on now.

    >>> free_port() in PORTS
    True
    """
    for port in random.SystemRandom().sample(PORTS, 200):
        if not port_is_taken(port):
            return port
    raise ChildFailed(f"no free port among 200 tried in {PORTS.start}..{PORTS.stop - 1}")


def port_is_taken(port: int) -> bool:
    """Whether binding ``127.0.0.1:port`` is refused."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


class Child:
    """One process with its output in a log file; ends with us, whatever ends us.

    Args:
        argv: the command and its arguments.
        log: file the output is appended to; its folder exists.
        env: variables added to ours.
        cwd: folder the process runs in.
    """

    def __init__(
        self, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        if not argv:
            raise ValueError("argv: at least the command")
        self.argv = tuple(argv)
        self.log = log
        self._env = dict(env or {})
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Started and not ended (a paused process runs)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id; `ChildFailed` when it was never started."""
        if self._process is None:
            raise ChildFailed(f"{self.argv[0]} was not started")
        return self._process.pid

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C reaches us, and we stop it in our order."""
        if self.running:
            return
        _ours.add(self)
        guard = _die_with_us()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  the command is ours, never a user's text
                [*guard, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(self._env),
                cwd=self._cwd,
                start_new_session=True,
            )
        if guard:
            self._wait_until_guarded(Path(guard[0]).resolve())

    def _wait_until_guarded(self, guard: Path) -> None:
        """Return once the guard has become the command: before that, our death would not be seen."""
        deadline = time.monotonic() + _GUARD_TIMEOUT_S
        while self.running and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{self.pid}/exe").readlink() != guard:
                    return
            time.sleep(_POLL_S / 20)

    def wait_ready(self, ready: Callable[[], bool], *, timeout_s: float, what: str) -> None:
        """Return once ``ready()`` holds; `ChildFailed` when the process ends first or time is up."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.running:
                raise ChildFailed(f"{what} ended at its start:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{what} was not ready after {timeout_s:g} s:\n{self.tail()}")
            time.sleep(_POLL_S)

    def stop(self, timeout_s: float = 20.0) -> None:
        """Ask it to end (SIGTERM), and end it (SIGKILL) when it has not after ``timeout_s``."""
        if self._process is None:
            return
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(timeout_s)
            _ours.discard(self)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once (SIGKILL) and wait until it is gone."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        _ours.discard(self)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def tail(self, lines: int = 30) -> str:
        """The last lines it wrote."""
        if not self.log.exists():
            return "(no output)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


_ours: set[Child] = set()


@atexit.register
def _end_ours() -> None:
    for child in list(_ours):
        child.kill()


def _die_with_us() -> list[str]:
    """A prefix by which the kernel ends the process when we die, even by SIGKILL; empty where it cannot.

    The kernel's "parent" is the starting thread, so only the main thread, which ends last, may ask for it.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or threading.current_thread() is not threading.main_thread():
        return []
    return [setpriv, "--pdeathsig", "KILL", "--"]
