"""The command evaluate simulate: how good freshet is where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli_common import AsJson, Command, console, print_json


def add_to(evaluate: typer.Typer) -> None:
    """Make the command known."""
    evaluate.command("simulate", cls=Command)(simulate)


def simulate(
    seed: Annotated[int, typer.Option(min=0, help="Of the world and of everything random")] = 0,
    visits: Annotated[int, typer.Option(min=100, help="Slates shown, 3 a second of simulated time")] = 10_000,
    plot: Annotated[Path | None, typer.Option(help="Draw click rates over time into this file")] = None,
    as_json: AsJson = False,
) -> None:
    """Simulated users with known tastes: click rate, regret, recovery after a shift, new items, calibration."""
    from evaluation import simulation

    told = simulation.run(seed=seed, visits=visits, plot=plot)
    if as_json:
        print_json(told)
        return
    _table(told)


def _table(told: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("", "policy", "popular", "random", "oracle", "times popular", box=None)
    for name, row in _rows(told):
        figures = [f"{row[f'ctr_{arm}']:.4f}" for arm in ("policy", "popular", "random", "oracle")]
        table.add_row(name, *figures, f"{row['times_popular'] or 0.0:.2f}")
    console().print(table)
    kept, entropy = told["calibration"], told["normalised_entropy"]
    lines = {
        "regret, clicks per slot": told["regret"],
        "recovery, visits (half, nine tenths)": {
            name: (r["visits_to_half"], r["visits_to_90_percent"]) for name, r in told["recovery"].items()
        },
        "new items: share of slots lately, of the catalogue": (
            told["new_items"]["share_of_exposure_lately"], told["new_items"]["share_of_catalogue"]
        ),
        "predicted / observed": kept["overall"],
        "by decile": kept["by_decile"],
        "normalised entropy, gain over item click rate": (entropy["model"], entropy["gain"]),
    }  # fmt: skip
    for name, value in lines.items():
        typer.echo(f"{name}: {_short(value)}")


def _rows(told: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    rows = [("all visits", told), ("before the shift", told["before_shift"])]
    rows.append(("a new deployment after 40 to 60 s", told["new_deployment"]["last_20_s"]))
    rows += [(f"users with {name} clicks", row) for name, row in told["by_clicks"].items()]
    return [(name, row) for name, row in rows if row]


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{k} {_short(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return "  ".join(_short(v) for v in value)
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)
