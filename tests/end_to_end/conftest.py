"""Deployments of real parts, and the events that are replayed into them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from evaluation.datasets import open_dataset
from evaluation.wire import events
from tests.end_to_end.harness import Deployment, Event


@pytest.fixture(scope="session")
def movielens(data_dir: Path) -> list[Event]:
    """The 100,000 MovieLens ratings as events, in order of time."""
    records = open_dataset(data_dir / "ml-100k.inter.gz").records.in_time_order()
    return list(events(iter(records), source="ml"))


@pytest.fixture
def deploy(namespace: str, tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """Makes a deployment of its own; its workers end with the test."""
    with ExitStack() as ended:

        def make(kafka: str, redis_url: str, **given: Any) -> Deployment:
            deployment = Deployment(kafka, redis_url, namespace, tmp_path, given)
            ended.callback(deployment.close)
            return deployment

        yield make
