"""Commands that measure quality on public data or in the simulator: evaluate prequential, sessions, simulate."""

from __future__ import annotations

import importlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli_common import AsJson, Command, console, print_json

app = typer.Typer(no_args_is_help=True, help="How good the recommendations are, measured event by event.")


class Mode(StrEnum):
    """What a list may know: features as of the user's previous event, or of the target's own moment."""

    REQUEST = "request"
    AT_EVENT = "at-event"


Data = Annotated[Path, typer.Option(help="A public data set as published (freshet data list)")]
Plot = Annotated[Path | None, typer.Option(help="Draw the windowed curve into this file")]
Baselines = Annotated[
    bool, typer.Option("--baselines", help="Popularity, ISGD, item-item and EASE in the same run")
]
Seeds = Annotated[int, typer.Option(min=1, help="Runs, each with another seed; mean and deviation are told")]
Limit = Annotated[int | None, typer.Option(min=1, help="Events, at most")]


def add_to(root: typer.Typer) -> None:
    """Make these commands known."""
    root.add_typer(app, name="evaluate", rich_help_panel="Evaluate")


@app.command("prequential", cls=Command)
def prequential(
    data: Data,
    min_rating: Annotated[float | None, typer.Option(help="Keep ratings from here on")] = None,
    mode: Annotated[
        Mode, typer.Option(help="Features as of the previous event, or at the event")
    ] = Mode.REQUEST,
    baselines: Baselines = False,
    seeds: Seeds = 1,
    limit: Limit = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Test, then learn, one rating at a time: Recall@10, DCG@10, MRR, candidate recall, time per event."""
    from evaluation.datasets import open_dataset

    run = importlib.import_module("evaluation.prequential").run
    told = run(
        open_dataset(data), min_rating=min_rating, mode=mode.value, baselines=baselines, seeds=seeds,
        limit=limit, plot=plot,
    )  # fmt: skip
    _tell(told, as_json=as_json)


@app.command("sessions", cls=Command)
def sessions(
    data: Data,
    mode: Annotated[
        Mode, typer.Option(help="Features as of the previous event, or at the event")
    ] = Mode.REQUEST,
    baselines: Baselines = False,
    seeds: Seeds = 1,
    limit: Limit = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Next click in session, test, then learn: HR@20, MRR@20."""
    from evaluation.datasets import open_dataset

    run = importlib.import_module("evaluation.sessions").run
    told = run(open_dataset(data), mode=mode.value, baselines=baselines, seeds=seeds, limit=limit, plot=plot)
    _tell(told, as_json=as_json)


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    from rich.table import Table

    table = Table("what", "value", box=None)
    for name, value in told.items():
        table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    console().print(table)
