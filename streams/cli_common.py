"""What all commands share: every setting is an option of each, and an expected error is one line, not a traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from rich.console import Console

    from streams.settings import Settings

Given = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting. Each is an option of its own as well: --kafka HOST:PORT, --redis-url URL, "
        "--namespace NAME, ... (freshet settings lists them)",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table")]


class Command(TyperCommand):
    """A command whose expected errors are told in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run it; exit code 1 with the reason on standard error where it could not be done."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if not _expected(error):
                raise
            hint = "\n  freshet doctor says what is wrong and how to mend it" if _of_kafka(error) else ""
            typer.secho(f"{ctx.command_path}: {error}{hint}", err=True, fg="red")
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


class SettingsCommand(Command):
    """A command that takes every setting as an option, ``--http-port 8081`` for ``--set http_port=8081``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Turn the options that are settings into ``--set``, and leave the rest to the parser."""
        own = {word for p in self.get_params(ctx) for word in (*p.opts, *p.secondary_opts)}
        return super().parse_args(ctx, rewritten(args, own))


def rewritten(args: list[str], own: set[str]) -> list[str]:
    """Arguments with settings given as options turned into ``--set name=value``.

    >>> rewritten(["--json", "--http-port", "81", "--namespace=shop", "x"], {"--json"})
    ['--json', '--set', 'http_port=81', '--set', 'namespace=shop', 'x']
    """
    out: list[str] = []
    left = iter(args)
    for word in left:
        option, equals, value = word.partition("=")
        if word == "--":
            return [*out, word, *left]
        name = _setting(option) if option.startswith("--") and option not in own else None
        if name is None:
            out.append(word)
        elif equals or _is_flag(name):
            out += ["--set", f"{name}={value if equals else 'true'}"]
        else:
            value = next(left, "")
            out += ["--set", f"{name}={value}"]
    return out


def load(given: list[str] | None, *, logs: bool = True, **more: Any) -> Settings:
    """The settings a command was given, over those of the environment; logs begin to be written as they say."""
    from streams import logging, settings

    loaded = settings.load(**{**more, **settings.assignments(given or ())})
    if logs:
        logging.configure(loaded.log_format, loaded.log_level)
    return loaded


def console(*, stderr: bool = False) -> Console:
    """Where tables and progress go; a pipe gets them in full width."""
    from rich.console import Console

    wide = None if (sys.stderr if stderr else sys.stdout).isatty() else 120
    return Console(stderr=stderr, width=wide, soft_wrap=False, highlight=False)


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    import orjson

    option = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    typer.echo(orjson.dumps(value, option=option))


def _setting(option: str) -> str | None:
    from online_models.errors import SettingsError
    from streams.settings import setting_name

    try:
        return setting_name(option.removeprefix("--"))
    except SettingsError:
        return None


def _is_flag(name: str) -> bool:
    from streams.settings import Settings

    return Settings.model_fields[name].annotation is bool


def _expected(error: Exception) -> bool:
    from evaluation.records import DatasetError
    from online_models.errors import FreshetError

    known = (FreshetError, DatasetError, FileNotFoundError, IsADirectoryError, ConnectionError)
    return isinstance(error, known) or _of_kafka(error)


def _of_kafka(error: Exception) -> bool:
    return any(kind.__module__.startswith("kafka.errors") for kind in type(error).__mro__)
