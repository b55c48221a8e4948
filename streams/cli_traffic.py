"""Commands that put events in and look at what comes out: produce, replay, simulate, tail, recommend."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli_common import AsJson, Given, SettingsCommand, console, load, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.settings import Settings

PANEL = "Events in, recommendations out"


class Input(StrEnum):
    """Topics that producers write."""

    EVENTS = "events"
    CATALOG = "catalog"
    REQUESTS = "recommendation-requests"


class Output(StrEnum):
    """Topics that can be watched."""

    RECOMMENDATIONS = "recommendations"
    DRIFT_SIGNALS = "drift-signals"
    DEAD_LETTERS = "dead-letters"
    EXPOSURES = "exposures"
    EXPERIMENT_RESULTS = "experiment-results"
    DELETION_RECEIPTS = "deletion-receipts"
    EVENTS = "events"
    CATALOG = "catalog"


class Slates(StrEnum):
    """Who chooses what simulated users are shown."""

    API = "api"
    RANDOM = "random"
    POPULAR = "popular"
    ORACLE = "oracle"


def add_to(app: typer.Typer) -> None:
    """Make these commands known."""
    for command in (produce, replay, simulate, tail, recommend):
        app.command(cls=SettingsCommand, rich_help_panel=PANEL)(command)


def produce(
    file: Annotated[Path, typer.Argument(help="JSON, one record a line; - is standard input")] = Path("-"),
    topic: Annotated[Input, typer.Option(help="Where to")] = Input.EVENTS,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Send lines as they are, to see dead letters")
    ] = False,
    given: Given = None,
) -> None:
    """Produce records from a file or standard input, each checked before it is sent."""
    settings = load(given)
    from streams import produce as implementation
    from streams.client import EventProducer

    with EventProducer.of(settings) as producer, _lines(file) as lines:
        sent, refused = implementation.produce(lines, producer, topic.value, checked=not unchecked)
    for number, reason in refused[:20]:
        typer.secho(f"line {number}: {reason}", err=True, fg="red")
    typer.echo(f"{sent} produced, {len(refused)} refused", err=True)
    raise typer.Exit(1 if refused else 0)


def replay(
    file: Annotated[
        Path, typer.Argument(help="MovieLens, RecBole, Open Bandit or Yoochoose file, as published")
    ],
    speed: Annotated[
        float | None, typer.Option(help="Times the original timing; without it, as fast as it goes")
    ] = None,
    original_timing: Annotated[bool, typer.Option("--original-timing", help="The same as --speed 1")] = False,
    rate: Annotated[float | None, typer.Option(help="Events a second, at most")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Events, at most")] = None,
    min_rating: Annotated[float | None, typer.Option(help="Leave out ratings below it")] = None,
    now: Annotated[bool, typer.Option("--now", help="Events happen now, not when they once did")] = False,
    catalog: Annotated[
        bool, typer.Option(help="Produce titles and genres first, where the set has them")
    ] = True,
    as_json: AsJson = False,
    given: Given = None,
) -> None:
    """Replay a public data set into the events topic, in order of time."""
    settings = load(given)
    from evaluation.datasets import open_dataset
    from streams import replay as implementation
    from streams.client import EventProducer

    dataset = open_dataset(file)
    pace = implementation.Pace(speed=1.0 if original_timing else speed, rate=rate)
    events = list(implementation.events_of(dataset, min_rating=min_rating, source=file.name.split(".")[0]))
    created = {} if now else implementation.first_seen(events)
    with EventProducer.of(settings) as producer:
        items = implementation.send_catalog(dataset, producer, created) if catalog else 0
        with _progress(min(len(events), limit or len(events)), quiet=as_json) as advance:
            done = implementation.replay(
                events, producer, pace=pace, limit=limit, as_of_now=now, progress=advance
            )
    if as_json:
        print_json(
            {"events": done.events, "refused": done.refused, "items": items, "seconds": done.seconds,
             "events_per_s": done.rate}
        )  # fmt: skip
    else:
        typer.echo(
            f"{done.events:,} events in {done.seconds:.1f} s, {done.rate:,.0f}/s; {items:,} items; "
            f"{done.refused} refused"
        )


def simulate(
    users: Annotated[int, typer.Option(min=1)] = 300,
    items: Annotated[int, typer.Option(min=1)] = 500,
    rate: Annotated[float, typer.Option(help="Visits a second")] = 20.0,
    duration: Annotated[float, typer.Option(min=0.1, metavar="S", help="Simulated seconds")] = 60.0,
    shift: Annotated[
        float | None, typer.Option(metavar="S", help="Tastes change after so long; default is half-way")
    ] = None,
    slates: Annotated[
        Slates, typer.Option(help="Who chooses what is shown: the API, or one of the baselines")
    ] = Slates.API,
    n: Annotated[int, typer.Option("--n", min=1, max=500, help="Items of a slate")] = 10,
    out: Annotated[
        Path | None, typer.Option(help="Write JSON lines here (- is standard output), at once, not to Kafka")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: AsJson = False,
    given: Given = None,
) -> None:
    """Simulated users of known tastes look at slates and click: position bias, delays, new items, a taste shift."""
    settings = load(given)
    from evaluation.simulator import World, WorldConfig
    from streams import simulate as implementation
    from streams.clock import wall_ms

    config = WorldConfig(
        seed=seed, users=users, items=items, start_ms=wall_ms(),
        shift_after_ms=int(1_000 * (duration / 2 if shift is None else shift)),
    )  # fmt: skip
    world = World(config)
    plan = implementation.Plan(rate_per_s=rate, duration_s=duration, n=n)
    chooser = _chooser(settings, world, slates)
    if out is None:
        board = implementation.to_kafka(world, plan, chooser, settings)
    else:
        with _writer(out) as write:
            board = implementation.to_lines(world, plan, chooser, write)
    told = {"slates": board.slates, **board.rates(), "regret": board.regret()}
    if as_json and str(out) != "-":
        print_json(told)
    else:
        console(stderr=True).print("  ".join(f"{k} {_short(v)}" for k, v in told.items()))


def tail(
    topic: Annotated[Output, typer.Argument(help="What to watch")],
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest kept")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many")] = None,
    idle: Annotated[float | None, typer.Option(metavar="S", help="End when nothing came for so long")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The records as they are, one a line")] = False,
    given: Given = None,
) -> None:
    """Watch what comes out, one readable line a record, until Ctrl-C."""
    settings = load(given)
    from streams import tail as implementation

    def ready() -> None:
        typer.echo(f"watching {settings.namespace}.{topic.value}", err=True)

    records = implementation.follow(
        settings, topic.value, from_start=from_start, idle_s=idle, limit=limit, ready=ready
    )
    for seen in records:
        if as_json:
            typer.echo(seen.value or b"null")
        else:
            typer.echo(implementation.line(topic.value, seen))
        sys.stdout.flush()


def recommend(
    user: Annotated[str, typer.Argument(help="The user's id; any string will do")],
    n: Annotated[int | None, typer.Option("--n", min=1, max=500, help="Items")] = None,
    surface: Annotated[str | None, typer.Option(help="As which page asks")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="With sources, features and weights")] = False,
    url: Annotated[
        str | None, typer.Option(help="Of the API; default is the settings' host and port")
    ] = None,
    as_json: AsJson = False,
    given: Given = None,
) -> None:
    """Ask the API for a user's recommendations."""
    settings = load(given)
    from streams import ask

    base = url or f"http://{settings.http_host}:{settings.http_port}"
    answer = ask.recommendations(base, user, n=n, surface=surface, explain=explain)
    if as_json or explain:
        print_json(answer)
        return
    console().print(ask.table(answer))


# ---------------------------------------------------------------------- parts


@contextmanager
def _lines(file: Path) -> Iterator[Iterator[bytes]]:
    if str(file) == "-":
        yield iter(sys.stdin.buffer)
        return
    with file.open("rb") as opened:
        yield iter(opened)


@contextmanager
def _writer(out: Path) -> Iterator[Callable[[bytes], Any]]:
    if str(out) == "-":
        yield sys.stdout.buffer.write
        sys.stdout.flush()
        return
    with out.open("wb") as opened:
        yield opened.write


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar with the rate, on standard error; nothing when quiet."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(
        *columns, console=console(stderr=True), disable=quiet or not sys.stderr.isatty(), transient=True
    ) as bar:
        task = bar.add_task("replay", total=total, rate="")

        def advance(count: int) -> None:
            if count % 200 == 0 or count == total:
                speed = bar.tasks[0].speed
                bar.update(task, completed=count, rate=f"{speed:,.0f}/s" if speed else "")

        yield advance


def _chooser(settings: Settings, world: Any, slates: Slates) -> Callable[..., Any]:
    from streams.simulate import Slate

    if slates is Slates.API:
        return _asked_of_the_api(f"http://{settings.http_host}:{settings.http_port}")
    choose = getattr(world, slates.value)
    return lambda user, n, now, acted: Slate(choose(user, n, now, acted))


def _asked_of_the_api(base: str) -> Callable[..., Any]:
    """Slates over HTTP; once it has answered, a visit without an answer is a visit that sees nothing."""
    from streams import ask
    from streams.simulate import Slate

    answered = False

    def asked(user: str, n: int, now: int, acted: Any) -> Slate:
        nonlocal answered
        try:
            answer = ask.recommendations(base, user, n=n)
        except ask.ApiUnavailable as error:
            if not answered:
                raise
            typer.secho(str(error), err=True, fg="yellow")
            return Slate([])
        answered = True
        return Slate([item["item_id"] for item in answer["items"]], answer.get("request_id"))

    return asked


def _short(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
