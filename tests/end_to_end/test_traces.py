"""One click is one trace: from its producer through the fold to the slate that comes out, over a real collector."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry import trace

from streams import tracing
from streams.client import EventProducer
from tests.end_to_end.harness import Deployment, until
from tests.support.collector import collector


def test_a_clicks_trace_goes_from_its_producer_through_the_fold_to_the_published_slate(
    deploy: Callable[..., Deployment], kafka: str, redis_url: str
) -> None:
    with collector() as told:
        deployment = deploy(kafka, redis_url, otlp_endpoint=told.endpoint, recommend_n=3)
        deployment.worker()
        deployment.wait_for_claims([0] * 4)
        ours = tracing.exporting(told.endpoint, "shop")
        with (
            EventProducer.of(deployment.settings, tracing=ours) as producer,
            ours.tracer.start_as_current_span("visit") as visit,
        ):
            for k in range(6):
                producer.item(f"i{k}", title=f"Item {k}")
            click = producer.click("alice", "i1")
        ours.close()
        mine = trace.format_trace_id(visit.get_span_context().trace_id)
        slate = deployment.slate_of("alice", click)
        ns = deployment.settings.namespace
        last = f"send {ns}.recommendations"
        told.wait(lambda: last in told.of(mine))
        [record] = [r for r in deployment.read("recommendations") if b"alice" in r.key]
        exposed = deployment.read("exposures")
        spans = told.of(mine)
        told.wait(lambda: any(s.name == "fold batch" and mine in s.links for s in told.spans))

    def parents(name: str) -> list[str]:
        by_id = {s.span: s for s in told.spans if s.trace == mine}
        found, at = [], spans[name]
        while at.parent in by_id:
            at = by_id[at.parent]
            found.append(at.name)
        return found

    assert slate["items"]
    assert parents(last) == ["slate", f"fold {ns}.events", f"send {ns}.events", "visit"]
    assert parents("rank")[0] == "slate" and "retrieve" in spans and "re-rank" in spans
    assert (spans["visit"].service, spans["slate"].service) == ("shop", "freshet-worker")
    assert {mine in dict(r.headers)["traceparent"].decode() for r in (record, *exposed)} == {True}
    folds = {
        s.span for s in told.spans if s.name == "fold batch" and mine in s.links
    }  # of the click, of the exposure
    below = {s.name for s in told.spans if s.parent in folds}
    assert {"redis read_many", "redis commit"} <= below
    everything = " ".join(f"{s.name} {s.attributes}" for s in told.spans)
    assert "alice" not in everything and click not in everything, "no personal data in traces"


def test_a_slate_made_by_a_process_of_its_own_is_in_the_trace_of_its_click(
    deploy: Callable[..., Deployment], kafka: str, redis_url: str
) -> None:
    with collector() as told:
        deployment = deploy(
            kafka,
            redis_url,
            otlp_endpoint=told.endpoint,
            recommend_n=3,
            slate_process=True,
            slate_process_from=0.0,
        )
        worker = deployment.worker()
        deployment.wait_for_claims([0] * 4)
        until(lambda: "by a process of their own" in worker.log.read_text(), 60, deployment.logs)
        ours = tracing.exporting(told.endpoint, "shop")
        with EventProducer.of(deployment.settings, tracing=ours) as producer:
            for k in range(6):
                producer.item(f"i{k}", title=f"Item {k}")
            for k in range(6):
                producer.click(f"other-{k}", f"i{k}")
            deployment.settle()
            with ours.tracer.start_as_current_span("visit") as visit:
                click = producer.click("alice", "i1")
        ours.close()
        mine = trace.format_trace_id(visit.get_span_context().trace_id)
        deployment.slate_of("alice", click)
        last = f"send {deployment.settings.namespace}.recommendations"
        told.wait(lambda: {last, "hand over"} <= set(told.of(mine)))
        spans = told.of(mine)
    assert spans["slate"].service == "freshet-slates"
    assert spans["hand over"].service == "freshet-worker"
    assert (spans[last].parent, spans["slate"].parent) == (spans["slate"].span, spans["hand over"].span)
