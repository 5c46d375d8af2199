"""Dashboards: whole JSON, one data source to choose, queries that parse, and series that exist."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediagate.metrics import CATALOGUE
from tests.unit.observability.names import (
    DASHBOARDS,
    ELSEWHERE,
    PROCESS,
    SDK,
    SERVER,
    alerts,
    checked,
    ours,
    panels,
    queries,
    used,
)

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    """Each of them."""
    found: Path = request.param
    return found


class TestDashboards:
    def test_there_are_four_that_differ(self) -> None:
        read: list[dict[str, Any]] = [json.loads(path.read_text()) for path in DASHBOARDS]
        assert [path.stem for path in DASHBOARDS] == ["gate", "moderation", "stores", "workers"]
        assert len({one["uid"] for one in read}) == len({one["title"] for one in read}) == 4

    def test_the_data_source_is_chosen_in_one_place(self, path: Path) -> None:
        dashboard = json.loads(path.read_text())
        [variable] = dashboard["templating"]["list"]
        assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
        assert [panel["datasource"] for panel in panels(path)] == [SOURCE] * len(panels(path))
        assert all(target["datasource"] == SOURCE for panel in panels(path) for target in panel["targets"])

    def test_panels_have_places_and_titles_of_their_own(self, path: Path) -> None:
        everything = json.loads(path.read_text())["panels"]
        assert len({panel["id"] for panel in everything}) == len(everything)
        assert len({panel["title"] for panel in everything}) == len(everything)
        taken: set[tuple[int, int]] = set()
        for panel in everything:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert at["x"] + at["w"] <= 24
            assert not cells & taken, panel["title"]
            taken |= cells

    def test_promtool_parses_every_query(self, path: Path, tmp_path: Path) -> None:
        records = [{"record": f"q{number}", "expr": query} for number, query in enumerate(queries(path))]
        file = tmp_path / "queries.yaml"
        file.write_text(yaml.safe_dump({"groups": [{"name": path.stem, "rules": records}]}))
        assert f"{len(records)} rules found" in checked("check", "rules", "--lint=none", file)

    def test_it_asks_for_series_that_exist(self, path: Path) -> None:
        names = {name for query in queries(path) for name in used(query)}
        assert names <= {*ours(), *SDK, *SERVER, *PROCESS, *ELSEWHERE}

    def test_rates_are_taken_over_what_grafana_computes(self, path: Path) -> None:
        asked = [target["expr"] for panel in panels(path) for target in panel["targets"]]
        assert [query for query in asked if "rate(" in query and "[$__rate_interval]" not in query] == []


def test_everything_that_is_measured_is_shown_or_watched() -> None:
    """A metric that nobody looks at is a cost without a use."""
    looked_at = {name for path in DASHBOARDS for query in queries(path) for name in used(query)}
    looked_at |= {name for alert in alerts() for name in used(alert.expr)}
    shown = {metric.name for metric in CATALOGUE if any(name.startswith(metric.name) for name in looked_at)}
    assert {metric.name for metric in CATALOGUE} == shown
