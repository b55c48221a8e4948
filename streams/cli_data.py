"""Commands about public data sets: get, list, show."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli_common import AsJson, Command, console, print_json

app = typer.Typer(no_args_is_help=True, help="Public data sets: fetch them from their homes, look at a file.")


def add_to(root: typer.Typer) -> None:
    """Make these commands known."""
    root.add_typer(app, name="data", rich_help_panel="Evaluate")


@app.command("get", cls=Command)
def get_(
    name: Annotated[str, typer.Argument(help="As in freshet data list")],
    folder: Annotated[Path, typer.Option("--to", help="Where to put it")] = Path("data"),
) -> None:
    """Download a public data set from its home; its checksum is verified."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    from evaluation.download import SOURCES, get

    if name in SOURCES:
        typer.echo(f"{SOURCES[name].about}\nterms: {SOURCES[name].terms}", err=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        path = get(name, folder, progress=lambda done, total: bar.update(task, completed=done, total=total))
    typer.echo(str(path))


@app.command("list", cls=Command)
def list_(as_json: AsJson = False) -> None:
    """The data sets that can be fetched by name."""
    from evaluation.download import BY_HAND, SOURCES

    if as_json:
        print_json({name: {"about": s.about, "terms": s.terms} for name, s in SOURCES.items()})
        return
    from rich.table import Table

    table = Table("name", "what", "MB", box=None)
    for name, source in SOURCES.items():
        table.add_row(name, source.about, f"{sum(f.bytes for f in source.files) / 1e6:,.1f}")
    for name, how in BY_HAND.items():
        table.add_row(name, f"by hand: {how}", "")
    console().print(table)


@app.command("show", cls=Command)
def show(
    path: Annotated[Path, typer.Argument(help="A file or directory as published")], as_json: AsJson = False
) -> None:
    """What a file is and what it holds: format, records, users, items, span of time."""
    from evaluation.datasets import open_dataset

    told = _described(open_dataset(path))
    if as_json:
        print_json(told)
        return
    for key, value in told.items():
        typer.echo(f"{key:<10} {value:,}" if isinstance(value, int) else f"{key:<10} {value}")


def _described(dataset: Any) -> dict[str, Any]:
    from datetime import UTC, datetime

    users: set[str] = set()
    items: set[str] = set()
    first: int | None = None
    last: int | None = None
    counts = Counter[str]()
    for record in dataset.records:
        users.add(str(getattr(record, "user", None) or getattr(record, "session", "")))
        items.add(record.item)
        first = record.ts_ms if first is None else min(first, record.ts_ms)
        last = record.ts_ms if last is None else max(last, record.ts_ms)
        counts["records"] += 1
        counts["clicks"] += bool(getattr(record, "click", False))
    told = {
        "kind": dataset.kind, "format": dataset.format, "files": [p.name for p in dataset.paths],
        "records": counts["records"], "users": len(users), "items": len(items), "described": len(dataset.items),
    }  # fmt: skip
    if dataset.kind == "impressions":
        told["clicks"] = counts["clicks"]
    for name, moment in (("from", first), ("to", last)):
        if moment is not None:
            told[name] = datetime.fromtimestamp(moment / 1_000.0, UTC).isoformat(timespec="seconds")
    return told
