"""A real redis-server on a free port of 127.0.0.1, for tests and benchmarks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from streams.children import LOOPBACK, Child, free_port
from streams.embedded import find_redis_server, redis_answers, redis_options


class RedisServer:
    """One redis-server, empty at first; ``stop`` then ``start`` keeps data (AOF) and port.

    Args:
        aof: append-only file on, flushed at every write, so a killed server loses nothing.
        appendfsync: the AOF's policy: always, everysec or no.
        maxmemory: bytes, 0 for no limit; writes beyond it are refused (noeviction).
    """

    def __init__(self, *, aof: bool = False, appendfsync: str = "always", maxmemory: int = 0) -> None:
        if appendfsync not in {"always", "everysec", "no"}:
            raise ValueError(f"appendfsync is always, everysec or no, not {appendfsync!r}")
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="freshet-redis-")
        self._child = Child(
            [find_redis_server(), *self._options(aof, appendfsync, maxmemory)],
            log=self.dir / "redis.log",
        )

    @property
    def dir(self) -> Path:
        """Folder of its log and its append-only file."""
        return Path(self._folder.name)

    @property
    def url(self) -> str:
        """``redis://127.0.0.1:<port>/0``."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Started and not ended."""
        return self._child.running

    def start(self, timeout_s: float = 20.0) -> Self:
        """Start it and wait until it answers PING (it does after its AOF is read)."""
        self._child.start()
        self._child.wait_ready(lambda: redis_answers(self.port), timeout_s=timeout_s, what="redis-server")
        return self

    def flush(self) -> None:
        """Remove every key."""
        with self.client() as client:
            client.flushall()

    def client(self) -> redis.Redis:
        """A synchronous client that gives answers as text, without retries."""
        return redis.Redis(
            host=LOOPBACK, port=self.port, protocol=2, decode_responses=True, socket_timeout=5, retry=None
        )

    def stop(self) -> None:
        """End it in good order; data not in the AOF is lost."""
        self._child.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self._child.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._child.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._child.resume()

    def close(self) -> None:
        """End it and remove its folder."""
        self._child.kill()
        self._folder.cleanup()

    def _options(self, aof: bool, appendfsync: str, maxmemory: int) -> list[str]:
        return redis_options(self.port, self.dir, aof=aof, appendfsync=appendfsync, maxmemory=maxmemory)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
