"""What a cluster is started from is valid and says nothing the code does not know."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "docker-compose.yml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text()))


def _environments(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service.get("environment", {}) for name, service in compose["services"].items()}


def test_the_compose_file_is_valid_by_the_compose_specification() -> None:
    command = shutil.which("docker-compose")
    if command is None:
        if os.environ.get("FRESHET_REQUIRE_COMPOSE") == "1":
            pytest.fail("no docker-compose:  sudo apt-get install docker-compose", pytrace=False)
        pytest.skip("no docker-compose:  sudo apt-get install docker-compose")
    done = subprocess.run(
        [command, "-f", str(COMPOSE), "config", "-q"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_setting_the_compose_file_names_exists(compose: dict[str, Any]) -> None:
    from streams.settings import Settings

    known = {f"FRESHET_{name.upper()}" for name in Settings.model_fields}
    named = {key for env in _environments(compose).values() for key in env if key.startswith("FRESHET_")}
    named |= set(re.findall(r"\$\{(FRESHET_\w+)", COMPOSE.read_text()))
    assert named
    assert named <= known


def test_the_services_settings_are_accepted_as_they_are(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from streams.settings import Settings

    monkeypatch.chdir("/")
    for service in ("topics", "worker", "serve"):
        for key, value in _environments(compose)[service].items():
            monkeypatch.setenv(key, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)))
        Settings()


def test_every_command_the_compose_file_runs_exists(compose: dict[str, Any]) -> None:
    from typer.main import get_command

    from streams import cli

    root = get_command(cli.app)
    for service in compose["services"].values():
        if service.get("image") == compose["x-freshet"]["image"]:
            command: Any = root
            for word in service["command"]:
                command = command.commands[word]


def test_every_long_running_service_has_a_health_check(compose: dict[str, Any]) -> None:
    without = {name for name, service in compose["services"].items() if "healthcheck" not in service}
    assert without == {"topics"}


def test_what_a_service_waits_for_and_mounts_is_there(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service.get("depends_on", [])) <= set(compose["services"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in compose["volumes"]


def test_nothing_is_published_beyond_loopback(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_redis_keeps_its_writes_and_evicts_nothing(compose: dict[str, Any]) -> None:
    command = " ".join(compose["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_prometheus_asks_the_services_at_the_ports_they_listen_on(compose: dict[str, Any]) -> None:
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    asked = {(d["names"][0], d["port"]) for job in scraped for d in job["dns_sd_configs"]}
    environments = _environments(compose)
    assert asked == {
        ("worker", environments["worker"]["FRESHET_METRICS_PORT"]),
        ("serve", environments["serve"]["FRESHET_HTTP_PORT"]),
    }


def test_grafana_finds_its_source_and_its_dashboards(compose: dict[str, Any]) -> None:
    provisioning = ROOT / "deploy/grafana/provisioning"
    source = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((provisioning / "dashboards/freshet.yml").read_text())["providers"][0]
    mounts = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounts


def test_the_image_holds_every_package_and_runs_as_nobody_special() -> None:
    image = (ROOT / "Dockerfile").read_text()
    allowed = (ROOT / ".dockerignore").read_text()
    for package in ("streams", "online_models", "serving", "evaluation"):
        assert f"COPY {package} ./{package}" in image
        assert f"!{package}" in allowed
    assert image.count("FROM ") == 2
    assert "HNSWLIB_NO_NATIVE=1" in image
    assert image.index("USER freshet") > image.rindex("FROM ")


def test_the_continuous_check_is_a_script_bash_understands() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize(
    ("present", "told"),
    [
        ([], "sudo apt-get install python3 python3-venv python3-dev"),
        (["python3.11"], "sudo apt-get install g++"),
        (["python3.11", "c++"], ""),
    ],
)
def test_a_bare_machine_is_told_the_package_it_lacks(tmp_path: Path, present: list[str], told: str) -> None:
    make = shutil.which("make")
    assert make is not None
    for name in present:
        (tmp_path / name).symlink_to(sys.executable if name.startswith("python") else "/bin/true")
    done = subprocess.run(
        [make, "-C", str(ROOT), "system", f"VENV={tmp_path / 'none'}"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told in done.stdout
    assert (done.returncode == 0) == (told == ""), done.stdout + done.stderr
