"""What traces cost: a slate and a fetch of records, without them, with unsampled and with sampled contexts.

``python -m bench.tracing``; in one process, the exporter throws the spans away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from statistics import median
from typing import Any, cast

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from bench.stages import Stages
from bench.traffic import Traffic
from online_models.history import UserRecord
from serving.types import SlateRequest
from streams import traced, tracing
from streams.publish import Publisher
from streams.settings import Settings
from streams.transport_batch import Batch, Record

ROUNDS = 400
_CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0{}"


class Nowhere(SpanExporter):
    """Takes spans, keeps none."""

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Idle:
    """An ingest that does nothing, so that only what stands around it is measured."""

    async def batch(self, batch: Batch) -> None:
        return None

    async def serve_owed(self, owed: Any) -> None:
        return None

    answer = batch


def slate_us(stages: Stages, ours: tracing.Tracing | None, sampled: int) -> float:
    """The median time of a slate, us."""
    record = UserRecord()
    for item in range(10):
        record.act(item, 1 << 40)
    times = []
    for k in range(ROUNDS):
        request = SlateRequest(request_id=f"r{k}", user_id=f"u{k % 50}", surface="default", n=20)
        begun = time.perf_counter()
        if ours is None:
            stages.recommender.recommend(request, record, 1 << 40)
        else:
            above = tracing.of_headers({"traceparent": _CONTEXT.format(sampled)})
            with ours.tracer.start_as_current_span("slate", tracing.within(above)):
                stages.recommender.recommend(request, record, 1 << 40)
        times.append(1e6 * (time.perf_counter() - begun))
    return median(times)


def batch_us(headers: tuple[tuple[str, bytes], ...], ours: tracing.Tracing | None) -> float:
    """The median time around the fold of 100 records, us a record."""
    ingest: Any = Idle()
    if ours is not None:
        traced.worker(ours, ingest, cast(Publisher, Idle()))
    value = b'{"type":"click","event_id":"e-1","user_id":"u","ts":1,"item_id":"i"}'
    batch = Batch("t", 0, 1, 0, 100, tuple(Record(k, 0, b"u", value, headers) for k in range(100)))

    async def run() -> float:
        times = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            await ingest.batch(batch)
            times.append(1e4 * (time.perf_counter() - begun))
        return median(times)

    return asyncio.run(run())


def main() -> None:
    """Print the table."""
    stages = Stages(Settings())
    queue = []
    for record in Traffic(start_ms=1 << 40, step_ms=2.0):
        queue.append(record)
        if len(queue) == 20_000:
            break
    for at in range(0, len(queue), 500):
        stages.batch(0, queue[at : at + 500])
    ours = tracing.to(Nowhere(), "bench")
    slate_us(stages, None, 0)  # warm
    print(f"{'slate, no traces':<44}{slate_us(stages, None, 0):9.1f} us")
    traced.pipeline(ours, stages.recommender)
    for sampled, told in ((0, "unsampled"), (1, "sampled")):
        print(f"{f'slate, {told}':<44}{slate_us(stages, ours, sampled):9.1f} us")
    of = {
        told: (("traceparent", _CONTEXT.format(k).encode()),)
        for k, told in enumerate(("unsampled", "sampled"))
    }
    print(f"{'around the fold, no traces':<44}{batch_us((), None):9.3f} us a record")
    for told, headers in {"no context": (), **of}.items():
        print(f"{f'around the fold, {told}':<44}{batch_us(headers, ours):9.3f} us a record")


if __name__ == "__main__":
    main()
