"""The metrics that there are, and those that a query names."""

import re

from django_prometheus.middleware import Metrics
from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from ledger.metrics import LedgerCollector

# Prometheus' own, of every target.
OWN = {"up"}

# What follows the name of a family in the names of its samples.
_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}

_TEXT = re.compile(r'"[^"]*"')
_LABELS = re.compile(r"[{][^}]*}|\[[^]]*\]|\b(by|on|without|ignoring)\s*\([^)]*\)")
_NAME = re.compile(r"\b[a-z_][a-z0-9_]*\b(?!\s*\()", re.I)
_WORDS = {"and", "or", "unless"}


def exported() -> set[str]:
    """Return the names of everything that the service exports; needs its tables."""
    Metrics.get_instance()  # registers what the middleware counts
    web = [found for found in REGISTRY.collect() if found.name.startswith("django_")]
    return OWN.union(*map(_names, (*LedgerCollector().collect(), *web)))


def metrics_in(query: str) -> set[str]:
    """Return the metrics that a query of Prometheus names."""
    plain = _LABELS.sub(" ", _TEXT.sub("", query))
    return set(_NAME.findall(plain)) - _WORDS


def _names(family: Metric) -> set[str]:
    return {family.name + suffix for suffix in _SUFFIXES[family.type]}
