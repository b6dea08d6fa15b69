"""The stages, each by itself and twice."""

from typing import Any

import pytest
from django.db.models import QuerySet

from app.models import CaseResult, RejectedCase, Report, ReportChunk
from app.services import imports
from app.services.imports import stages
from tests import reports
from tests.factories.imports import ReportChunkFactory, ReportFactory, raw_case

pytestmark = pytest.mark.django_db

State = ReportChunk.State


def stored(*cases: str, chunk_size: int = 500) -> Report:
    return ReportFactory.create(
        content=reports.report(*cases).getvalue(), chunk_size=chunk_size
    )


def positions(chunk: ReportChunk) -> list[int]:
    return [case["position"] for case in chunk.cases]


def through_all_stages(chunk: ReportChunk) -> None:
    for stage in (imports.validate, imports.transform, imports.load):
        stage(chunk.report_id, chunk.number)
    chunk.refresh_from_db()


def test_extract_cuts_the_cases_into_chunks_in_the_order_of_the_file() -> None:
    report = stored(*reports.passing(5), chunk_size=2)

    assert imports.extract(report.pk) == 3

    report.refresh_from_db()
    chunks = report.chunks.order_by("number")
    assert [positions(chunk) for chunk in chunks] == [[1, 2], [3, 4], [5]]
    assert (report.total_chunks, report.bytes_read) == (3, report.size)


def test_extract_of_a_report_without_cases_leaves_no_chunk() -> None:
    report = stored()

    assert imports.extract(report.pk) == 0

    report.refresh_from_db()
    assert report.total_chunks == 0


def test_extract_twice_changes_nothing_the_second_time() -> None:
    report = stored(*reports.passing(3), chunk_size=2)

    imports.extract(report.pk)
    before = list(report.chunks.order_by("pk").values())

    assert imports.extract(report.pk) == 2
    assert list(report.chunks.order_by("pk").values()) == before


def test_extract_that_was_interrupted_is_completed_by_a_repetition() -> None:
    report = stored(*reports.passing(5), chunk_size=2)
    imports.extract(report.pk)
    report.chunks.filter(number=3).delete()
    Report.objects.update(total_chunks=None)
    first = report.chunks.get(number=1)
    through_all_stages(first)

    assert imports.extract(report.pk) == 3

    states = report.chunks.order_by("number").values_list("state", flat=True)
    assert list(states) == [State.LOADED, State.EXTRACTED, State.EXTRACTED]


def test_extract_stops_at_a_truncated_file_and_names_the_place() -> None:
    whole = reports.report(*reports.passing(5)).getvalue()
    report = ReportFactory.create(content=whole[:-40])

    with pytest.raises(imports.InvalidReport, match="ends too early: .* line 5"):
        imports.extract(report.pk)

    report.refresh_from_db()
    assert report.total_chunks is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": ""}, "it has no name"),
        ({"name": " \n"}, "it has no name"),
        ({"time": "soon"}, "time 'soon': not a number of seconds"),
        ({"time": "-1"}, "time '-1': negative"),
    ],
)
def test_validate_puts_a_bad_case_aside_and_keeps_the_others(
    fields: dict[str, Any], reason: str
) -> None:
    cases = [raw_case(1), raw_case(2, **fields), raw_case(3)]
    chunk = ReportChunkFactory.create(cases=cases)

    assert imports.validate(chunk.report_id, chunk.number) == 1

    chunk.refresh_from_db()
    rejected = RejectedCase.objects.get()
    assert (chunk.state, positions(chunk)) == (State.VALIDATED, [1, 3])
    assert rejected.position == 2
    assert rejected.reason.startswith(reason)


def test_transform_brings_a_case_into_the_form_of_the_table() -> None:
    case = raw_case(
        name=" test a\n [x]",
        classname="",
        suite="suite / inner",
        time="1,234.5",
        outcome="failed",
        details="Error: no\n  at line 1",
    )
    chunk = ReportChunkFactory.create(state=State.VALIDATED, cases=[case])

    imports.transform(chunk.report_id, chunk.number)

    chunk.refresh_from_db()
    assert chunk.state == State.TRANSFORMED
    assert chunk.cases == [
        {
            "position": 1,
            "suite": "suite / inner",
            "classname": "suite / inner",
            "name": "test a [x]",
            "outcome": "failed",
            "seconds": 1234.5,
            "flaky": False,
            "message": "Error: no",
            "details": "Error: no\n  at line 1",
        }
    ]


def test_load_writes_the_results_and_empties_the_chunk() -> None:
    chunk = ReportChunkFactory.create(cases=[raw_case(1), raw_case(2, time=None)])

    through_all_stages(chunk)

    results = CaseResult.objects.order_by("position")
    assert [result.seconds for result in results] == [0.1, None]
    assert (chunk.state, chunk.cases) == (State.LOADED, [])


def test_every_stage_delivered_twice_has_one_effect() -> None:
    chunk = ReportChunkFactory.create(cases=[raw_case(1), raw_case(2, name="")])

    for stage in (imports.validate, imports.transform, imports.load):
        stage(chunk.report_id, chunk.number)
        stage(chunk.report_id, chunk.number)

    assert (CaseResult.objects.count(), RejectedCase.objects.count()) == (1, 1)


def test_chunk_loaded_again_from_its_beginning_has_one_effect() -> None:
    cases = [raw_case(1), raw_case(2, name="")]
    chunk = ReportChunkFactory.create(cases=cases)
    through_all_stages(chunk)
    ReportChunk.objects.update(state=State.EXTRACTED, cases=cases)

    through_all_stages(chunk)

    assert (CaseResult.objects.count(), RejectedCase.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("stage", "state"),
    [
        (imports.validate, State.EXTRACTED),
        (imports.transform, State.VALIDATED),
        (imports.load, State.TRANSFORMED),
    ],
)
def test_stage_that_another_worker_overtook_changes_nothing(
    stage: Any, state: ReportChunk.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = (
        stages._normalise(raw_case())
        if state == State.TRANSFORMED
        else raw_case(name="")
    )
    chunk = ReportChunkFactory.create(state=state, cases=[case])
    read = stages._chunk

    def overtaken(report_id: int, number: int) -> ReportChunk:
        as_read = read(report_id, number)
        ReportChunk.objects.update(state=State.LOADED, cases=[])
        return as_read

    monkeypatch.setattr(stages, "_chunk", overtaken)

    stage(chunk.report_id, chunk.number)

    chunk.refresh_from_db()
    assert (chunk.state, chunk.cases) == (State.LOADED, [])
    assert not CaseResult.objects.exists()
    assert not RejectedCase.objects.exists()


def test_stage_whose_predecessor_has_not_run_changes_nothing() -> None:
    chunk = ReportChunkFactory.create()

    imports.load(chunk.report_id, chunk.number)
    imports.transform(chunk.report_id, chunk.number)

    chunk.refresh_from_db()
    assert chunk.state == State.EXTRACTED


def test_results_and_state_of_a_chunk_are_written_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = stages._normalise(raw_case())
    chunk = ReportChunkFactory.create(state=State.TRANSFORMED, cases=[case])

    def crash(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(QuerySet, "bulk_create", crash)

    with pytest.raises(MemoryError):
        imports.load(chunk.report_id, chunk.number)

    chunk.refresh_from_db()
    assert (chunk.state, chunk.cases) == (State.TRANSFORMED, [case])


def test_only_chunks_that_are_not_loaded_are_still_to_load() -> None:
    report = ReportFactory.create()
    for number, state in (
        (2, State.EXTRACTED),
        (1, State.TRANSFORMED),
        (3, State.LOADED),
    ):
        ReportChunkFactory.create(report=report, number=number, state=state)

    assert imports.chunks_to_load(report.pk) == [1, 2]
