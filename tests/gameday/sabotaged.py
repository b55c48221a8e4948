"""``freshet serve`` in which one source of candidates raises: a fault as a bad release brings it."""

from __future__ import annotations

import sys
from typing import Any

from online_models.sources.popularity import Popularity
from streams import cli


def _raises(*_: Any, **__: Any) -> Any:
    raise RuntimeError("sabotaged for a game day")


if __name__ == "__main__":
    Popularity.touch = _raises  # type: ignore[method-assign]
    sys.argv = ["freshet", "serve"]
    cli.main()
