"""freshet experiment plan and check, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from online_models.power import sizes
from streams import cli

FILE = """
layers:
  ranking:
    experiments:
      diverse:
        start: 2026-01-05T00:00:00Z
        end: 2026-01-19T00:00:00Z
        traffic: 0.2
        surfaces: [home]
        variants:
          control: {}
          diverse: {overrides: {diversity: 0.3}}
"""


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, ["experiment", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def declared(folder: Path, text: str = FILE) -> str:
    path = folder / "experiments.yml"
    path.write_text(text)
    return str(path)


def test_a_plan_tells_users_a_variant_for_one_look_and_for_any() -> None:
    code, out, _ = run(
        "plan", "--rate", "0.05", "--lift", "0.1", "--impressions", "20", "--users-a-day", "2000"
    )
    need = sizes(0.05, 0.1, impressions=20)
    assert code == 0
    assert f"at the end: {need.one_look:,}" in out
    assert f"any time:     {need.any_look:,}" in out
    assert "days until then: 4.5" in out


def test_a_plan_as_json() -> None:
    _, out, _ = run("plan", "--rate", "0.05", "--lift", "-0.1", "--impressions", "20", "--json")
    assert json.loads(out)["effect"] == pytest.approx(0.005)


def test_what_cannot_be_planned_is_told() -> None:
    code, _, err = run("plan", "--rate", "1.5", "--lift", "0.1", "--impressions", "20")
    assert (code, "rate must be in (0, 1)" in err) == (2, True)


def test_a_file_that_holds_is_shown_and_a_user_is_told_where_they_are(tmp_path: Path) -> None:
    code, out, _ = run("check", declared(tmp_path))
    assert (code, "diversity=0.3" in out, "10.0%" in out) == (0, True, True)
    told = json.loads(
        run(
            "check", declared(tmp_path), "--user", "u7", "--surface", "home", "--at", "2026-01-06T12:00:00", "--json"
        )[1]
    )  # fmt: skip
    assert [row["users"] for row in told["experiments"]] == pytest.approx([0.1, 0.1])
    assert set(told["assignment"]) == {"variants", "overrides", "held_out", "own_weights"}


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("diversity: 0.3", "diversty: 0.3", "no setting is called 'diversty'; did you mean 'diversity'?"),
        (
            "diversity: 0.3",
            "diversity: 3",
            "variants.diverse.overrides: diversity: Input should be less than 1",
        ),
        ("diversity: 0.3", "kafka: x", "no setting is called 'kafka'"),
        ("traffic: 0.2", "traffic: 2", "layers.ranking.experiments.diverse.traffic"),
    ],
)
def test_a_file_that_does_not_hold_ends_with_the_place_and_the_mend(
    tmp_path: Path, was: str, now: str, told: str
) -> None:
    code, _, err = run("check", declared(tmp_path, FILE.replace(was, now)))
    assert (code, told in err) == (1, True), err


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    code, _, err = run("check", str(tmp_path / "none.yml"))
    assert (code, "none.yml" in err) == (1, True)


def test_experiments_are_paused_and_resumed_by_hand_and_the_log_says_by_whom(
    redis_url: str, namespace: str
) -> None:
    where = ["--redis-url", redis_url, "--namespace", namespace]
    assert run("pause", "--who", "ann", "--reason", "an incident", *where)[0] == 0
    code, _, err = run("pause", *where)
    assert (code, "paused for longer already" in err) == (1, True)
    assert run("resume", "--who", "bo", *where)[0] == 0
    listed = CliRunner().invoke(cli.app, ["model", "list", "--json", *where])
    told = [(one["who"], one["what"], one["reason"]) for one in json.loads(listed.stdout)["audit"]]
    assert [told[0], told[2]] == [("ann", "pause", "an incident"), ("bo", "resume", "")]


def test_tiers_are_told_in_words_and_for_programs(tmp_path: Path) -> None:
    text = """
tiers:
  buyers: {who: {actions: {purchase: 2}, groups: [a, b]}, surfaces: [home]}
  others: {overrides: {candidates: 50}}
"""
    code, told, _ = run("check", declared(tmp_path, text))
    assert (code, told.splitlines()) == (
        0,
        [
            "tier buyers: purchase >= 2 and group a or b and on home; as the surface says",
            "tier others: everybody else; candidates=50",
        ],
    )
    told = run("check", declared(tmp_path, text), "--json")[1]
    assert json.loads(told)["tiers"]["others"] == {"overrides": {"candidates": 50}}
