"""Redis as large deployments run it, on this machine: a cluster, a master with a replica and a Sentinel, TLS."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from streams.children import LOOPBACK, Child, free_port
from streams.embedded import find_redis_server, redis_answers, redis_options

SLOTS = 16_384


class RedisSetup:
    """Servers that belong together; all end with the block."""

    def __init__(self) -> None:
        self._ended = ExitStack()
        self.dir = Path(self._ended.enter_context(tempfile.TemporaryDirectory(prefix="freshet-redis-")))
        self.children: list[Child] = []

    def server(self, port: int, *more: str) -> Child:
        """Start one more, and wait until it answers."""
        folder = self.dir / str(port)
        folder.mkdir()
        options = redis_options(port, folder, aof=True, appendfsync="always")
        return self.child([*options, *more], folder / "redis.log", port)

    def child(self, options: list[str], log: Path, port: int) -> Child:
        """Start redis-server with these options."""
        child = Child([find_redis_server(), *options], log=log)
        child.start()
        self._ended.callback(child.kill)
        self.children.append(child)
        child.wait_ready(lambda: redis_answers(port), timeout_s=20, what="redis-server")
        return child

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.close()


def client(port: int, **more: Any) -> redis.Redis:
    """A synchronous client of one server."""
    return redis.Redis(host=LOOPBACK, port=port, protocol=2, decode_responses=True, retry=None, **more)


def cluster(setup: RedisSetup) -> str:
    """A cluster of three masters; its URL."""
    ports = []
    while len(ports) < 3:
        port = free_port()
        bus = free_port()
        setup.server(
            port, "--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "3000"
        )
        ports.append((port, bus))
    for n, (port, _) in enumerate(ports):
        with client(port) as node:
            node.execute_command("CLUSTER ADDSLOTSRANGE", SLOTS * n // 3, SLOTS * (n + 1) // 3 - 1)
            for other, bus in ports[:n]:
                node.execute_command("CLUSTER MEET", LOOPBACK, other, bus)
    for port, _ in ports:
        with client(port) as node:
            _until(lambda node=node: _info(node)["cluster_state"] == "ok", "the cluster is whole")  # type: ignore[misc]
    return "redis://" + ",".join(f"{LOOPBACK}:{port}" for port, _ in ports)


def _info(node: redis.Redis) -> dict[str, str]:
    found: Any = node.execute_command("CLUSTER INFO")
    if isinstance(found, dict):
        return found
    return dict(line.split(":", 1) for line in str(found).split())


def sentinel(setup: RedisSetup, name: str = "mymaster") -> tuple[str, Child]:
    """A master with a replica, watched by one Sentinel; the URL of the Sentinel, and the master."""
    first, second, watch = free_port(), free_port(), free_port()
    master = setup.server(first)
    setup.server(second, "--replicaof", LOOPBACK, str(first))
    with client(second) as replica:
        _until(lambda: replica.info("replication")["master_link_status"] == "up", "the replica follows")
    config = setup.dir / "sentinel.conf"
    config.write_text(
        f"port {watch}\nbind {LOOPBACK}\nsentinel monitor {name} {LOOPBACK} {first} 1\n"
        f"sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 5000\n"
    )
    setup.child([str(config), "--sentinel"], setup.dir / "sentinel.log", watch)
    with client(watch) as asked:
        _until(lambda: asked.sentinel_master(name)["num-slaves"] == 1, "the Sentinel knows the replica")
    return f"redis://{LOOPBACK}:{watch}", master


def encrypted(setup: RedisSetup, *rules: str) -> tuple[str, Path]:
    """A server that speaks only TLS, and knows the user ``worker`` (password ``right``) besides a closed default.

    Args:
        rules: what the user may do, as Redis writes it.
    """
    port, plain = free_port(), free_port()
    key, certificate = setup.dir / "key.pem", setup.dir / "ca.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=freshet-test",
         "-addext", f"subjectAltName=IP:{LOOPBACK}", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    users = setup.dir / "users.acl"
    users.write_text(f"user default off\nuser worker on >right {' '.join(rules)}\n")
    folder = setup.dir / "tls"
    folder.mkdir()
    options = redis_options(plain, folder, aof=True)
    options[options.index("--port") + 1] = "0"
    tls = {"tls-port": port, "tls-cert-file": certificate, "tls-key-file": key, "tls-ca-cert-file": certificate,
           "tls-auth-clients": "no", "aclfile": users}  # fmt: skip
    options += [word for name, value in tls.items() for word in (f"--{name}", str(value))]
    child = Child([find_redis_server(), *options], log=folder / "redis.log")
    child.start()
    setup._ended.callback(child.kill)
    asked = client(
        port, ssl=True, ssl_ca_certs=str(certificate), username="worker", password="right", socket_timeout=2
    )

    def answers() -> bool:
        try:
            return bool(asked.ping())
        except redis.exceptions.NoPermissionError:
            return True
        except (redis.RedisError, OSError):
            return False

    child.wait_ready(answers, timeout_s=20, what="redis-server with TLS")
    asked.close()
    return f"rediss://worker:right@{LOOPBACK}:{port}/0", certificate


def _until(holds: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.05)
