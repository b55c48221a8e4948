"""freshet experiment report: results so far, as all workers told them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli_common import AsJson, Given, console, load, print_json


def report(
    file: Annotated[
        Path | None, typer.Option(help="The YAML that declares experiments; without it, experiments_file")
    ] = None,
    as_json: AsJson = False,
    given: Given = None,
) -> None:
    """Sample ratio, click rates by user with intervals, CUPED, always-valid p-values, and a verdict."""
    loaded = load(given, log_level="ERROR")
    from serving.experiments import load as read_plan
    from serving.results_board import ResultsBoard
    from streams.decisions import read
    from streams.overrides import known_override
    from streams.tail import follow
    from streams.topics import EXPERIMENT_RESULTS

    board = ResultsBoard()
    path = file or (Path(loaded.experiments_file) if loaded.experiments_file else None)
    if path is not None:
        board.plan = read_plan(path, known_override).plan
    for seen in follow(loaded, EXPERIMENT_RESULTS, from_start=True, idle_s=2.0):
        board.hear(read(seen.value))
        board.look()
    rows = board.report()
    if as_json:
        print_json({"experiments": rows})
        return
    for row in rows:
        _tell(row)
    if not rows:
        typer.echo("no experiment is declared, and no results were told")


def _tell(row: dict[str, Any]) -> None:
    from rich.table import Table

    split = row["sample_ratio"]
    p = "-" if split["p_value"] is None else f"{split['p_value']:.3f}"
    ended = "" if row["declared"] else ", no longer declared"
    typer.echo(f"{row['layer']}:{row['experiment']}, {row['learning']} weights, sample ratio p {p}{ended}")
    table = Table(
        "variant", "users", "clicks", "impressions", "click rate", "95 % by user", "log-loss", "p99 ms", "failed",
        "empty", box=None,
    )  # fmt: skip
    for v in row["variants"]:
        rate, loss = v["click_rate"], v["log_loss"]["value"]
        table.add_row(
            v["variant"], f"{v['users']:,}", f"{v['clicks']:,.0f}", f"{v['impressions']:,.0f}",
            _number(rate["value"]), _between(rate), _number(loss), _number(v["latency_ms"]["p99"]),
            _number(v["failed_share"]), _number(v["empty_share"]),
        )  # fmt: skip
    console().print(table)
    for c in row["comparisons"]:
        _compared(c)


def _compared(c: dict[str, Any]) -> None:
    always, cuped = c["always_valid"], c["cuped"]
    typer.echo(
        f"  {c['variant']}: {c['verdict']}; difference {_number(c['difference']['value'], sign=True)}, at any time "
        f"{_between(always)}, p {always['p_value']:.3g}"
    )
    if cuped is not None:
        typer.echo(
            f"    CUPED {_number(cuped['value'], sign=True)}, one look {_between(cuped)}, "
            f"{cuped['variance_left']:.0%} of the variance left"
        )
    for reason in c["reasons"]:
        typer.echo(f"    {reason}")


def _number(value: float | None, *, sign: bool = False) -> str:
    return "-" if value is None else f"{value:+.4f}" if sign else f"{value:.4f}"


def _between(interval: dict[str, Any]) -> str:
    if interval["low"] is None:
        return "-"
    return f"{interval['low']:+.4f} to {interval['high']:+.4f}"
