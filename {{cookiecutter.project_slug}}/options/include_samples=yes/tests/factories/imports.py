"""Factories of the import domain."""

from typing import Any, cast

import factory
from django.core.files.base import ContentFile
from factory.django import DjangoModelFactory

from app.models import CaseResult, Report, ReportChunk
from app.services.imports.junit import RawCase
from tests import reports


def raw_case(position: int = 1, **fields: Any) -> RawCase:
    """Return a case as the stage `extract` leaves it."""
    case: dict[str, Any] = dict(
        position=position,
        suite="suite",
        classname="tests.test_a",
        name=f"test_{position}",
        time="0.1",
        outcome="passed",
        flaky=False,
        message="",
        details="",
    )
    return cast(RawCase, case | fields)


class ReportFactory(DjangoModelFactory[Report]):
    """A stored report of one passing case, pending; `content` is its file."""

    class Meta:
        model = Report

    class Params:
        content = reports.report(reports.case()).getvalue()

    digest = factory.Sequence("{:064d}".format)
    name = "junit.xml"
    size = factory.LazyAttribute(lambda report: len(report.content))
    upload = factory.LazyAttribute(
        lambda report: ContentFile(report.content, name="junit.xml")
    )
    chunk_size = 500


class ReportChunkFactory(DjangoModelFactory[ReportChunk]):
    """An extracted chunk of one case."""

    class Meta:
        model = ReportChunk

    report = factory.SubFactory(ReportFactory, state=Report.State.RUNNING)
    number = 1
    cases = factory.LazyFunction(lambda: [raw_case()])


class CaseResultFactory(DjangoModelFactory[CaseResult]):
    """A case that passed."""

    class Meta:
        model = CaseResult

    report = factory.SubFactory(ReportFactory)
    position = factory.Sequence(lambda number: number + 1)
    classname = "tests.test_a"
    name = factory.LazyAttribute(lambda result: f"test_{result.position}")
    outcome = CaseResult.Outcome.PASSED
    seconds = 0.1
