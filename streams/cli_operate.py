"""Commands of operators: topics, doctor, snapshot, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.cli_common import AsJson, Given, SettingsCommand, console, load, print_json

if TYPE_CHECKING:
    from online_models.snapshot import Snapshots
    from streams.settings import Settings

PANEL = "Operate"
topics_app = typer.Typer(no_args_is_help=True, help="The topics of a deployment.")
snapshot_app = typer.Typer(no_args_is_help=True, help="Learnt state on disk: save, list, restore.")


def add_to(root: typer.Typer) -> None:
    """Make these commands known."""
    root.add_typer(topics_app, name="topics", rich_help_panel=PANEL)
    root.command(cls=SettingsCommand, rich_help_panel=PANEL)(doctor)
    root.add_typer(snapshot_app, name="snapshot", rich_help_panel=PANEL)
    root.command(cls=SettingsCommand, rich_help_panel=PANEL)(settings)


@topics_app.command("create", cls=SettingsCommand)
def create(
    replication: Annotated[
        int | None,
        typer.Option(min=1, help="Copies of each partition; default 3, or as many as there are brokers"),
    ] = None,
    given: Given = None,
) -> None:
    """Create the topics that are missing; what exists and differs is told, not changed."""
    loaded = load(given)
    from streams import topics
    from streams.client import client_args

    if loaded.embedded:
        typer.echo("the embedded broker makes topics on first use: nothing to do", err=True)
        return
    security = client_args(loaded)
    for name in ("bootstrap_servers", "bootstrap_timeout_ms"):
        security.pop(name)
    differing = topics.ensure(
        loaded.kafka, loaded.namespace, loaded.partitions, replication, security=security
    )
    typer.echo(f"{len(topics.CONTRACT)} topics of namespace {loaded.namespace} are there, "
               f"events in {loaded.partitions} partitions")  # fmt: skip
    for difference in differing:
        typer.secho(str(difference), err=True, fg="yellow")


def doctor(as_json: AsJson = False, given: Given = None) -> None:
    """Check broker, Redis, topics, partitions, versions and clock; say how to mend each."""
    loaded = load(given, log_level="ERROR")
    from streams.doctor import Finding, examine

    found: list[Finding] = []
    marks = {"ok": "[green]ok[/]     ", "warning": "[yellow]warning[/]", "wrong": "[red]wrong[/]  "}
    out = console()
    for finding in examine(loaded):
        found.append(finding)
        if not as_json:
            out.print(f"{marks[finding.state]} {finding.what}: ", end="")
            out.print(finding.detail, markup=False, soft_wrap=True)
            if finding.mend:
                out.print(f"        {finding.mend}", markup=False, style="bold", soft_wrap=True)
    wrong = sum(f.state == "wrong" for f in found)
    if as_json:
        plain = [{"state": f.state, "what": f.what, "detail": f.detail, "mend": f.mend} for f in found]
        print_json({"ok": wrong == 0, "findings": plain})
    raise typer.Exit(1 if wrong else 0)


@snapshot_app.command("save", cls=SettingsCommand)
def save(given: Given = None) -> None:
    """Save learnt state now: the newest snapshot, and all that workers have said since."""
    loaded = load(given)
    import asyncio

    from streams.worker import Worker

    async def once() -> None:
        process = Worker(loaded.model_copy(update={"metrics_port": 0}))
        await process.start()
        await process.stop()  # which saves

    asyncio.run(once())
    typer.echo(_store(loaded).versions()[-1])


@snapshot_app.command("list", cls=SettingsCommand)
def list_(as_json: AsJson = False, given: Given = None) -> None:
    """All snapshots, oldest first, and whether each is whole."""
    told = _listed(_store(load(given)))
    if as_json:
        print_json(told)
        return
    from rich.table import Table

    table = Table("version", "saved (UTC)", "MB", "state", box=None)
    for one in told:
        table.add_row(one["version"], one["saved"], f"{one['bytes'] / 1e6:,.1f}", one["state"])
    console().print(table if told else "no snapshot yet")


@snapshot_app.command("restore", cls=SettingsCommand)
def restore(
    version: Annotated[str, typer.Argument(help="As in freshet snapshot list")], given: Given = None
) -> None:
    """Make an older snapshot the newest again; processes take it over when they start."""
    loaded = load(given)
    from online_models.errors import SnapshotCorrupt
    from streams.clock import wall_ms

    store = _store(loaded)
    if version not in store.versions():
        listed = ", ".join(store.versions()) or "none"
        raise SnapshotCorrupt(f"there is no snapshot {version} in {loaded.snapshot_dir}; there are: {listed}")
    made = store.restore(version, wall_ms())
    typer.echo(made)
    typer.echo(f"{version} is the newest again, as {made}; restart workers and API to take it over", err=True)


def settings(
    as_json: AsJson = False,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only those that differ from the default")
    ] = False,
    given: Given = None,
) -> None:
    """Every setting with its meaning, default and value; secrets are masked."""
    loaded = load(given)
    told = [row for row in _rows(loaded) if not changed or row["value"] != row["default"]]
    if as_json:
        print_json(told)
        return
    from rich.table import Table

    table = Table("variable", "meaning", "default", "value", box=None, padding=(0, 2, 0, 0))
    for row in told:
        value = "" if row["value"] == row["default"] else f"[bold]{_escaped(row['value'])}[/]"
        table.add_row(row["variable"], row["meaning"], _escaped(row["default"]), value)
    console().print(table)


# ---------------------------------------------------------------------- parts


def _rows(loaded: Settings) -> list[dict[str, Any]]:
    from streams.settings import PREFIX, Settings, shown

    defaults = Settings.model_construct()
    return [
        {
            "name": name,
            "variable": PREFIX + name.upper(),
            "meaning": (field.description or "") + _range(field.metadata),
            "default": shown(defaults, name),
            "value": shown(loaded, name),
        }
        for name, field in Settings.model_fields.items()
    ]


def _range(metadata: list[Any]) -> str:
    words = []
    for bound, word in (("ge", "from"), ("gt", "above"), ("le", "to"), ("lt", "below")):
        value = next((getattr(m, bound) for m in metadata if getattr(m, bound, None) is not None), None)
        words += [f"{word} {value:,}"] if value is not None else []
    return f" ({' '.join(words)})" if words else ""


def _store(loaded: Settings) -> Snapshots:
    from online_models.snapshot_bucket import open_snapshots

    return open_snapshots(loaded.snapshot_dir, keep=loaded.snapshot_keep)


def _listed(store: Snapshots) -> list[dict[str, Any]]:
    from datetime import UTC, datetime

    from online_models.errors import SnapshotCorrupt

    told = []
    for version in store.versions():
        row: dict[str, Any] = {
            "version": version,
            "saved": "",
            "bytes": store.size(version),
            "state": "whole",
        }
        try:
            created = store.load(version).manifest.created
            row["saved"] = datetime.fromtimestamp(created / 1_000.0, UTC).isoformat(timespec="seconds")
        except SnapshotCorrupt as error:
            row["state"] = str(error)
        told.append(row)
    return told


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
