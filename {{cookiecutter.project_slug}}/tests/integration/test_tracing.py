"""Traces, as a real receiver gets them from real processes."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import chain
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from ledger.tasks import prune
from tests.harness.collectors import Collector, collecting
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.receivers import Receiver
from tests.harness.web import StartWeb

pytestmark = pytest.mark.integration

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@pytest.fixture
def receiver_of_traces() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def spans(collector: Collector) -> list[Any]:
    """Return all spans that have arrived."""
    found = []
    for path, body in list(collector.bodies):
        assert path == "/v1/traces"
        message = ExportTraceServiceRequest.FromString(body)
        found += [
            span
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    return found


def address(collector: Collector) -> str:
    return f"http://127.0.0.1:{collector.port}"


def test_tasks_that_follow_from_a_call_are_one_trace(
    receiver_of_traces: Collector, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("maintenance", OTEL_EXPORTER_OTLP_ENDPOINT=address(receiver_of_traces))
    first = prune.si().set(headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})

    chain(first, prune.si()).delay()

    wait_until(lambda: len(spans(receiver_of_traces)) == 2)
    one, two = sorted(
        spans(receiver_of_traces), key=lambda span: span.start_time_unix_nano
    )
    assert {one.trace_id.hex(), two.trace_id.hex()} == {TRACE}
    assert one.parent_span_id.hex() == CALLER
    assert two.parent_span_id == one.span_id
    assert one.name == prune.name


def test_web_request_and_the_task_that_it_causes_are_one_trace(
    receiver_of_traces: Collector,
    receiver: Receiver,
    worker: StartWorker,
    web: StartWeb,
    wait_until: WaitUntil,
) -> None:
    worker("io", OTEL_EXPORTER_OTLP_ENDPOINT=address(receiver_of_traces))
    served = web(OTEL_EXPORTER_OTLP_ENDPOINT=address(receiver_of_traces))

    served.post(
        "/api/notifications", {"url": receiver.url, "event": "x", "payload": {}}
    )

    wait_until(lambda: len(spans(receiver_of_traces)) == 2)
    by_kind = {span.kind: span for span in spans(receiver_of_traces)}
    request, task = by_kind[2], by_kind[5]  # SERVER, CONSUMER
    assert task.trace_id == request.trace_id
    assert task.parent_span_id == request.span_id
