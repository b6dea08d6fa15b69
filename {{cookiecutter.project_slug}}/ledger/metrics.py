"""The ledger as metrics of Prometheus: what `manage.py metrics` serves.

All of it is read from the tables, at each scrape and for all hosts at once, so that it needs
neither ports in workers nor files that processes share, and tells the truth of work that no
worker knows of.
Names follow https://prometheus.io/docs/practices/naming/.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from celery import current_app
from django.db import InterfaceError, OperationalError, ProgrammingError, connection
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric

from config import queues
from ledger import gauges
from ledger.states import FINAL
from ledger.tally import Counts, Label, Tally, active

# What the code does not know shares one label: anybody who can send a message could
# otherwise make as many series as they like.
OTHER = "other"

_BY_TASK = ("task", "queue")


class LedgerCollector:
    """A collector of `prometheus_client`."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._lock = threading.Lock()
        self._known = _known_tasks()

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering it does not ask the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield everything; of a database that does not answer, that it does not."""
        with self._lock:
            found: list[Metric] = []
            try:
                found += self._now()
            except (InterfaceError, OperationalError, ProgrammingError):
                connection.close()
            up = GaugeMetricFamily("database_up", "Whether the database answered.")
            up.add_metric((), float(bool(found)))
            yield up
            yield from self._counters()
            yield from found

    def _now(self) -> Iterator[Metric]:
        runs = active()
        self._tally.update(runs)
        yield self._runs(runs)
        yield from _queues()
        yield from _workers()
        yield from _ledger()

    def _runs(self, found: dict[Label, Any]) -> Metric:
        gauge = GaugeMetricFamily(
            "queue_runs", "Runs that have not ended.", labels=("queue", "state")
        )
        totals: dict[tuple[str, str], int] = defaultdict(int)
        for queue in queues.QUEUES:
            for state in ("pending", "queued", "running"):
                totals[queue.name, state] = 0
        for label, state_of in found.items():
            for state, count in state_of.runs.items():
                totals[self._labels(label)[1], state] += count
        for labels, count in totals.items():
            gauge.add_metric(labels, count)
        return gauge

    def _counters(self) -> Iterator[Metric]:
        counts = self._by_known_label()
        for name, text in _EVENTS.items():
            counter = CounterMetricFamily(f"task_{name}", text, labels=_BY_TASK)
            for labels, count in counts.items():
                happened = sum(
                    one.ended[name] if name in one.ended else getattr(one, name)
                    for one in count
                )
                counter.add_metric(labels, happened)
            yield counter
        for name, text in _DURATIONS.items():
            histogram = HistogramMetricFamily(
                f"task_{name}_seconds", text, labels=_BY_TASK
            )
            for labels, count in counts.items():
                _add_histogram(histogram, labels, [getattr(one, name) for one in count])
            yield histogram

    def _by_known_label(self) -> dict[Label, list[Counts]]:
        """Return the counts by what may be a label, also those that are still zero.

        A counter must exist before it counts: the step from nothing to 1 is no increase.
        """
        found: dict[Label, list[Counts]] = {label: [Counts()] for label in self._known}
        for label, counts in self._tally.counts.items():
            found.setdefault(self._labels(label), []).append(counts)
        return found

    def _labels(self, label: Label) -> Label:
        task, queue = label
        names = {queue.name for queue in queues.QUEUES}
        tasks = {task for task, _ in self._known}
        return (
            task if task in tasks else OTHER,
            queue if queue in names else OTHER,
        )


_EVENTS = {
    "enqueued": "Runs that were stored, or replayed.",
    "started": "Runs that a worker began; a retry is the same run.",
    "retried": "Retries.",
    **{state.value: f"Runs that ended: {state.label}." for state in sorted(FINAL)},
}

_DURATIONS = {
    "waiting": "From when a run might have started to when it did.",
    "running": "From the last start of a run to its end.",
}


def _known_tasks() -> set[Label]:
    app: Any = current_app
    app.loader.import_default_modules()
    return {
        (name, app.amqp.router.route({}, name, task_type=type(task))["queue"].name)
        for name, task in app.tasks.items()
        if not name.startswith("celery.")
    }


def _add_histogram(family: Any, labels: Label, histograms: list[Any]) -> None:
    cumulated = [list(one.cumulated()) for one in histograms]
    buckets = [
        (steps[0][0], sum(count for _, count in steps))
        for steps in zip(*cumulated, strict=True)
    ]
    family.add_metric(labels, buckets, sum(one.seconds for one in histograms))


def _queues() -> Iterator[Metric]:
    oldest = GaugeMetricFamily(
        "queue_oldest_due_seconds",
        "For how long the run that waits longest could have been started.",
        labels=("queue",),
    )
    messages = GaugeMetricFamily(
        "queue_messages", "Messages that wait in the broker.", labels=("queue",)
    )
    up = GaugeMetricFamily("broker_up", "Whether the broker answered.")
    states = gauges.queue_states()
    up.add_metric((), float(gauges.count_messages(states)))
    for name, state in states.items():
        oldest.add_metric((name,), state.oldest_due_seconds)
        if state.messages is not None:
            messages.add_metric((name,), state.messages)
    yield from (oldest, messages, up)


def _workers() -> Iterator[Metric]:
    by_worker = {
        "worker_processes": "Processes of a worker's pool.",
        "worker_busy": "Processes that execute a run.",
        "worker_memory_bytes": "Memory of a worker with all its processes.",
    }
    found = gauges.worker_states()
    for name, text in by_worker.items():
        gauge = GaugeMetricFamily(name, text, labels=("worker", "queues"))
        for worker in found:
            value = getattr(worker, name.removeprefix("worker_"))
            if value is not None:
                gauge.add_metric((worker.name, ",".join(worker.queues)), value)
        yield gauge
    serving = GaugeMetricFamily(
        "queue_workers", "Workers that serve a queue.", labels=("queue",)
    )
    for queue in queues.QUEUES:
        count = sum(queue.name in worker.queues for worker in found)
        serving.add_metric((queue.name,), count)
    yield serving


def _ledger() -> Iterator[Metric]:
    ledger, beat = gauges.ledger(), gauges.beat()
    for name, text, value in (
        ("ledger_outbox_seconds", "Age of what is due and not rung.", ledger[0]),
        ("ledger_leases", "Runs that a worker holds.", ledger.leases),
        ("ledger_lapsed_leases", "Leases that ran out.", ledger.lapsed),
        ("beat_entries", "Enabled entries of the schedule.", beat.entries),
        ("beat_lag_seconds", "By how much the latest tick is late.", beat.lag_seconds),
    ):
        yield GaugeMetricFamily(name, text, value=value)
