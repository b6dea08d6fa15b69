"""The order of an import, and what happens when a step fails.

    import_report
      extract_cases
      process_chunks ─┬─ validate_chunk ─ transform_chunk ─ load_chunk   chunk 1 ─┐
                      ├─ …                                               chunk 2 ─┤
                      └─ …                                               chunk n ─┴─ summarise_report

Messages carry ids only; the cases stay in the database. A step that fails for good calls
`fail_report`, and nothing after it runs. Every step may be started twice, if its worker
dies: what is done is found done.
"""

from celery import Signature, chain, chord

from app.services import imports
from app.tasks.import_tasks import fail_report, summarise_report
from app.tasks.utils.retry_policies import DATABASE
from app.workflows.data_pipeline.extract import extract_cases
from app.workflows.data_pipeline.load import load_chunk
from app.workflows.data_pipeline.transform import transform_chunk
from app.workflows.data_pipeline.validate import validate_chunk
from ledger.decorator import shared_task
from ledger.task import DurableTask


def start(report_id: int) -> None:
    """Have a stored report imported in the background, unless it is being imported.

    Args:
        report_id: primary key of a `Report`; called in the transaction that stores it.
    """
    import_report.delay(report_id)


@shared_task(
    bind=True,
    name="app.workflows.data_pipeline.orchestrator.import_report",
    queue="fast",
    unique_key="import:{report_id}",
    idempotent="by nature: it only starts tasks that may run twice",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=DATABASE.errors,
    max_retries=DATABASE.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=25,
    time_limit=30,
)
def import_report(self: DurableTask[[int], int], report_id: int) -> int:
    """Import a report; this task ends when the whole import has ended.

    Args:
        report_id: primary key of a `Report`; one that is done or failed is left alone.

    Returns:
        How many cases the report brought in; 0 if there was nothing to do.
    """
    if not imports.begin(report_id):
        return 0
    steps: Signature[int] = chain(
        extract_cases.si(report_id), process_chunks.si(report_id)
    )
    steps.link_error(fail_report.s(report_id=report_id))
    return self.replace(steps)


@shared_task(
    bind=True,
    name="app.workflows.data_pipeline.orchestrator.process_chunks",
    queue="fast",
    idempotent="by nature: it only starts tasks that may run twice",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=DATABASE.errors,
    max_retries=DATABASE.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=25,
    time_limit=30,
)
def process_chunks(self: DurableTask[[int], int], report_id: int) -> int:
    """Send the chunks of a report through their stages in parallel, then summarise.

    Args:
        report_id: primary key of a `Report` whose chunks are extracted.

    Returns:
        How many cases the report brought in.
    """
    numbers = imports.chunks_to_load(report_id)
    summarise = summarise_report.si(report_id)
    summarise.link_error(fail_report.s(report_id=report_id))
    # The summary has this task's error callback now; `replace` would link it to the chord
    # as a whole, whose meaning is about to change:
    # https://docs.celeryq.dev/en/stable/userguide/configuration.html#task-allow-error-cb-on-chord-header
    self.request.errbacks = None
    if not numbers:
        return self.replace(summarise)
    steps: Signature[int] = chord(
        [_chunk_stages(report_id, number) for number in numbers], summarise
    )
    return self.replace(steps)


def _chunk_stages(report_id: int, number: int) -> Signature[int]:
    stages = chain(
        validate_chunk.si(report_id, number),
        transform_chunk.si(report_id, number),
        load_chunk.si(report_id, number),
    )
    stages.link_error(fail_report.s(report_id=report_id, chunk=number))
    return stages
