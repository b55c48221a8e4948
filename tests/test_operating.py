"""Dashboards, alerts and runbooks speak of metrics, commands and pages that exist."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from online_models import drift_signal, ops_signals
from tests.support.exported import families, series

ROOT = Path(__file__).resolve().parent.parent
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = ("What you see", "How to confirm", "How to mitigate", "How to verify")
_METRIC = re.compile(r"\b(?:freshet|process)[_:][\w:]+")


def _rules() -> list[dict[str, Any]]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def _alerts() -> list[dict[str, Any]]:
    return [rule for rule in _rules() if "alert" in rule]


def _recorded() -> set[str]:
    return {rule["record"] for rule in _rules() if "record" in rule}


def _unquoted(query: str) -> str:
    return re.sub(r'"[^"]*"', '""', query)


def _queries(dashboard: dict[str, Any]) -> list[str]:
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return asked + [one["expr"] for one in dashboard["annotations"]["list"]]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_of_a_dashboard_asks_for_what_is_exported(path: Path) -> None:
    for query in _queries(json.loads(path.read_text())):
        asked = set(_METRIC.findall(_unquoted(query)))
        assert asked, query
        assert asked <= series() | _recorded(), query


def test_there_is_a_dashboard_for_each_who_looks() -> None:
    told = {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}
    assert set(told) == {"freshet-executive", "freshet-oncall", "freshet-debug"}
    assert all(dashboard["uid"] == name for name, dashboard in told.items())
    for dashboard in told.values():
        assert all(panel["title"] for panel in dashboard["panels"])


def test_every_alert_asks_for_what_is_exported() -> None:
    for rule in _rules():
        asked = set(_METRIC.findall(_unquoted(rule["expr"])))
        assert asked, rule
        assert asked <= series() | _recorded(), rule["expr"]


def test_every_alert_is_a_page_or_a_ticket_with_a_runbook_that_exists() -> None:
    for rule in _alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert (ROOT / rule["annotations"]["runbook"]).is_file(), rule["alert"]


def test_every_alert_that_another_silences_exists() -> None:
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    named = "\n".join(
        matcher for rule in config["inhibit_rules"] for side in rule.values() for matcher in side
    )
    assert set(re.findall(r"Freshet\w+", named)) <= {rule["alert"] for rule in _alerts()}
    receivers = {receiver["name"] for receiver in config["receivers"]}
    assert {route["receiver"] for route in config["route"]["routes"]} <= receivers


def test_alerts_fire_and_hold_still_as_promised() -> None:
    command = shutil.which("promtool")
    if command is None:
        if os.environ.get("FRESHET_REQUIRE_PROMTOOL") == "1":
            pytest.fail("no promtool:  sudo apt-get install prometheus", pytrace=False)
        pytest.skip("no promtool:  sudo apt-get install prometheus")
    for arguments in (
        ["check", "rules", *map(str, RULES)],
        ["test", "rules", str(PROMETHEUS / "tests/alerts.yml")],
    ):
        done = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_runbook_the_code_names_exists() -> None:
    sources = [
        path for package in ("online_models", "streams", "serving") for path in (ROOT / package).rglob("*.py")
    ]
    named = {page for path in sources for page in re.findall(r"docs/runbooks/[\w-]+\.md", path.read_text())}
    assert {
        drift_signal.RUNBOOK,
        drift_signal.FEATURE_RUNBOOK,
        ops_signals.lost_range(0, 0, 1, ts=0).runbook,
    } <= named
    assert all((ROOT / page).is_file() for page in named), named


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_says_what_is_seen_and_how_to_confirm_mitigate_and_verify(path: Path) -> None:
    titles = re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE)
    assert [title for title in titles if title in SECTIONS] == list(SECTIONS)


def _pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _command(words: list[str]) -> str:
    """What is wrong with a command line of ours; empty when it exists with its options."""
    from typer.main import get_command

    from streams import cli
    from streams.settings import Settings

    node: Any = get_command(cli.app)
    settings = {f"--{name.replace('_', '-')}" for name in Settings.model_fields} | {"--set", "--help"}
    for word in words:
        if hasattr(node, "commands") and not word.startswith("-"):
            if word not in node.commands:
                return f"no command {word}"
            node = node.commands[word]
        elif word.startswith("--"):
            own = {option for p in node.params for option in (*p.opts, *p.secondary_opts)}
            if word.partition("=")[0] not in own | settings:
                return f"no option {word}"
    return ""


def _told(page: Path) -> list[str]:
    """What follows ``freshet`` in the page's code, inline or in a block; what a command prints is passed over."""
    blocks = page.read_text().split("```")
    lines = [line for block in blocks[1::2] for line in block.splitlines()]
    code = lines + [inline for block in blocks[::2] for inline in re.findall(r"`([^`]+)`", block)]
    told = [
        m.group(1) for line in code if (m := re.match(r"(?:\$ )?freshet ((?:[\w=./:-]+ ?)+)", line.strip()))
    ]
    return [words for words in told if not re.search(r":( |$)", words)]


def test_every_command_the_documents_name_exists() -> None:
    told = [(page.name, words) for page in _pages() for words in _told(page)]
    assert len(told) > 40
    assert {(page, words): fault for page, words in told if (fault := _command(words.split()))} == {}


def test_every_metric_a_runbook_names_is_exported() -> None:
    for page in sorted(RUNBOOKS.glob("*.md")):
        asked = set(_METRIC.findall(_unquoted(page.read_text())))
        assert asked <= series() | set(families()) | _recorded(), page.name
