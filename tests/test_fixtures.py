"""The servers the tests lean on do what the tests need of them."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from streams.children import Child, ChildFailed, free_port, port_is_taken
from tests.kafka.broker import KafkaBroker
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).resolve().parent.parent


def _topics(bootstrap: str) -> set[str]:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        return set(admin.list_topics())
    finally:
        admin.close()


def test_a_broker_stopped_and_started_keeps_its_topics_and_its_port(
    make_broker: Callable[..., KafkaBroker], namespace: str
) -> None:
    broker = make_broker(heap_mb=256)
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics({namespace: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()
    before = broker.bootstrap
    broker.kill()
    assert not port_is_taken(broker.port)
    broker.start()
    assert broker.bootstrap == before
    assert namespace in _topics(before)
    broker.close()
    assert not broker.dir.exists()


def test_a_paused_broker_answers_nothing_until_it_is_resumed(make_broker: Callable[..., KafkaBroker]) -> None:
    broker = make_broker(heap_mb=256)
    broker.pause()
    with pytest.raises(KafkaError):
        KafkaAdminClient(bootstrap_servers=broker.bootstrap, bootstrap_timeout_ms=1_000)
    broker.resume()
    assert _topics(broker.bootstrap) == set()


def test_the_shared_broker_creates_no_topic_by_itself(kafka: str, namespace: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.describe_topics([namespace])
    admin.close()
    assert namespace not in _topics(kafka)


def test_a_killed_redis_with_aof_has_every_acknowledged_write(make_redis: Callable[..., RedisServer]) -> None:
    server = make_redis(aof=True)
    client = server.client()
    for n in range(100):
        client.incr("counter")
        client.set(f"key:{n}", n)
    server.kill()
    server.start()
    assert client.get("counter") == "100"
    assert client.dbsize() == 101


def test_a_paused_redis_answers_nothing_until_it_is_resumed(make_redis: Callable[..., RedisServer]) -> None:
    server = make_redis()
    client = redis.Redis(port=server.port, socket_timeout=0.2, retry=None, protocol=2)
    client.set("a", 1)
    server.pause()
    with pytest.raises(redis.TimeoutError):
        client.get("a")
    server.resume()
    assert client.get("a") == b"1"


def test_redis_refuses_writes_beyond_its_memory_and_evicts_nothing(
    make_redis: Callable[..., RedisServer],
) -> None:
    client = make_redis(maxmemory=2 << 20).client()
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        for n in range(10_000):
            client.set(f"k{n}", "x" * 1000)
    assert client.info("stats")["evicted_keys"] == 0


def test_every_test_begins_with_an_empty_redis(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        assert client.dbsize() == 0
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_the_servers_listen_on_loopback_only(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_a_child_that_ends_at_its_start_is_reported_with_its_output(tmp_path: Path) -> None:
    child = Child([sys.executable, "-c", "raise SystemExit('no such thing')"], log=tmp_path / "log")
    child.start()
    with pytest.raises(ChildFailed, match="no such thing"):
        child.wait_ready(lambda: False, timeout_s=20, what="it")


def test_a_child_that_is_never_ready_is_reported(tmp_path: Path) -> None:
    child = Child(["sleep", "60"], log=tmp_path / "log")
    child.start()
    with pytest.raises(ChildFailed, match="not ready after"):
        child.wait_ready(lambda: False, timeout_s=0.1, what="it")
    child.kill()
    assert not child.running


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_child_outlives_us_whatever_ends_us(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    script = (
        "import sys, signal; from pathlib import Path; from streams.children import Child\n"
        f"c = Child([{sys.executable!r}, '-m', 'http.server', '--bind', '127.0.0.1', '{port}'],"
        f" log=Path({str(tmp_path / 'log')!r}))\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background\n"
        "c.start(); print(c.pid, flush=True); signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(number)
        parent.wait(20)
    _wait_until_gone(child)


_ASKS = """
import pytest
def test_kafka(kafka): pass
def test_redis(redis_url): pass
def test_data(data_dir): pass
@pytest.mark.chaos
def test_long(): pass
"""


def _run_on_a_bare_machine(folder: Path, *arguments: str, **environment: str) -> str:
    (folder / "test_asks.py").write_text(_ASKS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n kafka\n redis\n data\n chaos\n")
    nothing = {"PATH": str(folder), "PYTHONPATH": f"{ROOT}", "FRESHET_DATA": str(folder), "HOME": str(folder)}
    words = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-rsfE", *arguments, "test_asks.py"]
    done = subprocess.run(
        words, cwd=folder, env=nothing | environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_without_java_or_data_a_test_is_skipped_with_what_to_install(tmp_path: Path) -> None:
    told = _run_on_a_bare_machine(tmp_path)
    assert "no Java:  sudo apt-get install openjdk-17-jre-headless" in told
    assert "set FRESHET_DATA" in told
    assert "1 passed, 2 skipped, 1 deselected" in told


def test_where_they_are_required_it_fails_instead(tmp_path: Path) -> None:
    told = _run_on_a_bare_machine(tmp_path, FRESHET_REQUIRE_KAFKA="1", FRESHET_REQUIRE_DATA="1")
    assert "FRESHET_REQUIRE_KAFKA=1" in told
    assert "FRESHET_REQUIRE_DATA=1" in told
    assert "2 errors" in told


def test_the_long_fault_injection_runs_when_it_is_asked_for(tmp_path: Path) -> None:
    for asked in (["--chaos"], ["-m", "chaos"]):
        told = _run_on_a_bare_machine(tmp_path, *asked)
        assert "1 passed" in told or "2 passed" in told, told


def _wait_until_gone(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone, _, _ = select.select([process], [], [], 20)
    os.close(process)
    assert gone, f"process {pid} outlived its parent"
