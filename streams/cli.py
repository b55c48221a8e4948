"""The command ``freshet``. Each command imports what it needs when it runs, so that help is there at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams import (
    cli_data,
    cli_evaluate,
    cli_experiment,
    cli_model,
    cli_objectives,
    cli_operate,
    cli_rebuild,
    cli_traffic,
)
from streams.cli_common import AsJson, Given, SettingsCommand, load

app = typer.Typer(
    name="freshet",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_show_locals=False,
    help="A streaming, real-time recommender: events in through Kafka, fresh recommendations out.",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("freshet"))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end")
    ] = False,
) -> None:
    """A streaming, real-time recommender: events in through Kafka, fresh recommendations out."""


@app.command(cls=SettingsCommand, rich_help_panel="Run")
def demo(
    data: Annotated[
        Path | None, typer.Option(help="Replay a public data set instead of simulated users")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(min=1.0, metavar="S", help="End after so many seconds; else by Ctrl-C")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random")] = 0,
    as_json: AsJson = False,
    given: Given = None,
) -> None:
    """The whole pipeline on this machine, nothing installed or kept: broker, Redis, worker, API and users."""
    from streams import demo as implementation
    from streams.settings import assignments

    raise typer.Exit(
        implementation.run(
            data=data, duration_s=duration, seed=seed, as_json=as_json, given=assignments(given or ())
        )
    )


@app.command(cls=SettingsCommand, rich_help_panel="Run")
def worker(
    role: Annotated[
        str, typer.Option(help="fold: learn from events; requests: answer requests; all: both")
    ] = "all",
    given: Given = None,
) -> None:
    """Fold events, learn, publish recommendations and drift signals; any number side by side."""
    settings = load(given)
    from streams import worker as implementation

    raise typer.Exit(implementation.main(settings, role))


@app.command(cls=SettingsCommand, rich_help_panel="Run")
def serve(given: Given = None) -> None:
    """Answer over HTTP; any number side by side."""
    settings = load(given)
    from streams import serve as implementation

    raise typer.Exit(implementation.main(settings) or 0)


cli_traffic.add_to(app)
cli_operate.add_to(app)
cli_model.add_to(app)
cli_objectives.add_to(app)
cli_rebuild.add_to(app)
cli_data.add_to(app)
cli_evaluate.add_to(app)
cli_experiment.add_to(app)


def main() -> None:
    """Entry point of the command ``freshet``."""
    app()
