"""A worker and an API as processes of their own, on embedded Kafka and Redis: a canary nobody clicks; the switch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from kafka import KafkaProducer

from streams.children import free_port
from streams.embedded import EmbeddedKafka, EmbeddedRedis, EmbeddedUnavailable

ROOT = Path(__file__).resolve().parents[2]


class Site:
    """What users and operators see of a deployment."""

    def __init__(self, kafka: EmbeddedKafka, redis: EmbeddedRedis, folder: Path) -> None:
        port = free_port()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20.0)
        given = {
            "KAFKA": kafka.bootstrap, "REDIS_URL": redis.url, "NAMESPACE": "shop", "PARTITIONS": "4",
            "EMBEDDED": "true", "HTTP_PORT": str(port), "SNAPSHOT_DIR": str(folder), "ATTRIBUTION_WINDOW_MS": "1000",
            "ALLOWED_LATENESS_MS": "200", "SURFACES": '{"default": {"seen": "none", "randomised_share": 1.0}}',
        }  # fmt: skip
        self.environment = os.environ | {f"FRESHET_{name}": value for name, value in given.items()}
        self.visits = 0

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "streams", *words]

    def run(self, *words: str) -> str:
        return subprocess.run(
            self.command(*words), env=self.environment, cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout

    def ready(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def visit(self) -> dict[str, Any]:
        """Somebody looks at five items, and clicks two unless they are the canary's."""
        self.visits += 1
        user = f"u{self.visits % 60}"
        slate: dict[str, Any] = self.http.post("/v1/recommendations", json={"user_id": user, "n": 5}).json()
        about = {"user_id": user, "request_id": slate["request_id"]}
        slots = [{"item_id": item["item_id"], "position": item["position"]} for item in slate["items"]]
        clicked = [] if slate["model_version"].startswith("v2") else slots[:2]
        events = [{"type": "impression", "items": slots, **about}]
        events += [{"type": "click", "item_id": slot["item_id"], **about} for slot in clicked]
        assert self.http.post("/v1/events", json=events).status_code == 202
        return slate

    def until(self, holds: Callable[[dict[str, Any]], bool], timeout_s: float) -> dict[str, Any]:
        """Visits until one sees what is waited for."""
        deadline = time.monotonic() + timeout_s
        while not holds(slate := self.visit()):
            assert time.monotonic() < deadline, slate
        return slate

    def model(self) -> dict[str, Any]:
        told: dict[str, Any] = self.http.get("/v1/experiments").json()["model"]
        return told


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A deployment with forty items and a canary at 30 %."""
    with ExitStack() as ended:
        try:
            kafka, redis = ended.enter_context(EmbeddedKafka()), ended.enter_context(EmbeddedRedis())
        except EmbeddedUnavailable as missing:
            pytest.skip(str(missing))
        kafka.ensure("shop")
        made = Site(kafka, redis, tmp_path)
        for role in ("worker", "serve"):
            log = ended.enter_context((tmp_path / f"{role}.log").open("w"))
            child = subprocess.Popen(
                made.command(role), env=made.environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
            )
            ended.callback(child.wait, 30)
            ended.callback(child.terminate)
        producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, **EmbeddedKafka.CLIENT)
        for k in range(40):
            producer.send("shop.catalog", key=b"i%d" % k, value=orjson.dumps({"item_id": f"i{k}"}))
        producer.close()
        deadline = time.monotonic() + 120
        while not made.ready():
            assert time.monotonic() < deadline, (tmp_path / "serve.log").read_text()
            time.sleep(0.2)
        yield made


def test_a_canary_nobody_clicks_is_taken_back_in_all_processes_and_the_switch_reaches_them(
    site: Site,
) -> None:
    site.run("model", "register", "v2", "--recipe", "rate=0.05")
    site.run("model", "promote", "v2")
    site.run("model", "promote", "v2", "--share", "0.3")
    site.until(lambda slate: slate["model_version"].startswith("v2"), 60)
    site.until(lambda _: site.visits % 20 == 0 and bool(site.model()["frozen"]), 120)
    assert site.model() | {"share": 0.0, "log_loss": {}} == {
        "live": "base", "canary": None, "share": 0.0, "frozen": True, "exploring": True,
        "versions": {"base": "live", "v2": "retired"}, "log_loss": {},
    }  # fmt: skip
    assert all(site.visit()["model_version"].startswith("base") for _ in range(60))
    told = orjson.loads(site.run("model", "list", "--json"))
    assert told["audit"][-1]["who"].startswith("guard of worker-")
    signals = site.run("tail", "drift-signals", "--from-start", "--idle", "1", "--json")
    assert "rollback:v2" in signals
    site.run("model", "release")
    site.run("model", "explore", "off")
    site.until(lambda slate: slate["policy"] == "greedy", 30)
    report = orjson.loads(site.run("experiment", "report", "--json"))["experiments"]
    assert [(row["experiment"], row["comparisons"][0]["verdict"]) for row in report] == [("v2", "WORSE")]
    for variant in report[0]["variants"]:
        assert variant["slates"] > 0
        assert variant["latency_ms"]["p99"] >= variant["latency_ms"]["p50"] > 0.0, "answers of both are timed"
        assert (variant["failed_share"], variant["empty_share"]) == (0.0, 0.0)
