"""Commands about experiments: plan and check before they start, report while they run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli_common import AsJson, Command, Given, SettingsCommand, console, print_json
from streams.cli_model import changed
from streams.cli_report import report

if TYPE_CHECKING:
    from serving.experiment_plan import Tier
    from serving.experiments import Experiments

app = typer.Typer(
    no_args_is_help=True, help="Experiments: how many users they need, whether a file holds, what they say."
)


def add_to(root: typer.Typer) -> None:
    """Make these commands known."""
    app.command("report", cls=SettingsCommand)(report)
    app.command("pause", cls=SettingsCommand)(pause)
    app.command("resume", cls=SettingsCommand)(resume)
    root.add_typer(app, name="experiment", rich_help_panel="Evaluate")


@app.command("plan", cls=Command)
def plan(
    rate: Annotated[float, typer.Option(help="The control's clicks an impression")],
    lift: Annotated[float, typer.Option(help="Relative change to be found: 0.05 is 5 % more")],
    impressions: Annotated[float, typer.Option(help="A user over the whole experiment")],
    design_effect: Annotated[
        float, typer.Option(help="The rate's variance by user over that of independent impressions")
    ] = 1.5,
    alpha: Annotated[float, typer.Option(help="False positives allowed")] = 0.05,
    power: Annotated[float, typer.Option(help="Share of such effects found")] = 0.8,
    variants: Annotated[int, typer.Option(min=2, help="The control included, all of one size")] = 2,
    users_a_day: Annotated[float | None, typer.Option(help="New users a day in the experiment")] = None,
    as_json: AsJson = False,
) -> None:
    """Users a variant that find a change of the click rate, read once or at any time."""
    from online_models.power import sizes

    try:
        told = sizes(
            rate, lift, impressions=impressions, design_effect=design_effect, alpha=alpha, power=power,
            variants=variants, users_a_day=users_a_day,
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        print_json(asdict(told))
        return
    typer.echo(f"effect: {told.effect:.6g} clicks an impression (tau of the always-valid test)")
    typer.echo(f"users a variant, read once at the end: {told.one_look:,}")
    typer.echo(f"users a variant, read at any time:     {told.any_look:,}")
    if told.days is not None:
        typer.echo(f"days until then: {told.days:.1f}")


@app.command("check", cls=Command)
def check(
    file: Annotated[Path, typer.Argument(help="The YAML that declares experiments")],
    user: Annotated[str | None, typer.Option(help="Also tell what this user gets")] = None,
    surface: Annotated[str, typer.Option(help="Where")] = "default",
    at: Annotated[datetime | None, typer.Option(help="When, UTC; without it, now")] = None,
    as_json: AsJson = False,
) -> None:
    """Whether a declaration holds as a whole, with every setting it overrides; exit code 1 and the reason if not."""
    from serving.experiments import load
    from streams.overrides import known_override

    declared = load(file, known_override)
    rows = _rows(declared)
    tiers = {name: tier.model_dump(exclude_defaults=True) for name, tier in declared.plan.tiers.items()}
    mine = None if user is None else _mine(declared, user, surface, at)
    if as_json:
        print_json(
            {"experiments": rows, "tiers": tiers, **({"assignment": mine} if mine is not None else {})}
        )
        return
    if rows or not tiers:
        _table(rows)
    for name, tier in declared.plan.tiers.items():
        typer.echo(f"tier {name}: {_who(tier)}; {_plain(tier.overrides) or 'as the surface says'}")
    if mine is not None:
        given = ", ".join(f"{name} {value}" for name, value in mine.items())
        typer.echo(f"{user} on {surface}: {given}")


def _mine(declared: Experiments, user: str, surface: str, at: datetime | None) -> dict[str, Any]:
    moment = datetime.now(UTC) if at is None else at.replace(tzinfo=at.tzinfo or UTC)
    return asdict(declared.assign(user, surface, int(moment.timestamp() * 1_000)))


def _who(tier: Tier) -> str:
    who = tier.who
    words = [f"{action} >= {n}" for action, n in who.actions.items()]
    words += [f"group {' or '.join(who.groups)}"] * bool(who.groups)
    words += [f"context {name}={value}" for name, value in who.context.items()]
    words += [f"on {', '.join(tier.surfaces)}"] * bool(tier.surfaces)
    return " and ".join(words) or "everybody else"


def _plain(overrides: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in overrides.items())


def _rows(declared: Experiments) -> list[dict[str, Any]]:
    rows = []
    for layer, name, e in declared.plan.experiments():
        for variant, share in e.shares.items():
            rows.append(
                {
                    "layer": layer, "experiment": name, "variant": variant,
                    "users": e.traffic * share * (1.0 - declared.plan.holdout),
                    "surfaces": list(e.surfaces), "from": e.start.isoformat(), "to": e.end.isoformat(),
                    "learning": e.learning, "overrides": dict(e.variants[variant].overrides),
                }
            )  # fmt: skip
    return rows


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("layer", "experiment", "variant", "users", "surfaces", "from", "to", "overrides", box=None)
    for row in rows:
        overrides = ", ".join(f"{name}={value}" for name, value in row["overrides"].items())
        table.add_row(
            row["layer"], row["experiment"], row["variant"], f"{row['users']:.1%}",
            ", ".join(row["surfaces"]) or "all", row["from"][:16], row["to"][:16], overrides,
        )  # fmt: skip
    console().print(table)


Who = Annotated[str, typer.Option(help="Whose name the log shows; without it, who runs this")]
Why = Annotated[str, typer.Option(help="For those who read the log later")]


def pause(who: Who = "", reason: Why = "", given: Given = None) -> None:
    """Give everyone the control, in all workers and API replicas within seconds, until experiments are resumed."""
    changed(given, "pause", who=who, reason=reason)
    typer.echo("experiments are paused; to let them go on:  freshet experiment resume")


def resume(who: Who = "", reason: Why = "", given: Given = None) -> None:
    """Let experiments go on, and keep them from being paused by a burning error budget for an hour."""
    from streams.burn_watch import HELD_OPEN_MS
    from streams.clock import wall_ms

    changed(given, "resume", who=who, reason=reason, details={"until": wall_ms() + HELD_OPEN_MS})
    typer.echo("experiments go on")
