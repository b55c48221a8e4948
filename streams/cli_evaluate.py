"""Commands that measure quality on public data: evaluate prequential, sessions, sync."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from streams import cli_ope, cli_simulate
from streams.cli_common import AsJson, Command, Given, SettingsCommand, console, print_json

app = typer.Typer(no_args_is_help=True, help="How good the recommendations are, measured event by event.")


class Mode(StrEnum):
    """What a list may know: features as of the user's previous event, or of the target's own moment."""

    REQUEST = "request"
    AT_EVENT = "at-event"


class Through(StrEnum):
    """What the replay goes through."""

    KAFKA = "kafka"


class Profile(StrEnum):
    """Which model: the one shipped, or one of a fraction of the time per event."""

    DEFAULT = "default"
    LEAN = "lean"


Data = Annotated[Path, typer.Option(help="A public data set as published (freshet data list)")]
Plot = Annotated[Path | None, typer.Option(help="Draw the windowed curve into this file")]
Modes = Annotated[Mode, typer.Option(help="Features as of the previous event, or at the event")]
Profiles = Annotated[Profile, typer.Option(help="The model as shipped, or a faster one")]
MinRating = Annotated[float | None, typer.Option(help="Keep ratings from here on")]
Baselines = Annotated[
    bool, typer.Option("--baselines", help="Popularity, ISGD, item-item and EASE in the same run")
]
Seeds = Annotated[int, typer.Option(min=1, help="Runs, each with another seed; mean and deviation are told")]
Shuffles = Annotated[
    int, typer.Option(min=0, help="Also so many runs with events of equal time in random order")
]
THROUGH_KAFKA = 5_000
"""Events of a replay through Kafka where no limit is given: about three minutes."""
Limit = Annotated[int | None, typer.Option(min=1, help="Events, at most")]


def add_to(root: typer.Typer) -> None:
    """Make these commands known."""
    root.add_typer(app, name="evaluate", rich_help_panel="Evaluate")


@app.command("prequential", cls=SettingsCommand)
def prequential(
    data: Data,
    min_rating: MinRating = None,
    mode: Modes = Mode.REQUEST,
    profile: Profiles = Profile.DEFAULT,
    baselines: Baselines = False,
    seeds: Seeds = 1,
    shuffles: Shuffles = 0,
    limit: Limit = None,
    plot: Plot = None,
    through: Annotated[
        Through | None,
        typer.Option(help="Also as slates of a worker behind a real broker and Redis (embedded, or --kafka)"),
    ] = None,
    as_json: AsJson = False,
    given: Given = None,
) -> None:
    """Test, then learn, one rating at a time: Recall@10, DCG@10, MRR, candidate recall, time per event."""
    if through is not None:
        _through_kafka(data, min_rating, limit, given, as_json=as_json)
        return
    told = _run("prequential")(
        _dataset(data), min_rating=min_rating, mode=mode.value, model_factory=_factory(profile),
        baselines=baselines, seeds=seeds, shuffles=shuffles, limit=limit, plot=plot,
    )  # fmt: skip
    _tell({"profile": profile.value, **told}, as_json=as_json)


@app.command("sessions", cls=Command)
def sessions(
    data: Data,
    mode: Modes = Mode.REQUEST,
    profile: Profiles = Profile.DEFAULT,
    baselines: Baselines = False,
    seeds: Seeds = 1,
    limit: Limit = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """Next click in session, test, then learn: HR@20, MRR@20."""
    told = _run("sessions")(
        _dataset(data), mode=mode.value, model_factory=_factory(profile), baselines=baselines, seeds=seeds,
        limit=limit, plot=plot,
    )  # fmt: skip
    _tell({"profile": profile.value, **told}, as_json=as_json)


@app.command("sync", cls=Command)
def sync(
    data: Data,
    min_rating: MinRating = None,
    mode: Modes = Mode.REQUEST,
    profile: Profiles = Profile.DEFAULT,
    limit: Limit = None,
    plot: Plot = None,
    as_json: AsJson = False,
) -> None:
    """The price of staleness: quality when what is learnt is visible every event, 1 s, ... 1 day of stream time."""
    told = _run("sync")(
        _dataset(data), min_rating=min_rating, mode=mode.value, model_factory=_factory(profile), limit=limit,
        plot=plot,
    )  # fmt: skip
    if as_json:
        print_json({"profile": profile.value, **told})
        return
    from rich.table import Table

    table = Table("visible every", told["metric"], "MRR", "of the best", "times", box=None)
    for name, report in told["by_interval"].items():
        table.add_row(
            name, f"{report['recall']:.4f}", f"{report['mrr']:.4f}", f"{report['relative']:.1%}",
            str(report["syncs"]),
        )  # fmt: skip
    console().print(table)


def _through_kafka(
    data: Path, min_rating: float | None, limit: int | None, given: list[str] | None, *, as_json: bool
) -> None:
    from evaluation.protocol import events_of
    from streams import through_kafka
    from streams.settings import assignments

    events = events_of(_dataset(data), min_rating=min_rating, limit=limit or THROUGH_KAFKA)
    _tell(through_kafka.run(events, k=10, given=assignments(given or ())), as_json=as_json)


def _run(module: str) -> Any:
    """The ``run`` of a module of evaluation, imported when needed: numpy and the models take half a second."""
    return importlib.import_module(f"evaluation.{module}").run


def _dataset(path: Path) -> Any:
    from evaluation.datasets import open_dataset

    return open_dataset(path)


def _factory(profile: Profile) -> Any:
    from evaluation.prequential import PROFILES

    return PROFILES[profile.value]


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    from rich.table import Table

    table = Table("what", "value", box=None)
    for name, value in flat(told):
        table.add_row(name, value)
    console().print(table)


def flat(told: dict[str, Any], under: str = "") -> Iterator[tuple[str, str]]:
    """Nested figures as rows of a table.

    >>> list(flat({"a": {"b": 0.5}, "c": [1.0, 2]}))
    [('a.b', '0.5000'), ('c', '1.0000  2')]
    """
    for name, value in told.items():
        if isinstance(value, dict):
            yield from flat(value, f"{under}{name}.")
        elif value not in ([], None):
            parts = value if isinstance(value, list | tuple) else [value]
            yield under + name, "  ".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in parts)


cli_ope.add_to(app)
cli_simulate.add_to(app)
