"""What every test may ask for: a real Kafka, a real Redis, a namespace of its own, the public data.

A test that asks for ``kafka`` or ``make_broker`` is marked ``kafka``, and so on: no need to mark it by hand.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

import hypothesis
import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # `pytest` alone, unlike `python -m pytest`, leaves the project out
    sys.path.insert(0, str(ROOT))

from streams.embedded import EmbeddedUnavailable, find_redis_server  # noqa: E402
from tests.kafka.broker import KafkaBroker  # noqa: E402
from tests.kafka.jars import KafkaUnavailable  # noqa: E402
from tests.support.redis_server import RedisServer  # noqa: E402

# Two cores run brokers and tests alike: an example that waits for a core is no failure.
hypothesis.settings.register_profile("freshet", deadline=None)
hypothesis.settings.load_profile("freshet")

_MARK_OF_FIXTURE = {
    "kafka": "kafka",
    "make_broker": "kafka",
    "redis_url": "redis",
    "redis_server": "redis",
    "make_redis": "redis",
    "data_dir": "data",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", action="store_true", help="also run the long fault injection (marker chaos)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in _MARK_OF_FIXTURE:
                item.add_marker(_MARK_OF_FIXTURE[fixture])
    if _chaos_was_asked_for(config):
        return
    left_out = [item for item in items if item.get_closest_marker("chaos")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("chaos")]


def _chaos_was_asked_for(config: pytest.Config) -> bool:
    named = any("::" in argument for argument in config.args)
    return bool(config.getoption("--chaos")) or "chaos" in config.getoption("-m", "") or named


def pytest_report_header() -> str:
    try:
        redis = find_redis_server()
    except EmbeddedUnavailable as missing:
        redis = str(missing)
    kafka = os.environ.get("FRESHET_TEST_KAFKA") or "one started by the tests"
    return f"kafka: {kafka}; redis: {redis}; data: {_data_folder()}"


def _unavailable(reason: str, required_by: str) -> NoReturn:
    """Skip with the reason, or fail where the environment says it has to be there."""
    if os.environ.get(required_by) == "1":
        pytest.fail(f"{reason} ({required_by}=1)", pytrace=False)
    pytest.skip(reason)


def _start_broker(**options: object) -> KafkaBroker:
    try:
        return KafkaBroker(**options).start()  # type: ignore[arg-type]
    except KafkaUnavailable as missing:
        _unavailable(f"real Kafka: {missing}", "FRESHET_REQUIRE_KAFKA")


def _start_redis(**options: object) -> RedisServer:
    try:
        return RedisServer(**options).start()  # type: ignore[arg-type]
    except EmbeddedUnavailable as missing:
        _unavailable(f"real Redis: {missing}", "FRESHET_REQUIRE_REDIS")


@pytest.fixture(scope="session")
def kafka(_namespaces: list[str]) -> Iterator[str]:
    """Bootstrap address of one real broker shared by the session (``FRESHET_TEST_KAFKA`` uses yours)."""
    given = os.environ.get("FRESHET_TEST_KAFKA")
    if given:
        try:
            ours = KafkaAdminClient(bootstrap_servers=given, bootstrap_timeout_ms=10_000)
        except KafkaError as error:
            pytest.fail(f"FRESHET_TEST_KAFKA={given}: {error}", pytrace=False)
        yield given
        _remove_topics(ours, _namespaces)
        return
    broker = _start_broker()
    yield broker.bootstrap
    broker.close()


@pytest.fixture
def make_broker() -> Iterator[Callable[..., KafkaBroker]]:
    """Starts private brokers (about 5 s each), for tests that stop or pause one; ended with the test."""
    with ExitStack() as ended:

        def make(**options: object) -> KafkaBroker:
            broker = _start_broker(**options)
            ended.callback(broker.close)
            return broker

        yield make


@pytest.fixture(scope="session")
def _shared_redis() -> Iterator[RedisServer]:
    server = _start_redis()
    yield server
    server.close()


@pytest.fixture
def redis_server(_shared_redis: RedisServer) -> RedisServer:
    """The session's redis-server, empty (noeviction, no persistence)."""
    _shared_redis.flush()
    return _shared_redis


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Its URL."""
    return redis_server.url


@pytest.fixture
def make_redis() -> Iterator[Callable[..., RedisServer]]:
    """Starts private servers (``aof=True``), for tests that stop or pause one; ended with the test."""
    with ExitStack() as ended:

        def make(**options: object) -> RedisServer:
            server = _start_redis(**options)
            ended.callback(server.close)
            return server

        yield make


@pytest.fixture(scope="session")
def _namespaces() -> list[str]:
    return []


@pytest.fixture
def namespace(_namespaces: list[str]) -> str:
    """A deployment's name no other test has: its topics and keys touch nobody else's."""
    _namespaces.append(f"t{uuid.uuid4().hex[:10]}")
    return _namespaces[-1]


def _remove_topics(admin: Any, namespaces: list[str]) -> None:
    """Leave somebody's broker as it was."""
    left = [topic for topic in admin.list_topics() if topic.split(".")[0] in namespaces]
    if left:
        admin.delete_topics(left, raise_errors=False)
    admin.close()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the public data sets (``FRESHET_DATA``, by default ``../shared/data``)."""
    folder = _data_folder()
    if not (folder / "ml-100k.inter.gz").exists():
        _unavailable(f"no public data in {folder}: set FRESHET_DATA", "FRESHET_REQUIRE_DATA")
    return folder


def _data_folder() -> Path:
    given = os.environ.get("FRESHET_DATA")
    return Path(given) if given else ROOT.parent / "shared" / "data"
