"""Two workers and two API replicas on a real Kafka and Redis: weights changed live change the slates of all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from streams import settings as freshet_settings
from streams.children import Child, free_port
from streams.partitioner import partition_of
from tests.end_to_end.harness import PARTITIONS, ROOT, Deployment, until

ITEMS = ("browsed", "bought", "dull", "plain")
SURFACE = {
    "seen": "none", "randomised_share": 0, "swap_share": 0, "new_item_share": 0, "diversity": 0,
    "objectives": {"click": 1, "dislike": 0},
}  # fmt: skip


class Shop:
    """``browsed`` is clicked by three in four and never bought; ``bought`` by one in four, who all buy it."""

    def __init__(self, deployment: Deployment, apis: list[httpx.Client]) -> None:
        self.deployment, self.apis = deployment, apis
        self.visits = self.actions = 0

    def open(self) -> None:
        """Each item is clicked by somebody: what nobody ever acted on is only there to fill a slate up."""
        for item in ITEMS:
            event = {"type": "click", "user_id": f"first-{item}", "item_id": item}
            assert self.apis[0].post("/v1/events", json=event).status_code == 202

        def found() -> bool:
            slates = [self.slate(api, f"first-{self.visits}") for api in self.apis]
            self.visits += 1
            return not any("filled_up" in slate["flags"] for slate in slates)

        until(found, 60, lambda: f"all items are candidates: {self.why()}")

    def visit(self) -> None:
        """Somebody looks at a slate of all items, clicks one, and buys it or not."""
        self.visits += 1
        api, user = self.apis[self.visits % 2], f"visitor-{self.visits}"
        slate = self.slate(api, user)
        about = {"user_id": user, "request_id": slate["request_id"]}
        slots = [{"item_id": item["item_id"], "position": item["position"]} for item in slate["items"]]
        item = "bought" if self.visits % 4 == 0 else "browsed"
        events = [
            {"type": "impression", "items": slots, **about},
            {"type": "click", "item_id": item, **about},
        ]
        if item == "bought":
            events.append({"type": "action", "action": "purchase", "item_id": item, **about})
        assert api.post("/v1/events", json=events).status_code == 202

    def slate(self, api: httpx.Client, user: str) -> dict[str, Any]:
        """What a replica answers."""
        answer = api.post("/v1/recommendations", json={"user_id": user, "n": len(ITEMS)})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def fresh_slates(self) -> list[dict[str, Any]]:
        """What the workers make of an action, a user of each partition: a skip, which teaches no order."""
        self.actions += 1
        users: dict[int, str] = {}
        for k in range(100):
            users.setdefault(partition_of(f"w{k}", PARTITIONS), f"w{k}")
        causes = {user: f"act-{self.actions}-{user}" for user in users.values()}
        for user, cause in causes.items():
            about = {"event_id": cause, "user_id": user, "item_id": "dull", "ts": self.now()}
            event = {"type": "action", "action": "skip", **about}
            self.deployment.raw("events", user, orjson.dumps(event))
        self.deployment.flush()
        return [self.deployment.slate_of(user, cause) for user, cause in causes.items()]

    def now(self) -> int:
        """The clock of the replicas."""
        return int(self.apis[0].get("/v1/trending").json()["ts"])

    def everywhere(self, first: str) -> Callable[[], bool]:
        """Whether the slates of all processes begin with an item."""

        def holds() -> bool:
            made = [self.slate(api, f"new-{self.visits}") for api in self.apis]
            self.visits += 1
            return {slate["items"][0]["item_id"] for slate in made} == {first} and {
                slate["items"][0]["item_id"] for slate in self.fresh_slates()
            } == {first}

        return holds

    def versions(self) -> set[str]:
        """The weights that the slates of all processes are made by."""
        self.visits += 1
        made = [self.slate(api, f"new-{self.visits}") for api in self.apis]
        return {slate.get("objectives", "click") for slate in [*made, *self.fresh_slates()]}

    def why(self) -> list[Any]:
        """What the replicas answer, and why; for a test that fails."""
        asked = {"explain": True}
        told = [api.get("/v1/recommendations/somebody", params=asked).json()["items"] for api in self.apis]
        keys = ("item_id", "score", "probability")
        made = [
            [*({k: i[k] for k in keys} | {"of": i.get("reasons", {}).get("objectives")} for i in one)]
            for one in told
        ]
        return [*made, *([i["item_id"] for i in slate["items"]] for slate in self.fresh_slates())]

    def objectives(self, *words: str) -> str:
        """The command ``freshet objectives``."""
        command = [sys.executable, "-m", "streams", "objectives", *words]
        env = freshet_settings.as_environment(self.deployment.settings)
        done = subprocess.run(
            command, env={**os.environ, **env}, cwd=ROOT, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def shop(deploy: Callable[..., Deployment], kafka: str, redis_url: str, tmp_path: Path) -> Iterator[Shop]:
    """Two workers that share the partitions, two replicas, four items."""
    deployment = deploy(
        kafka, redis_url, surfaces={"default": SURFACE}, operator_token="sesame", attribution_window_ms=1_000,
        attribution_windows={"purchase": {"ms": 1_000, "after": "click"}}, allowed_lateness_ms=200,
        idle_timeout_ms=300,
    )  # fmt: skip
    with ExitStack() as ended:
        apis, once = [], httpx.Limits(max_keepalive_connections=0)  # replicas close connections that idle
        for k in range(2):
            port = free_port()
            env = freshet_settings.as_environment(deployment.settings) | {"FRESHET_HTTP_PORT": str(port)}
            child = Child(
                [sys.executable, "-m", "streams", "serve"], log=tmp_path / f"api-{k}.log", env=env, cwd=ROOT
            )
            child.start()
            ended.callback(child.kill)
            apis.append(
                ended.enter_context(
                    httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20.0, limits=once)
                )
            )
        deployment.two_workers()
        for item in ITEMS:
            deployment.raw("catalog", item, orjson.dumps({"item_id": item}))
        deployment.flush()

        def ready(api: httpx.Client) -> bool:
            try:
                trending = api.get("/v1/trending")
                return trending.status_code == 200 and len(trending.json()["items"]) == len(ITEMS)
            except httpx.HTTPError:
                return False

        until(
            lambda: all(ready(api) for api in apis),
            120,
            lambda: (tmp_path / "api-0.log").read_text()[-2_000:],
        )
        yield Shop(deployment, apis)


@pytest.mark.timeout(600)
def test_weights_changed_live_change_the_slates_of_all_workers_and_replicas(shop: Shop) -> None:
    shop.open()
    for _ in range(80):
        shop.visit()
    until(shop.everywhere("browsed"), 60, lambda: f"the most clicked leads everywhere: {shop.why()}")

    shop.objectives("set", "default", "click=1", "conversion=20", "--who", "ann", "--reason", "sales")
    until(shop.everywhere("bought"), 60, lambda: f"what is bought leads everywhere: {shop.why()}")
    told = orjson.loads(shop.objectives("list", "--json"))["surfaces"]["default"]
    assert (told["who"], told["weights"]) == ("ann", {"click": 1.0, "purchase": 20.0})
    assert shop.versions() == {told["version"]}
    exposed = [orjson.loads(record.value) for record in shop.deployment.read("exposures")]
    aimed = [one for one in exposed if "objectives" in one["context"]]
    assert {one["context"]["objectives"]["version"] for one in aimed} == {told["version"]} and len(aimed) >= 6
    items = [slot["item_id"] for slot in aimed[-1]["items"]]
    bought = dict(zip(items, aimed[-1]["context"]["objectives"]["said"]["purchase"], strict=True))
    assert bought["bought"] > 2 * bought["browsed"]

    undo = {"who": "bo", "reason": "sale is over"}
    headers = {"authorization": "Bearer sesame"}
    assert (
        shop.apis[1].request("DELETE", "/v1/objectives/default", json=undo, headers=headers).status_code
        == 200
    )
    until(lambda: shop.versions() == {"click"}, 60, lambda: f"clicks alone count again: {shop.why()}")
    audit = [(e["what"], e["who"], e["reason"]) for e in _audit(shop)]
    assert audit == [("weigh", "ann", "sales"), ("weigh", "bo", "sale is over")]


def _audit(shop: Shop) -> list[dict[str, Any]]:
    env = freshet_settings.as_environment(shop.deployment.settings)
    command = [sys.executable, "-m", "streams", "model", "list", "--json"]
    done = subprocess.run(
        command, env={**os.environ, **env}, cwd=ROOT, check=True, capture_output=True, text=True
    )
    audit: list[dict[str, Any]] = orjson.loads(done.stdout)["audit"]
    return audit
