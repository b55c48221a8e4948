"""``freshet rebuild``: the state of a namespace from the log, while the old one goes on serving."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from streams.cli_common import AsJson, Given, SettingsCommand, load, print_json


def add_to(root: typer.Typer) -> None:
    """Make the command known."""
    root.command(cls=SettingsCommand, rich_help_panel="Operate")(rebuild)


def rebuild(
    since: Annotated[
        str,
        typer.Option("--from", metavar="earliest|TIME", help="Where in the log: ISO 8601, or ms since 1970"),
    ] = "earliest",
    clean: Annotated[
        bool,
        typer.Option("--clean", help="Only remove what a rebuild has replaced; there is no way back then"),
    ] = False,
    keep_models: Annotated[
        bool,
        typer.Option(
            "--keep-models", help="Leave what was learnt as it is: where the log holds less than taught it"
        ),
    ] = False,
    as_json: AsJson = False,
    given: Given = None,
) -> None:
    """Fold the log into new keys and learn the models anew, beside the old ones, then swap.

    Workers and API go over by themselves. After a change of the partition count, or where the log has lost records
    that were not folded yet, or where something wrong was learnt that the log no longer holds.
    """
    loaded = load(given)
    import asyncio
    from dataclasses import asdict

    from streams import rebuild as implementation

    if clean:
        removed = asyncio.run(implementation.clean(loaded))
        typer.echo(f"{removed} keys of older generations removed")
        return
    job = implementation.Rebuild(
        loaded, since=moment(since), learning=not keep_models, told=None if as_json else _told
    )
    done = asyncio.run(job.run())
    if as_json:
        print_json(asdict(done))
        return
    typer.echo(
        f"generation {done.generation} is in force: {done.records} records in {done.seconds:.0f} s; models: "
        f"{done.snapshot or 'as before'}. The one before is kept until:  freshet rebuild --clean"
    )


def moment(text: str) -> int | None:
    """A time of the log, ms; None is its beginning.

    Raises:
        typer.BadParameter: it is none.

    >>> moment("earliest"), moment("1700000000000"), moment("2023-11-14T22:13:20Z")
    (None, 1700000000000, 1700000000000)
    """
    if text == "earliest":
        return None
    if text.isdigit():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"--from {text}: earliest, ms since 1970, or ISO 8601") from error
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1_000)


def _told(done: int, total: int) -> None:
    typer.echo(f"{done} of {total} records", err=True)
