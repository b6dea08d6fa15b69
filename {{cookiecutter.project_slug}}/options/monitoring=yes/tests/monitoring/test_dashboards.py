"""Dashboards show what the service exports."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.promtool import FOLDER, promtool
from tests.monitoring.queries import exported, metrics_in

FILES = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))


def panels(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(file.read_text())["panels"]
    return found


def queries(file: Path) -> list[str]:
    return [target["expr"] for panel in panels(file) for target in panel["targets"]]


def test_there_is_one_for_each_part_of_the_service() -> None:
    names = ["ledger", "queues", "service", "tasks", "workers"]

    assert [file.stem for file in FILES] == names


@pytest.mark.django_db
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_panel_asks_for_metrics_that_exist(file: Path) -> None:
    for query in queries(file):
        assert metrics_in(query), query
        assert metrics_in(query) <= exported(), query


def test_every_query_is_one_that_prometheus_understands(tmp_path: Path) -> None:
    asked = [query for file in FILES for query in queries(file)]
    rules = [
        {"record": f"query_{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(asked)
    ]
    written = tmp_path / "rules.yml"
    # JSON is YAML.
    written.write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))

    assert f"{len(asked)} rules found" in promtool("check", "rules", written)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_panels_do_not_overlap_and_have_the_provisioned_source(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(file):
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        rows = range(place["y"], place["y"] + place["h"])
        cells = {(column, row) for column in columns for row in rows}
        assert columns.stop <= 24 and taken.isdisjoint(cells), panel["title"]
        assert panel["datasource"]["uid"] == "prometheus"
        taken |= cells
