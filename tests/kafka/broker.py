"""One real Apache Kafka node (KRaft, broker and controller in one) on a free port of 127.0.0.1.

Needs Java 17 and, the first time, Maven. ``python -m tests.kafka.broker`` runs one by hand.
"""

from __future__ import annotations

import base64
import signal
import subprocess
import tempfile
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from streams.children import LOOPBACK, Child, ChildFailed, free_port, port_is_taken
from tests.kafka.jars import fetch_jars, find_java

SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_JVM = (
    "-Xms128m",
    "-XX:+UseSerialGC",  # two cores: no collector threads beside the broker's own
    "-XX:TieredStopAtLevel=1",  # half the start-up time
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)


class KafkaBroker:
    """A broker with its own storage; ``stop`` then ``start`` keeps data and port.

    Args:
        heap_mb: the JVM's heap, at least 256.
        settings: broker properties added to, or in place of, the ones below.
        users: passwords by user name; opens a second listener, `bootstrap_sasl`, that asks for them
            (SASL_PLAINTEXT; mechanisms PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512).
        tls: that listener speaks TLS (SASL_SSL); `ca` is the certificate clients must trust.
    """

    def __init__(
        self,
        *,
        heap_mb: int = 512,
        settings: dict[str, str] | None = None,
        users: dict[str, str] | None = None,
        tls: bool = False,
    ) -> None:
        if heap_mb < 256:
            raise ValueError(f"heap_mb: at least 256, not {heap_mb}")
        java, jars = find_java(), fetch_jars()
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="freshet-kafka-")
        self._java = [java, f"-Xmx{heap_mb}m", *_JVM, "-cp", jars]
        properties = _properties(self.port, free_port(), self.dir / "data")
        self._sasl_port = free_port() if users else 0
        self._credentials = [
            f"--add-scram={mechanism}=[name={name},password={password}]"
            for name, password in (users or {}).items()
            for mechanism in SCRAM
        ]
        if users:
            _add_sasl(properties, self._sasl_port, users)
            if tls:
                _add_tls(properties, self.ca)
        properties |= settings or {}
        self._config = self.dir / "server.properties"
        self._config.write_text("".join(f"{k}={v}\n" for k, v in sorted(properties.items())))
        self._child = Child([*self._java, "kafka.Kafka", str(self._config)], log=self.dir / "broker.log")

    @property
    def bootstrap(self) -> str:
        """``127.0.0.1:<port>``."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def bootstrap_sasl(self) -> str:
        """The address that asks for a user and password; ValueError without ``users``."""
        if not self._sasl_port:
            raise ValueError("this broker was made without users")
        return f"{LOOPBACK}:{self._sasl_port}"

    @property
    def ca(self) -> Path:
        """The certificate of the TLS listener, which signed itself."""
        return self.dir / "ca.pem"

    @property
    def dir(self) -> Path:
        """Folder of its data, configuration and log."""
        return Path(self._folder.name)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Started and not ended."""
        return self._child.running

    def start(self, timeout_s: float = 90.0) -> Self:
        """Format the storage (the first time), start, and wait until metadata lists the broker."""
        if not (self.dir / "data").exists():
            self._format()
        self._child.start()
        self._child.wait_ready(self._answers, timeout_s=timeout_s, what="Kafka")
        return self

    def stop(self) -> None:
        """End it in good order; data and port stay."""
        self._child.stop()

    def kill(self) -> None:
        """SIGKILL; data and port stay."""
        self._child.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, nothing answers."""
        self._child.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._child.resume()

    def close(self) -> None:
        """End it and remove its data."""
        self._child.kill()
        self._folder.cleanup()

    def log(self, lines: int = 30) -> str:
        """The last lines of its log."""
        return self._child.tail(lines)

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        done = subprocess.run(
            [
                *self._java,
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster}",
                "-c",
                str(self._config),
                *self._credentials,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            raise ChildFailed(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")

    def _answers(self) -> bool:
        if not port_is_taken(self.port):
            return False
        try:
            admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2_000)
        except KafkaError:
            return False
        try:
            return bool(admin.describe_cluster()["brokers"])
        except KafkaError:
            return False
        finally:
            admin.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _properties(port: int, controller_port: int, data: Path) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        # One node: its own topics cannot be replicated. Few partitions: they are created on first use.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # A rebalance starts when a member joins, not 3 s later.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # A killed broker may register again once its old session ended: 9 s by default.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # The cleaner's map is heap held from the start: 128 MB by default.
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
        "num.network.threads": "2",
        "num.io.threads": "4",
    }


def _add_sasl(properties: dict[str, str], port: int, users: dict[str, str]) -> None:
    properties["listeners"] += f",SASL://{LOOPBACK}:{port}"
    properties["advertised.listeners"] += f",SASL://{LOOPBACK}:{port}"
    properties["listener.security.protocol.map"] += ",SASL:SASL_PLAINTEXT"
    known = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    properties["listener.name.sasl.sasl.enabled.mechanisms"] = ",".join(("PLAIN", *SCRAM))
    for mechanism in SCRAM:
        properties[f"listener.name.sasl.{mechanism.lower()}.sasl.jaas.config"] = (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        )
    properties["listener.name.sasl.plain.sasl.jaas.config"] = f"{module} required {known};"


def _add_tls(properties: dict[str, str], ca: Path) -> None:
    key = ca.with_name("key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=freshet-test",
         "-addext", f"subjectAltName=IP:{LOOPBACK}", "-keyout", str(key), "-out", str(ca)],
        check=True, capture_output=True,
    )  # fmt: skip
    both = ca.with_name("keystore.pem")
    both.write_text(key.read_text() + ca.read_text())
    old = properties["listener.security.protocol.map"]
    properties["listener.security.protocol.map"] = old.replace("SASL_PLAINTEXT", "SASL_SSL")
    properties["listener.name.sasl.ssl.keystore.type"] = "PEM"
    properties["listener.name.sasl.ssl.keystore.location"] = str(both)


def main() -> None:
    """Run one broker until Ctrl-C, saying where it listens."""
    with KafkaBroker() as broker:
        print(f"Kafka on {broker.bootstrap}, data in {broker.dir}; Ctrl-C ends it", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
