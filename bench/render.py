"""Figures in the docs come from files: ``python -m bench.render`` fills the tables between markers.

A table stands between ``<!-- table:NAME -->`` and ``<!-- /table -->`` in a Markdown file. What fills it is a function
from the results, registered under its name in :data:`TABLES`, so that no figure is typed by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
DOCUMENTS = (
    "docs/quality.md",
    "docs/exploration.md",
    "docs/performance.md",
    "docs/scaling.md",
    "docs/reliability.md",
    "README.md",
)

Result = dict[str, Any]
Table = Callable[..., str]
_MARKED = re.compile(r"(<!-- table:([\w-]+) -->\n).*?(<!-- /table -->)", re.DOTALL)

TABLES: dict[str, tuple[tuple[str, ...], Table]] = {}
"""Name of a table -> names of the results it is made of (files without ``.json``), and what makes it of them."""


class RenderError(ValueError):
    """A document names a table there is none of, or a result is missing; the text says which."""


def table(name: str, *results: str) -> Callable[[Table], Table]:
    """Register what makes a table; it is called with the results, in order."""

    def register(make: Table) -> Table:
        TABLES[name] = (results, make)
        return make

    return register


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, figures to the right.

    >>> print(markdown(["what", "value"], [["a", "1"]]))
    | what | value |
    | --- | ---: |
    | a | 1 |
    """
    lines = [list(head), ["---", *["---:"] * (len(head) - 1)], *[list(row) for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def share(value: float, digits: int = 3) -> str:
    """A share without the zero before the point.

    >>> share(0.19246), share(1.0), share(-0.0021, 4)
    ('.192', '1.000', '-.0021')
    """
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{digits}f}")


def load(name: str, results: Path = RESULTS) -> Result:
    """One result.

    Raises:
        RenderError: there is no such file.
    """
    file = results / f"{name}.json"
    if not file.is_file():
        raise RenderError(f"{file.name}: no such result; the command that writes it has not been run")
    loaded: Result = orjson.loads(file.read_bytes())
    return loaded


def rendered(
    text: str,
    tables: Mapping[str, tuple[tuple[str, ...], Table]] | None = None,
    results: Path = RESULTS,
) -> str:
    """The text with every table filled.

    Raises:
        RenderError: a table is unknown or a result missing.
    """
    known = TABLES if tables is None else tables

    def fill(match: re.Match[str]) -> str:
        if match[2] not in known:
            raise RenderError(f"no table is called {match[2]!r}; known are {', '.join(sorted(known))}")
        names, make = known[match[2]]
        return f"{match[1]}{make(*[load(name, results) for name in names])}\n{match[3]}"

    return _MARKED.sub(fill, text)


def main(arguments: Sequence[str]) -> int:
    """Fill the documents, or with ``--check`` only say which would change; 1 when some would."""
    stale = []
    for document in [a for a in arguments if a != "--check"] or DOCUMENTS:
        file = ROOT / document
        old = file.read_text()
        new = rendered(old)
        if new != old:
            stale.append(document)
            if "--check" not in arguments:
                file.write_text(new)
    print(
        "\n".join(f"{name}: {'stale' if '--check' in arguments else 'filled'}" for name in stale)
        or "up to date"
    )
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    # render by name: the registry is that of the module, not of __main__
    from bench import (
        exploration_tables,
        performance_tables,
        quality_tables,
        readme_tables,
        render,
        scaling_tables,
        simulation_tables,
    )

    assert (
        exploration_tables
        and performance_tables
        and quality_tables
        and readme_tables
        and scaling_tables
        and simulation_tables
    )
    sys.exit(render.main(sys.argv[1:]))
