"""The packages depend on each other one way only, and what talks to the world stands where it is said to stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("online_models", "serving", "evaluation", "streams")
ALLOWED = {
    "online_models": {"online_models"},
    "serving": {"serving", "online_models"},
    "evaluation": {"evaluation", "online_models", "serving"},
    "streams": {"streams", "serving", "online_models", "evaluation"},
}
"""Streams import all: ``freshet`` is the one command, and the demo and the replay read public data."""


@cache
def files(package: str) -> tuple[Path, ...]:
    """The modules of a package."""
    return tuple(sorted((ROOT / package).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """A module, parsed."""
    return ast.parse(path.read_text())


def imports(path: Path) -> Iterator[str]:
    """The full names of modules that a module imports, anywhere in it."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide what is imported"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(of: str, package: str) -> set[str]:
    """Files of a package that import a module or something from it."""
    return {
        str(path.relative_to(ROOT))
        for path in files(package)
        if any(name == of or name.startswith(f"{of}.") for name in imports(path))
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_stands_below_it(package: str) -> None:
    ours = {*PACKAGES, "bench", "tests"}
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(package)
        for name in imports(path)
        if (top := name.partition(".")[0]) in ours and top not in ALLOWED[package]
    }
    assert wrong == set()


@pytest.mark.parametrize("engine", ["faust", "mode", "aiokafka", "kafka", "confluent_kafka"])
def test_only_streams_know_the_log(engine: str) -> None:
    assert {
        path for package in PACKAGES if package != "streams" for path in importers(engine, package)
    } == set()


def test_only_the_store_knows_redis() -> None:
    everywhere = {path for package in PACKAGES for path in importers("redis", package)}
    others = {path for path in everywhere if not path.startswith("online_models/store")}
    assert others <= {"streams/doctor.py"}, "the doctor asks Redis itself what is wrong with it"


@pytest.mark.parametrize("package", ["online_models", "serving"])
def test_models_and_serving_know_no_wall_clock(package: str) -> None:
    assert importers("datetime", package) == set()
    wrong = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files(package)
        for name in names_of("time", path)
        if name not in ("perf_counter", "monotonic")  # how long something took, not when it was
    }
    assert wrong == set()


def names_of(module: str, path: Path) -> set[str]:
    """What a file uses of a module."""
    used = {name.removeprefix(f"{module}.") for name in imports(path) if name.startswith(f"{module}.")}
    return used | {
        node.attr
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module
    }


def test_only_the_settings_read_the_environment() -> None:
    reading = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in files(package)
        if names_of("os", path) & {"environ", "getenv", "environb"}
    }
    # children.py hands the environment on to the processes it starts, and reads nothing in it
    assert reading <= {"streams/settings.py", "streams/children.py"}


def test_models_know_neither_files_nor_sockets_beside_store_and_snapshots() -> None:
    world = ("socket", "asyncio", "http", "urllib", "subprocess", "fastapi", "uvicorn")
    found = {path for module in world for path in importers(module, "online_models")}
    assert {path for path in found if not path.startswith("online_models/store")} == set()
