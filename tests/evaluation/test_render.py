"""Docs say what the results say: tables are filled from files, and docs/quality.md is what would be written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import quality_tables, render, simulation_tables

ROOT = Path(__file__).parents[2]


def one(told: dict[str, float]) -> str:
    return render.markdown(["x", "y"], [["a", render.share(told["y"])]])


TABLES = {"one": (("result",), one)}
TEXT = "before\n<!-- table:one -->\nold\n<!-- /table -->\nafter\n<!-- table:one --><!-- not a marker\n"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "result.json").write_text('{"y": 0.25}')
    return tmp_path


def test_a_table_is_filled_between_its_markers_and_nothing_else_is_touched(results: Path) -> None:
    told = render.rendered(TEXT, TABLES, results)
    assert "old" not in told
    assert "| a | .250 |\n<!-- /table -->\nafter\n<!-- table:one --><!-- not a marker\n" in told
    assert told.startswith("before\n<!-- table:one -->\n| x | y |")


def test_filling_twice_is_filling_once(results: Path) -> None:
    once = render.rendered(TEXT, TABLES, results)
    assert render.rendered(once, TABLES, results) == once


def test_an_empty_table_is_filled_too(results: Path) -> None:
    assert ".250" in render.rendered("<!-- table:one -->\n<!-- /table -->\n", TABLES, results)


def test_an_unknown_table_and_a_missing_result_are_named(results: Path) -> None:
    with pytest.raises(render.RenderError, match="no table is called 'one'"):
        render.rendered(TEXT, {}, results)
    with pytest.raises(render.RenderError, match=r"gone\.json"):
        render.rendered(TEXT, {"one": (("gone",), one)}, results)


def test_docs_quality_is_what_the_script_would_write() -> None:
    text = (ROOT / "docs" / "quality.md").read_text()
    assert render.rendered(text) == text


def test_every_table_of_quality_stands_in_its_document() -> None:
    text = (ROOT / "docs" / "quality.md").read_text()
    named = set(re.findall(r"<!-- table:([\w-]+) -->", text))
    ours = {name for name, (_, make) in render.TABLES.items() if make.__module__ == quality_tables.__name__}
    simulated = {
        name for name, (_, make) in render.TABLES.items() if make.__module__ == simulation_tables.__name__
    }
    assert ours | simulated == named


def test_every_picture_the_document_shows_is_there() -> None:
    text = (ROOT / "docs" / "quality.md").read_text()
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
        assert (ROOT / "docs" / path).resolve().is_file(), path
