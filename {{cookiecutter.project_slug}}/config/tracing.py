"""Traces go to an OTLP receiver; imported only when `OTEL_EXPORTER_OTLP_ENDPOINT` is set.

A web request, the tasks that it enqueues and all that follows from them are one trace. The
trace travels in the row of a run, as the request id does: OpenTelemetry's own library for
Celery adds it where a message is published, which may be long after the call and in another
process.
"""

from typing import Any

from celery import Task, signals
from opentelemetry import context, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.re import parse_env_headers

from config import health
from ledger.call import before_enqueue, queue_of

_tracer = trace.get_tracer("app.tasks")

# https://www.w3.org/TR/trace-context/
_HEADERS = ("traceparent", "tracestate")

# The attribute of `task.request` that holds the span, and what it replaced.
_SPAN = "service_span"


def start(*, endpoint: str, headers: str, ratio: float, service: str) -> None:
    """Send traces from now on.

    Args:
        endpoint: address of the receiver; `/v1/traces` follows.
        headers: for the receiver, such as its credentials: `name=value`, with commas between.
        ratio: of the traces that are kept, 0 to 1.
        service: the name of this one.
    """
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}),
        sampler=ParentBased(TraceIdRatioBased(ratio)),
    )
    exporter = OTLPSpanExporter(
        endpoint=f"{endpoint.rstrip('/')}/v1/traces",
        headers=parse_env_headers(headers, liberal=True),
    )
    # Its thread begins anew in each process of a pool.
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(
        excluded_urls=",".join((health.ALIVE, health.READY))
    )
    for signal, handler in (
        (before_enqueue, _add_trace),
        (signals.before_task_publish, _add_trace),
        (signals.task_prerun, _begin),
        (signals.task_retry, _note_retry),
        (signals.task_failure, _note_failure),
        (signals.task_postrun, _end),
    ):
        signal.connect(handler, dispatch_uid=f"tracing.{handler.__name__}")

    def flush(**kwargs: Any) -> None:
        provider.force_flush()

    # A process of a pool ends without the handlers of Python's own exit.
    signals.worker_process_shutdown.connect(flush, weak=False, dispatch_uid="tracing")


def _add_trace(headers: dict[str, Any], **kwargs: Any) -> None:
    """Let a call belong to the trace of its caller; a retry belongs where its run does."""
    if _HEADERS[0] not in headers:
        propagate.inject(headers)


def _begin(task: Task[Any, Any], **kwargs: Any) -> None:
    request = task.request
    sent = {name: request.get(name) for name in _HEADERS if request.get(name)}
    routing_key = (request.delivery_info or {}).get("routing_key") or ""
    span = _tracer.start_span(
        task.name,
        context=propagate.extract(sent),
        kind=SpanKind.CONSUMER,
        attributes={
            "messaging.system": "celery",
            "messaging.destination.name": queue_of(routing_key),
            "messaging.message.id": str(request.id),
            "task.attempt": (request.retries or 0) + 1,
        },
    )
    token = context.attach(trace.set_span_in_context(span))
    request.update({_SPAN: (span, token)})


def _note_retry(reason: Any, **kwargs: Any) -> None:
    cause = getattr(reason, "exc", None) or reason
    trace.get_current_span().add_event("retry", {"reason": type(cause).__name__})


def _note_failure(exception: BaseException, **kwargs: Any) -> None:
    # Its name only: the text may be personal.
    trace.get_current_span().set_status(
        Status(StatusCode.ERROR, type(exception).__name__)
    )


def _end(task: Task[Any, Any], **kwargs: Any) -> None:
    held = task.request.get(_SPAN)
    if held is not None:
        span, token = held
        span.end()
        context.detach(token)
