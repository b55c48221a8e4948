"""Commands about versions of the model: what there is, one step forward, one step back, and the switches."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from online_models.errors import FreshetError
from streams.cli_common import AsJson, Given, SettingsCommand, console, load, print_json

if TYPE_CHECKING:
    from online_models.registry import Change, Registry
    from streams.registry_log import RegistryLog
    from streams.settings import Settings

T = TypeVar("T")
app = typer.Typer(
    no_args_is_help=True,
    help="Versions of the model: register, promote, roll back; freeze, release, explore.",
)
Who = Annotated[str, typer.Option(help="Who decides this; without it, the user of this shell")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the log")]
VersionName = Annotated[str, typer.Argument(help="As in freshet model list")]


class ChangeRefused(FreshetError):
    """The registry's state forbids a change; the text says why."""


def add_to(root: typer.Typer) -> None:
    """Make these commands known."""
    root.add_typer(app, name="model", rich_help_panel="Operate")


@app.command("list", cls=SettingsCommand)
def list_(as_json: AsJson = False, given: Given = None) -> None:
    """All versions with state, recipe and lineage, and the log of changes."""
    registry = with_log(load(given, log_level="ERROR"), _read)
    rows = [
        {
            "version": v.name, "state": v.state, "who": v.who, "approvals": v.approvals, "recipe": dict(v.recipe),
            "lineage": v.lineage, "approvals_wanted": v.wanted, "approved": v.approved,
        }
        for v in registry.versions.values()
    ]  # fmt: skip
    audit = [
        {"ts": e.change.ts, "who": e.change.who, "what": e.change.what, "version": e.change.version,
         "reason": e.change.reason, "refused": e.refused, "details": dict(e.change.details)}
        for e in registry.audit
    ]  # fmt: skip
    if as_json:
        print_json({
            "versions": rows, "live": registry.live, "canary": registry.canary or None, "share": registry.share,
            "previous": registry.previous or None, "frozen": registry.frozen, "exploring": registry.exploring,
            "audit": audit,
        })  # fmt: skip
        return
    _table(rows, audit)
    if registry.frozen:
        typer.echo("learning is frozen by a rollback:  freshet model release")
    if not registry.exploring:
        typer.echo("exploration is off:  freshet model explore on")


@app.command("register", cls=SettingsCommand)
def register(
    version: Annotated[str, typer.Argument(help="a-z 0-9 _ . -, up to 40")],
    recipe: Annotated[
        list[str] | None,
        typer.Option("--recipe", metavar="NAME=NUMBER", help="rate, deep_rate, hidden, half_life, alpha, "
                     "click_half_life_ms, warm: how it differs from the live version"),
    ] = None,
    approvals: Annotated[
        int | None,
        typer.Option(min=0, max=10, help="Of so many others before it goes live; else the setting model_approvals"),
    ] = None,
    who: Who = "", reason: Why = "", given: Given = None,
) -> None:  # fmt: skip
    """A new version, a candidate; it learns from its promotion to shadow on."""
    details = dict(_number(word) for word in recipe or ())
    wanted = load(given, log_level="ERROR").model_approvals if approvals is None else approvals
    changed(given, "register", version=version, who=who, reason=reason, details=details, approvals=wanted)
    typer.echo(f"{version} is a candidate; next:  freshet model promote {version}")


@app.command("promote", cls=SettingsCommand)
def promote(
    version: VersionName,
    share: Annotated[float, typer.Option(min=0.0, max=0.5, help="Of users, for a canary")] = 0.05,
    who: Who = "", reason: Why = "", given: Given = None,
) -> None:  # fmt: skip
    """One step: candidate to shadow (learns), to canary (answers a share of users), to live (answers all)."""
    loaded = load(given, log_level="ERROR")
    details = _learnt(loaded)
    registry = _add(loaded, "promote", version=version, share=share, who=who, reason=reason, details=details)
    typer.echo(f"{version} is {registry.versions[version].state}")


@app.command("approve", cls=SettingsCommand)
def approve(version: VersionName, who: Who = "", reason: Why = "", given: Given = None) -> None:
    """Agree to a version going live; not by who registered it, and once each."""
    held = changed(given, "approve", version=version, who=who, reason=reason).versions[version]
    typer.echo(f"{version} has {len(held.approved)} of the {held.wanted} approvals it needs to go live")


@app.command("rollback", cls=SettingsCommand)
def rollback(who: Who = "", reason: Why = "", given: Given = None) -> None:
    """Take back the canary, or else the version that is live; learning is frozen until release."""
    registry = changed(given, "rollback", who=who, reason=reason)
    typer.echo(f"{registry.live} is live; learning is frozen:  freshet model release")


@app.command("release", cls=SettingsCommand)
def release(who: Who = "", reason: Why = "", given: Given = None) -> None:
    """Let models learn again after a rollback, once the bad events no longer come."""
    changed(given, "release", who=who, reason=reason)
    typer.echo("models learn")


@app.command("retire", cls=SettingsCommand)
def retire(version: VersionName, who: Who = "", reason: Why = "", given: Given = None) -> None:
    """End a candidate or a shadow."""
    changed(given, "retire", version=version, who=who, reason=reason)
    typer.echo(f"{version} is retired")


@app.command("explore", cls=SettingsCommand)
def explore(
    switch: Annotated[str, typer.Argument(help="on or off")], who: Who = "", reason: Why = "", given: Given = None
) -> None:  # fmt: skip
    """Switch exploration on or off in all workers and API replicas within seconds, without a restart."""
    if switch not in ("on", "off"):
        raise typer.BadParameter(f"on or off, not {switch}")
    changed(given, "explore", on=switch == "on", who=who, reason=reason)
    typer.echo(f"exploration is {switch}")


@app.command("diff", cls=SettingsCommand)
def diff(a: VersionName, b: VersionName, as_json: AsJson = False, given: Given = None) -> None:
    """In what two versions differ: recipe, lineage, state, approvals."""
    registry = with_log(load(given, log_level="ERROR"), _read)
    for name in (a, b):
        if name not in registry.versions:
            raise ChangeRefused(f"there is no version {name!r}; there are {', '.join(registry.versions)}")
    told = registry.diff(a, b)
    if as_json:
        print_json({name: {a: first, b: second} for name, (first, second) in told.items()})
        return
    from rich.table import Table

    table = Table("", a, b, box=None)
    for name, (first, second) in told.items():
        table.add_row(name, _plain(first), _plain(second))
    console().print(table if told else "no difference")


# ---------------------------------------------------------------------- parts


def changed(given: list[str] | None, what: Any, **more: Any) -> Registry:
    """Append a change to the registry's log; ChangeRefused when it has no effect."""
    return _add(load(given, log_level="ERROR"), what, **more)


def _add(loaded: Settings, what: Any, **more: Any) -> Registry:
    from streams.clock import wall_ms
    from streams.registry_log import change

    made: Change = change(what, wall_ms(), **more)

    async def append(registry_log: RegistryLog) -> Registry:
        await registry_log.catch_up()
        if refused := await registry_log.add(made):
            raise ChangeRefused(refused)
        return registry_log.registry

    return with_log(loaded, append)


async def _read(registry_log: RegistryLog) -> Registry:
    await registry_log.catch_up()
    return registry_log.registry


def with_log(loaded: Settings, act: Callable[[RegistryLog], Awaitable[T]]) -> T:
    """What something done with the registry's log gives; the log is not read before."""
    from streams import build
    from streams.registry_log import RegistryLog

    async def once() -> T:
        store = build.store(loaded, patience_s=5.0)
        try:
            return await act(RegistryLog(store))
        finally:
            await store.close()

    return asyncio.run(once())


def _learnt(loaded: Settings) -> dict[str, Any]:
    """What the newest snapshot holds: the lineage of whatever is promoted now."""
    from importlib.metadata import version

    from online_models.snapshot_bucket import open_snapshots

    told: dict[str, Any] = {"code": version("freshet")}
    store = open_snapshots(loaded.snapshot_dir, keep=loaded.snapshot_keep)
    if versions := store.versions():
        newest, oldest = store.manifest(versions[-1]), store.manifest(versions[0])
        told |= {
            "snapshot": newest.version, "offsets": dict(newest.positions), "feature_schema": newest.schema,
            "data_window": [oldest.created, newest.created],
        }  # fmt: skip
    return told


def _number(word: str) -> tuple[str, float | int | bool]:
    name, equals, value = word.partition("=")
    if value in ("true", "false"):
        return name, value == "true"
    try:
        number = float(value)
    except ValueError:
        raise typer.BadParameter(f"--recipe {word}: wanted NAME=NUMBER") from None
    if not equals:
        raise typer.BadParameter(f"--recipe {word}: wanted NAME=NUMBER")
    return name, int(number) if number.is_integer() and name in ("hidden", "click_half_life_ms") else number


def _table(rows: list[dict[str, Any]], audit: list[dict[str, Any]]) -> None:
    from datetime import UTC, datetime

    from rich.table import Table

    table = Table("version", "state", "by", "promoted by", "approved by", "recipe", box=None)
    for row in rows:
        approved = ", ".join(row["approved"])
        if row["approvals_wanted"]:
            approved = f"{approved} ({len(row['approved'])} of {row['approvals_wanted']})".strip()
        promoted = ", ".join(row["approvals"])
        table.add_row(
            row["version"], row["state"], row["who"], promoted, approved, _plain(row["recipe"] or "")
        )
    console().print(table)
    log = Table("when (UTC)", "who", "change", "reason", box=None)
    for one in audit[-20:]:
        moment = datetime.fromtimestamp(one["ts"] / 1_000.0, UTC).strftime("%Y-%m-%d %H:%M:%S")
        refused = f"no effect: {one['refused']}" if one["refused"] else one["reason"]
        log.add_row(moment, one["who"], f"{one['what']} {one['version']}".strip(), refused)
    if audit:
        console().print(log)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={one}" for name, one in value.items())
    return "-" if value is None else str(value)
