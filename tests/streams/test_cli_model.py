"""freshet model, as people type it, on a real Redis."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams import cli

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(redis_url: str, namespace: str, tmp_path: Path) -> Run:
    def typed(*words: str) -> tuple[int, str]:
        where = ["--redis-url", redis_url, "--namespace", namespace, "--snapshot-dir", str(tmp_path)]
        done = CliRunner().invoke(cli.app, ["model", *words, *where])
        return done.exit_code, done.stdout + done.stderr

    return typed


def test_a_version_goes_from_candidate_to_canary_and_back(run: Run) -> None:
    assert run("register", "v2", "--recipe", "rate=0.05", "--recipe", "hidden=8", "--who", "ann")[0] == 0
    assert "shadow" in run("promote", "v2", "--who", "bo")[1]
    assert "canary" in run("promote", "v2", "--share", "0.1", "--who", "bo")[1]
    assert "base is live" in run("rollback", "--reason", "complaints")[1]
    told = json.loads(run("list", "--json")[1])
    assert (told["live"], told["canary"], told["frozen"]) == ("base", None, True)
    [_, v2] = told["versions"]
    assert (v2["state"], v2["approvals"], v2["recipe"]) == ("retired", ["bo"], {"rate": 0.05, "hidden": 8})
    assert v2["lineage"]["code"]
    assert [one["what"] for one in told["audit"]] == ["register", "promote", "promote", "rollback"]
    assert run("release")[0] == 0
    assert json.loads(run("list", "--json")[1])["frozen"] is False
    assert "recipe.rate" in run("diff", "base", "v2")[1]


def test_what_is_forbidden_is_told_with_the_reason_and_code_1(run: Run) -> None:
    code, told = run("promote", "v9")
    assert (code, "there is no version 'v9'" in told) == (1, True)
    code, told = run("register", "v2", "--recipe", "speed=3")
    assert (code, "a recipe has no speed" in told) == (1, True)
    assert run("register", "v2", "--recipe", "speed")[0] == 2


def test_a_version_that_needs_an_approval_goes_live_once_somebody_else_has_approved_it(run: Run) -> None:
    assert run("register", "v2", "--who", "ann", "--set", "model_approvals=1")[0] == 0
    for _ in range(2):
        assert run("promote", "v2", "--share", "0.1", "--who", "ann")[0] == 0
    code, told = run("promote", "v2", "--who", "ann")
    assert (code, "freshet model approve v2" in told) == (1, True)
    assert "somebody else must approve it" in run("approve", "v2", "--who", "ann")[1]
    assert (
        "has 1 of the 1 approvals"
        in run("approve", "v2", "--who", "bo", "--reason", "looked at a day of it")[1]
    )
    assert "v2 is live" in run("promote", "v2", "--who", "ann")[1]
    told = json.loads(run("list", "--json")[1])
    assert [(v["approvals_wanted"], v["approved"]) for v in told["versions"]] == [(0, []), (1, ["bo"])]
    assert "bo (1 of 1)" in run("list")[1]


def test_exploration_is_switched(run: Run) -> None:
    assert run("explore", "off", "--who", "ann")[0] == 0
    assert "exploration is off" in run("list")[1]
    assert run("explore", "maybe")[0] == 2
