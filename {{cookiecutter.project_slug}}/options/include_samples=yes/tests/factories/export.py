"""Factories of the export domain."""

import factory
from factory.django import DjangoModelFactory

from app.models import Export, Report
from tests.factories.imports import ReportFactory


class ExportFactory(DjangoModelFactory[Export]):
    """A pending export of all cases of a report that is imported."""

    class Meta:
        model = Export

    report = factory.SubFactory(ReportFactory, state=Report.State.DONE)
