"""Commands about what slates are made for: the weights of actions, by surface, changed while all serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli_common import AsJson, Given, SettingsCommand, console, load, print_json
from streams.cli_model import Who, Why, with_log

if TYPE_CHECKING:
    from streams.registry_log import RegistryLog

app = typer.Typer(
    no_args_is_help=True,
    help="What slates are made for: how much a click, a purchase, a dislike is worth, by surface.",
)
SurfaceName = Annotated[str, typer.Argument(help="As in freshet objectives list")]


def add_to(root: typer.Typer) -> None:
    """Make these commands known."""
    root.add_typer(app, name="objectives", rich_help_panel="Operate")


@app.command("list", cls=SettingsCommand)
def list_(as_json: AsJson = False, given: Given = None) -> None:
    """The weights in force by surface, who set them and when, and the actions that may have one."""
    from streams.weighing import Weighing

    loaded = load(given, log_level="ERROR")

    async def read(log: RegistryLog) -> dict[str, Any]:
        await log.catch_up()
        return Weighing(loaded, log).told()

    told = with_log(loaded, read)
    if as_json:
        print_json(told)
        return
    _table(told)


@app.command("set", cls=SettingsCommand)
def set_(
    surface: SurfaceName,
    weights: Annotated[list[str], typer.Argument(metavar="ACTION=WEIGHT...", help="click=1 purchase=20")],
    who: Who = "", reason: Why = "", given: Given = None,
) -> None:  # fmt: skip
    """Order a surface for these weights, in all workers and API replicas within seconds, without a restart."""
    _weigh(given, surface, dict(_weight(word) for word in weights), who, reason)


@app.command("reset", cls=SettingsCommand)
def reset(surface: SurfaceName, who: Who = "", reason: Why = "", given: Given = None) -> None:
    """Go back to the weights that the settings name."""
    _weigh(given, surface, None, who, reason)


def _weigh(
    given: list[str] | None, surface: str, weights: dict[str, float] | None, who: str, reason: str
) -> None:
    from streams.clock import wall_ms
    from streams.weighing import Weighing

    loaded = load(given, log_level="ERROR")

    async def append(log: RegistryLog) -> dict[str, Any]:
        await log.catch_up()
        return await Weighing(loaded, log).weigh(surface, weights, wall_ms(), who=who, reason=reason)

    told = with_log(loaded, append)
    typer.echo(f"{surface} is ordered for {_plain(told['weights'])} ({told['version']})")


def _weight(word: str) -> tuple[str, float]:
    name, equals, value = word.partition("=")
    try:
        number = float(value)
    except ValueError:
        equals = ""
    if not equals:
        raise typer.BadParameter(f"{word}: wanted ACTION=WEIGHT, as in purchase=20")
    return name, number


def _table(told: dict[str, Any]) -> None:
    from datetime import UTC, datetime

    from rich.table import Table

    table = Table("surface", "weights", "version", "by", "when (UTC)", "reason", box=None)
    for name, of in told["surfaces"].items():
        moment = datetime.fromtimestamp(of["ts"] / 1_000.0, UTC) if of["ts"] is not None else None
        when = moment.strftime("%Y-%m-%d %H:%M:%S") if moment is not None else ""
        table.add_row(name, _plain(of["weights"]), of["version"], of["who"], when, of["reason"])
    console().print(table)
    typer.echo(f"actions that may have a weight: {', '.join(told['actions'])}")


def _plain(weights: dict[str, float]) -> str:
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
