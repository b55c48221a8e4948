"""What two processes of one worker have measured, as one: counts are added, a gauge is the worker's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_ADDED = frozenset(
    {"process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds"}
)  # gauges of which the sum is meant
_COUNTS = frozenset({"counter", "histogram", "summary"})
_NEVER_ADDED = "_created"  # when a count began


class Merged:
    """A registry and the text of another process's, to be exposed together.

    >>> from prometheus_client import Counter, generate_latest
    >>> registry = CollectorRegistry()
    >>> Counter("slates", "Made", registry=registry).inc(2)
    >>> other = lambda: b"# TYPE slates_total counter\\nslates_total 3.0\\n"
    >>> [line for line in generate_latest(Merged(registry, other)).decode().splitlines() if line[0] != "#"][0]
    'slates_total 5.0'
    """

    def __init__(self, registry: CollectorRegistry, other: Callable[[], bytes]) -> None:
        self._registry, self._other = registry, other

    def collect(self) -> Iterator[Metric]:
        """All families, as of now."""
        others = {family.name: family for family in text_string_to_metric_families(self._other().decode())}
        for own in self._registry.collect():
            other = others.pop(own.name, None)
            if other is not None and (own.type in _COUNTS or own.name in _ADDED):
                own.samples = list(_added(own.samples, other.samples))
            yield own
        yield from others.values()

    def restricted_registry(self, names: Iterable[str]) -> Merged:
        """The same: all is told to who asks for some."""
        return self


def _added(own: Iterable[Sample], other: Iterable[Sample]) -> Iterator[Sample]:
    more = {_key(sample): sample for sample in other}
    for sample in own:
        same = more.pop(_key(sample), None)
        if same is None or sample.name.endswith(_NEVER_ADDED):
            yield sample
        else:
            yield sample._replace(value=sample.value + same.value)
    yield from more.values()


def _key(sample: Sample) -> tuple[str, frozenset[tuple[str, str]]]:
    return sample.name, frozenset(sample.labels.items())
