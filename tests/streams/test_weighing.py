"""What slates are made for, changed by operators: freshet objectives and the API, on a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from serving import api_objectives, problems
from streams import build, cli
from streams import settings as freshet_settings
from streams.registry_log import RegistryLog
from streams.serve import Operators
from streams.weighing import Weighing, WeightsRefused

Run = Callable[..., tuple[int, str]]
SURFACES = {
    "home": {"objectives": {"click": 1, "dislike": 0}},
    "cart": {"objectives": {"click": 1, "purchase": 5}},
}


@pytest.fixture
def given(redis_url: str, namespace: str, tmp_path: Path) -> dict[str, Any]:
    return {
        "redis_url": redis_url, "namespace": namespace, "snapshot_dir": str(tmp_path), "surfaces": SURFACES,
        "operator_token": "sesame",
    }  # fmt: skip


@pytest.fixture
def run(given: dict[str, Any]) -> Run:
    def typed(*words: str) -> tuple[int, str]:
        where = [f"--{name.replace('_', '-')}" for name in given]
        values = [v if isinstance(v, str) else orjson.dumps(v).decode() for v in given.values()]
        options = [word for pair in zip(where, values, strict=True) for word in pair]
        done = CliRunner().invoke(cli.app, [*words, *options])
        return done.exit_code, done.stdout + done.stderr

    return typed


def test_weights_are_listed_set_and_reset_with_who_and_when(run: Run) -> None:
    told = json.loads(run("objectives", "list", "--json")[1])
    assert told["actions"] == ["click", "dislike", "purchase"]
    assert told["surfaces"]["home"] == {
        "weights": {"click": 1.0}, "version": "click", "who": "settings", "ts": None, "reason": "",
    }  # fmt: skip
    words = ("click=1", "conversion=20", "dislike=-2")
    code, said = run("objectives", "set", "home", *words, "--who", "ann", "--reason", "sales")
    assert (code, "home is ordered for click 1, dislike -2, purchase 20 (o-" in said) == (0, True), said
    told = json.loads(run("objectives", "list", "--json")[1])["surfaces"]
    assert told["home"]["weights"] == {"click": 1.0, "dislike": -2.0, "purchase": 20.0}
    assert (told["home"]["who"], told["home"]["reason"]) == ("ann", "sales") and told["home"]["ts"] > 1e12
    assert told["cart"]["weights"] == {"click": 1.0, "purchase": 5.0}
    assert "purchase 20" in run("objectives", "list")[1]
    assert run("objectives", "reset", "home", "--who", "bo")[0] == 0
    audit = json.loads(run("model", "list", "--json")[1])["audit"]
    assert [(e["what"], e["who"], e["details"]["surface"], e["details"]["weights"]) for e in audit] == [
        ("weigh", "ann", "home", {"click": 1.0, "dislike": -2.0, "purchase": 20.0}),
        ("weigh", "bo", "home", {}),
    ]
    assert audit[1]["details"]["before"] == {"click": 1.0, "dislike": -2.0, "purchase": 20.0}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("shelf", "click=1"), "there is no 'shelf'; there are home, cart"),
        (
            ("home", "like=1"),
            "'like' is no action with a head of its own; there are click, dislike, purchase",
        ),
        (("home", "click=-1"), "a weight above 0"),
    ],
)
def test_what_cannot_be_is_refused_and_not_logged(run: Run, words: tuple[str, ...], why: str) -> None:
    code, said = run("objectives", "set", *words)
    assert code == 1 and why in " ".join(said.split())
    assert json.loads(run("model", "list", "--json")[1])["audit"] == []


def test_a_word_that_is_no_weight_is_told(run: Run) -> None:
    assert run("objectives", "set", "home", "click")[0] == 2
    assert run("objectives", "set", "home", "click=much")[0] == 2


# ---------------------------------------------------------------------- over HTTP


class Standing:
    """As much of an API replica as weights are changed by."""

    def __init__(self, settings: freshet_settings.Settings, log: RegistryLog) -> None:
        self.settings, self.decisions = settings, self
        self.log = log


@pytest.fixture
async def api(given: dict[str, Any]) -> AsyncIterator[httpx.AsyncClient]:
    settings = freshet_settings.load(**given)
    store = build.store(settings, patience_s=5.0)
    app = FastAPI()
    problems.install(app)
    api_objectives.install(app, Operators(Standing(settings, RegistryLog(store))))  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client
    await store.close()


OPEN = {"authorization": "Bearer sesame"}


async def test_operators_change_weights_over_http_and_take_them_back(
    api: httpx.AsyncClient, run: Run
) -> None:
    asked = {"weights": {"click": 1, "purchase": 20}, "who": "ann", "reason": "sales"}
    put = await api.put("/v1/objectives/home", json=asked, headers=OPEN)
    assert put.status_code == 200 and put.json()["who"] == "ann"
    got = (await api.get("/v1/objectives")).json()["surfaces"]
    assert got["home"]["weights"] == {"click": 1.0, "purchase": 20.0} and got["home"] == put.json()
    assert json.loads((await asyncio.to_thread(run, "objectives", "list", "--json"))[1])["surfaces"] == got
    deleted = await api.request("DELETE", "/v1/objectives/home", json={"who": "bo"}, headers=OPEN)
    assert deleted.json()["weights"] == {"click": 1.0} and deleted.json()["who"] == "settings"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer simsim"}, {"authorization": "sesame"}])
async def test_nobody_without_the_token_changes_anything(
    api: httpx.AsyncClient, run: Run, headers: dict[str, str]
) -> None:
    asked = {"weights": {"click": 1, "purchase": 20}, "who": "eve"}
    answer = await api.put("/v1/objectives/home", json=asked, headers=headers)
    assert answer.status_code == 401
    assert json.loads((await asyncio.to_thread(run, "model", "list", "--json"))[1])["audit"] == []


@pytest.mark.parametrize(
    ("surface", "asked", "field"),
    [
        ("shelf", {"weights": {"click": 1}, "who": "ann"}, "surface"),
        ("home", {"weights": {"like": 1}, "who": "ann"}, "weights"),
        ("home", {"weights": {}, "who": "ann"}, "weights"),
        ("home", {"weights": {"click": 1}}, "who"),
        ("home", {"weights": {"click": "much"}, "who": "ann"}, "weights.click"),
    ],
)
async def test_what_cannot_be_is_refused_with_the_field(
    api: httpx.AsyncClient, surface: str, asked: dict[str, Any], field: str
) -> None:
    answer = await api.put(f"/v1/objectives/{surface}", json=asked, headers=OPEN)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_without_a_token_in_the_settings_nothing_is_changed_over_http(given: dict[str, Any]) -> None:
    settings = freshet_settings.load(**given | {"operator_token": ""})
    store = build.store(settings, patience_s=5.0)
    app = FastAPI()
    problems.install(app)
    api_objectives.install(app, Operators(Standing(settings, RegistryLog(store))))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        asked = {"weights": {"click": 2}, "who": "ann"}
        answer = await client.put("/v1/objectives/home", json=asked, headers={"authorization": "Bearer "})
    assert answer.status_code == 403 and "FRESHET_OPERATOR_TOKEN" in answer.json()["detail"]
    await store.close()


async def test_a_process_that_never_heard_of_a_surface_refuses_it(given: dict[str, Any]) -> None:
    settings = freshet_settings.load(**given)
    store = build.store(settings, patience_s=5.0)
    with pytest.raises(WeightsRefused, match="there is no 'x'"):
        await Weighing(settings, RegistryLog(store)).weigh("x", {"click": 1}, 1)
    await store.close()
