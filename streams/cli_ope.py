"""Commands that ask what another policy would have earned: evaluate ope, evaluate obd."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli_common import AsJson, Command, console, print_json

Target = Annotated[
    str, typer.Option("--policy", help="uniform, greedy, softmax:T, softmax:T:FLOOR or epsilon:E")
]
Seed = Annotated[int, typer.Option(min=0, help="Of folds and bootstrap")]


def add_to(evaluate: typer.Typer) -> None:
    """Make these commands known."""
    evaluate.command("ope", cls=Command)(ope)
    evaluate.command("obd", cls=Command)(obd)


def ope(
    log: Annotated[Path, typer.Option(help="The topic exposures and the clicks, JSON, one record a line")],
    policy: Target,
    logged_by: Annotated[
        str | None, typer.Option(help="The logging policy, where the log does not name it in full")
    ] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """What another policy would have earned, from the slates that were drawn at random."""
    from evaluation.ope.log import read_log
    from evaluation.ope.report import evaluate

    read = read_log(log)
    try:
        told = evaluate(read, policy, logged_by=logged_by, seed=seed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    _tell(told, as_json=as_json)


def obd(
    data: Annotated[Path, typer.Option(help="A file of the Open Bandit Dataset, as published")],
    policy: Target = "greedy",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """The same on the Open Bandit Dataset: one item an impression, by IPS, SNIPS, direct method, doubly robust."""
    from evaluation.ope.obd import evaluate, read_impressions

    read = read_impressions(data)
    try:
        told = evaluate(read, policy, seed=seed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    _tell(told, as_json=as_json)


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    rows = told["estimates"]
    reasons = {reason: None for row in (told, *rows) for reason in row.get("reasons", ())}
    notes = {row["note"]: None for row in rows if row["note"]}
    _table(told)
    for line in (*(f"{told['verdict']}: {reason}" for reason in reasons), *notes):
        typer.echo(line)


def _table(told: dict[str, Any]) -> None:
    from rich.table import Table

    shown = ("policy", "slates", "impressions", "clicks", "users", "as_logged", "unit")
    head = [f"{name} {_short(told[name])}" for name in shown if name in told]
    head += [f"left out: {count:,} {reason}" for reason, count in told.get("excluded", {}).items()]
    typer.echo(", ".join(head))
    sequences = any(
        row.get("any_time") for row in told["estimates"]
    )  # only slates are weighed in order of time
    columns = [
        "value",
        "95 % interval",
        *["at any time"] * sequences,
        "effective size",
        "mean weight",
        "verdict",
    ]
    table = Table("estimator", *columns, box=None)
    for row in told["estimates"]:
        interval = "" if row["low"] is None else f"{row['low']:.4f} to {row['high']:.4f}"
        weight = f"{row['mean_weight']:.3f} +- {row['weight_error']:.3f}"
        size = f"{row['effective_size']:,.0f}"
        always = row.get("any_time")
        any_time = [f"{always[0]:.4f} to {always[1]:.4f}" if always else ""] if sequences else []
        table.add_row(
            row["estimator"], _short(row["value"]), interval, *any_time, size, weight, row["verdict"]
        )
    console().print(table)


def _short(value: Any) -> str:
    if value is None:
        return "-"
    return (
        f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )
