"""The jars of Apache Kafka, fetched once by Maven from ``pom.xml`` into ``target/``."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE / "target"
JAVA_AT_LEAST = 17
_FETCH_TIMEOUT_S = 600


class KafkaUnavailable(RuntimeError):
    """There is no Java, no Maven or no jars; the message says what to install."""


def find_java() -> str:
    """Path of a Java of at least version 17; `KafkaUnavailable` where there is none."""
    java = shutil.which("java")
    if java is None:
        raise KafkaUnavailable("no Java:  sudo apt-get install openjdk-17-jre-headless maven")
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = java_major(told)
    if version < JAVA_AT_LEAST:
        raise KafkaUnavailable(
            f"Java {version} is too old for Kafka 4:  sudo apt-get install openjdk-17-jre-headless"
        )
    return java


def java_major(told: str) -> int:
    """The major version in what ``java -version`` prints, 0 when it is not there.

    >>> java_major('openjdk version "17.0.15" 2025-04-15'), java_major('java version "1.8.0_202"')
    (17, 8)
    """
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(found[1]) if found else 0


def fetch_jars() -> str:
    """The class path of the broker; fetches what is missing, one process at a time."""
    TARGET.mkdir(exist_ok=True)
    with (TARGET / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, wanted = TARGET / ".fetched", _digest(HERE / "pom.xml")
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(TARGET / "jars", ignore_errors=True)
            _run_maven()
            stamp.write_text(wanted)
    return str(TARGET / "jars" / "*")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run_maven() -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable("no Maven to fetch Kafka's jars with:  sudo apt-get install maven")
    done = subprocess.run(
        [maven, "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"],
        capture_output=True,
        text=True,
        check=False,
        timeout=_FETCH_TIMEOUT_S,
    )
    if done.returncode != 0:
        raise KafkaUnavailable(f"Maven could not fetch Kafka's jars:\n{(done.stdout + done.stderr)[-2000:]}")
