"""``freshet evaluate``: the flags and keys that are promised, and errors that are one line."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from streams.cli_evaluate import app

KEYS = {
    "recall_at_10", "dcg_at_10", "mrr", "recall_at_10_all", "events", "scored", "candidate_recall",
    "learn_us_p50", "recommend_us_p50", "by_source", "by_fifth",
}  # fmt: skip


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    """Thirty users who rate 2 k and then 2 k + 1."""
    rows = [f"{u}\t{2 * (u % 5) + k}\t5\t{1_000 * u + k}" for u in range(30) for k in (0, 1)]
    file = tmp_path / "ratings"
    file.write_text("\n".join(rows) + "\n")
    return file


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def test_prequential_tells_every_key_that_is_promised_in_any_mode(ratings: Path, tmp_path: Path) -> None:
    code, out, _ = run(
        "prequential", "--data", str(ratings), "--min-rating", "5", "--mode", "at-event", "--baselines",
        "--shuffles", "2", "--seeds", "2", "--plot", str(tmp_path / "curve.svg"), "--json",
    )  # fmt: skip
    told = orjson.loads(out)
    assert code == 0
    assert told.keys() >= KEYS
    assert told["mode"] == "at-event"
    assert told["tie_shuffles"]["n"] == 2
    assert {"popularity", "isgd", "item_item_last_5"} < told["baselines"].keys()
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")


def test_sessions_tell_every_key_that_is_promised(ratings: Path) -> None:
    code, out, _ = run("sessions", "--data", str(ratings), "--baselines", "--json")
    assert code == 0
    assert orjson.loads(out).keys() >= {"hr_at_20", "mrr_at_20", "scored", "by_source", "by_fifth"}


def test_a_profile_is_another_model(ratings: Path) -> None:
    told = [orjson.loads(run("prequential", "--data", str(ratings), "--profile", p, "--json")[1]) for p in
            ("default", "lean")]  # fmt: skip
    assert [t["profile"] for t in told] == ["default", "lean"]
    assert told[1]["by_source"].keys() < told[0]["by_source"].keys()


def test_a_table_is_told_without_json(ratings: Path) -> None:
    _, out, _ = run("prequential", "--data", str(ratings))
    assert "by_source.vsk" in out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--min-rating", "9"], "no rating of 9"),
        (["--plot", "/nowhere/x.svg"], "no such folder"),
        (["--plot", "x.txt"], "suffix"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_before_the_run(
    ratings: Path, words: list[str], reason: str
) -> None:
    code, _, err = run("prequential", "--data", str(ratings), *words)
    assert code == 1
    assert reason in err
    assert "Traceback" not in err


def test_logged_impressions_are_no_stream_of_actions(tmp_path: Path) -> None:
    file = tmp_path / "obd.csv"
    file.write_text(
        ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,"
        "user_feature_3\n0,2019-11-24 00:00:00.000000+00:00,5,1,0,0.0125,a,b,c,d\n"
    )
    code, _, err = run("sessions", "--data", str(file))
    assert (code, "impressions" in err) == (1, True)
