"""The Helm chart names settings, commands and pages that exist, and renders to what Kubernetes takes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.settings import Settings

CHART = Path(__file__).resolve().parent.parent / "deploy" / "kubernetes" / "freshet"
KUBERNETES = ("--kube-version", "1.30.0")


def _templates() -> str:
    return "\n".join(path.read_text() for path in sorted((CHART / "templates").iterdir()))


def _values() -> dict[str, Any]:
    return dict(yaml.safe_load((CHART / "values.yaml").read_text()))


@pytest.fixture(scope="module")
def helm() -> str:
    found = shutil.which("helm") or shutil.which("helm", path=str(Path.home() / "go" / "bin"))
    if found is None:
        if os.environ.get("FRESHET_REQUIRE_HELM") == "1":
            pytest.fail("no helm:  https://helm.sh/docs/intro/install", pytrace=False)
        pytest.skip("no helm:  https://helm.sh/docs/intro/install")
    return found


def _rendered(helm: str, *more: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [helm, "template", "shop", str(CHART), *KUBERNETES, *more],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def _only(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def test_the_chart_says_what_it_is_and_its_values_are_readable() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["name"], chart["apiVersion"]) == ("freshet", "v2")
    assert {"settings", "secrets", "worker", "api", "snapshots"} <= set(_values())


def test_every_setting_the_chart_names_exists_and_is_accepted() -> None:
    known = {f"FRESHET_{name.upper()}" for name in Settings.model_fields}
    named = set(re.findall(r"FRESHET_[A-Z_]+[A-Z]", _templates()))
    assert named <= known
    values = _values()
    assert {f"FRESHET_{name.upper()}" for name in values["settings"]} <= known
    assert set(values["secrets"]["values"]) <= known
    Settings(**values["settings"])


def test_no_secret_is_among_the_plain_settings() -> None:
    secret = {name for name, field in Settings.model_fields.items() if "Secret" in str(field.annotation)}
    assert not secret & set(_values()["settings"])


def test_templates_are_balanced() -> None:
    text = re.sub(r"\{\{/\*.*?\*/\}\}", "", _templates(), flags=re.DOTALL)
    opened = re.findall(r"\{\{-?\s*(?:if|with|range|define)\b", text)
    assert len(opened) == len(re.findall(r"\{\{-?\s*end\b", text))


def test_helm_finds_no_fault_with_it(helm: str) -> None:
    done = subprocess.run(
        [helm, "lint", "--strict", *KUBERNETES, str(CHART)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_workers_are_scaled_by_the_lag_of_their_group_and_never_beyond_the_partitions(helm: str) -> None:
    documents = _rendered(helm, "--set", "settings.partitions=8", "--set", "settings.namespace=shop")
    scaled = _only(documents, "ScaledObject", "shop-worker")["spec"]
    assert scaled["maxReplicaCount"] == 8
    (trigger,) = scaled["triggers"]
    assert trigger["metadata"]["consumerGroup"] == "shop-fold"
    assert trigger["metadata"]["topic"] == "shop.events"
    assert "replicas" not in _only(documents, "Deployment", "shop-worker")["spec"]


def test_every_pod_is_probed_limited_and_runs_as_nobody_special(helm: str) -> None:
    documents = _rendered(helm)
    for name in ("shop-worker", "shop-api"):
        pod = _only(documents, "Deployment", name)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
        assert container["resources"]["limits"]["memory"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/var/lib/freshet"}


def test_budgets_the_service_and_the_autoscaler_mean_pods_that_exist(helm: str) -> None:
    documents = _rendered(helm)
    labels = _only(documents, "Deployment", "shop-api")["spec"]["template"]["metadata"]["labels"]
    assert _only(documents, "Service", "shop-api")["spec"]["selector"].items() <= labels.items()
    budget = _only(documents, "PodDisruptionBudget", "shop-api")["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    target = _only(documents, "HorizontalPodAutoscaler", "shop-api")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-api"}


def test_a_secret_of_ones_own_and_a_volume_of_ones_own_take_the_place_of_the_charts(helm: str) -> None:
    own = (
        "--set",
        "secrets.existing=mine",
        "--set",
        "snapshots.existingClaim=disk",
        "--set",
        "tls.secret=ca",
    )
    documents = _rendered(helm, *own, "--set", "worker.autoscaling.enabled=false")
    assert {d["kind"] for d in documents} & {"Secret", "PersistentVolumeClaim", "ScaledObject"} == set()
    worker = _only(documents, "Deployment", "shop-worker")["spec"]
    assert worker["replicas"] == 2
    (container,) = worker["template"]["spec"]["containers"]
    assert {"secretRef": {"name": "mine"}} in container["envFrom"]
    assert {"name": "tls", "mountPath": "/etc/freshet/tls", "readOnly": True} in container["volumeMounts"]
