"""Single-action evaluation on the Open Bandit Dataset, and in a campaign whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from estimators.bandits import ips, snips
from typer.testing import CliRunner

from evaluation.ope.intervals import bootstrap
from evaluation.ope.obd import Impressions, evaluate, parts_of, read_impressions
from evaluation.ope.single import estimate
from evaluation.ope.targets import policy_of
from evaluation.records import DatasetError
from streams import cli

RATES = np.array([0.02, 0.10, 0.30, 0.05])
LOGGED = np.array([0.4, 0.3, 0.1, 0.2])


def campaign(seed: int, impressions: int = 2_000) -> Impressions:
    rng = np.random.default_rng(seed)
    item = rng.choice(4, impressions, p=LOGGED)
    return Impressions(
        user=rng.integers(0, 500, impressions), item=item, slot=rng.integers(0, 2, impressions),
        click=(rng.random(impressions) < RATES[item]).astype(float), propensity=LOGGED[item],
    )  # fmt: skip


def test_the_uniform_policy_is_worth_the_mean_rate() -> None:
    uniform, truth = policy_of("uniform"), RATES.mean()
    made = [parts_of(campaign(seed), uniform)[0] for seed in range(100)]
    for name in ("IPS", "SNIPS", "doubly robust"):
        values = np.array([estimate(parts[name]) for parts in made])
        assert abs(values.mean() - truth) < 2 * values.std() / 10, name


def test_intervals_of_the_uniform_policy_hold_its_truth() -> None:
    held = []
    for seed in range(200):
        data = campaign(seed)
        parts = parts_of(data, policy_of("uniform"))[0]["doubly robust"]
        interval = bootstrap(*parts, data.user, replicates=200, seed=seed)
        held.append(interval.low <= RATES.mean() <= interval.high)
    assert 0.91 <= np.mean(held) <= 0.99


def test_the_greedy_policy_finds_the_best_item_from_the_other_folds() -> None:
    greedy = policy_of("greedy")
    values = np.array([estimate(parts_of(campaign(seed), greedy)[0]["SNIPS"]) for seed in range(100)])
    assert abs(values.mean() - RATES.max()) < 2 * values.std() / 10


@pytest.mark.parametrize("file", ["random.men", "random.women", "bts.men", "bts.women"])
def test_the_open_bandit_data_is_evaluated_as_the_reference_does_and_insufficient(
    data_dir: Path, file: str
) -> None:
    data = read_impressions(data_dir / f"obd.{file}.csv.gz")
    parts, weight = parts_of(data, policy_of("softmax:0.5"))
    theirs = {"IPS": ips.Estimator(), "SNIPS": snips.Estimator()}
    for w, r in zip(weight.tolist(), data.click.tolist(), strict=True):
        for each in theirs.values():
            each.add_example(1.0, r, w)
    assert {name: estimate(parts[name]) for name in theirs} == {
        name: pytest.approx(each.get(), abs=1e-6) for name, each in theirs.items()
    }
    assert evaluate(data, "softmax:0.5")["verdict"] == "INSUFFICIENT"


def test_what_the_uniform_policy_earned_is_found_from_the_other_policys_log(data_dir: Path) -> None:
    earned = read_impressions(data_dir / "obd.random.men.csv.gz").click.mean()
    told = evaluate(read_impressions(data_dir / "obd.bts.men.csv.gz"), "uniform")
    row = next(row for row in told["estimates"] if row["estimator"] == "SNIPS")
    assert row["low"] < earned < row["high"]


def test_the_command_says_insufficient_beside_estimate_and_interval(data_dir: Path) -> None:
    words = ["evaluate", "obd", "--data", str(data_dir / "obd.random.men.csv.gz")]
    assert "INSUFFICIENT: 46 clicks, fewer than 300" in CliRunner().invoke(cli.app, words).stdout
    told = json.loads(CliRunner().invoke(cli.app, [*words, "--policy", "uniform", "--json"]).stdout)
    assert told["estimates"][0]["value"] == pytest.approx(told["as_logged"]) == pytest.approx(0.0046)


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    path.write_text("196\t242\t3\t881250949\n")
    with pytest.raises(DatasetError, match="no logged impressions"):
        read_impressions(path)
