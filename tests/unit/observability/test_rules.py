"""Alert rules: right by promtool, with a page each, and about series that exist."""

import re

import pytest

from activities.deps import Deps
from activities.registry import build_activities
from mediagate import errors
from mediagate.measuring import Histogram
from mediagate.metrics import CATALOGUE
from tests.api.serving import routes
from tests.unit.observability.names import (
    ELSEWHERE,
    OBSERVABILITY,
    ROOT,
    SDK,
    SERVER,
    Alert,
    alerts,
    checked,
    ours,
    used,
)

PAGES = ROOT / "docs" / "runbooks" / "alerts"
TESTS = OBSERVABILITY / "prometheus" / "tests" / "alerts.yaml"


def page_of(alert: Alert) -> str:
    """`runs-failed.md`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert.name).lower() + ".md"


class TestRules:
    def test_promtool_takes_configuration_and_rules(self) -> None:
        said = checked("check", "config", "--lint=all", "--lint-fatal", OBSERVABILITY / "prometheus.yaml")
        assert f"{len(alerts())} rules found" in said

    def test_each_alert_fires_when_it_should_and_only_then(self) -> None:
        assert "SUCCESS" in checked("test", "rules", TESTS)

    @pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
    def test_each_alert_is_tested(self, alert: Alert) -> None:
        text = TESTS.read_text()
        asked = f'expr: ALERTS{{alertname="{alert.name}",alertstate="firing"}}\n        exp_samples:'
        assert f"{asked} []" in text
        assert f"{asked}\n" in text

    @pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
    def test_what_people_read(self, alert: Alert) -> None:
        assert alert.severity in {"critical", "warning"}
        assert set(alert.annotations) == {"summary", "description", "runbook_url"}
        assert alert.annotations["runbook_url"] == f"docs/runbooks/alerts/{page_of(alert)}"
        page = (PAGES / page_of(alert)).read_text()
        assert page.startswith(f"# {alert.name}\n\nSeverity {alert.severity}")
        assert f"`{alert.group}`" in page
        assert re.findall("^## (.*)$", page, re.MULTILINE) == [
            "What it means",
            "Impact",
            "How to look",
            "How to mend",
        ]

    def test_every_page_has_its_alert(self) -> None:
        assert {page.name for page in PAGES.iterdir()} == {page_of(alert) for alert in alerts()}

    @pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
    def test_links_of_the_page_lead_somewhere(self, alert: Alert) -> None:
        targets = re.findall(r"\]\(([^)#]+)\)", (PAGES / page_of(alert)).read_text())
        assert [target for target in targets if not (PAGES / target).exists()] == []

    @pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
    def test_it_is_about_series_that_exist(self, alert: Alert) -> None:
        assert used(alert.expr) <= {*ours(), *SDK, *SERVER, *ELSEWHERE}

    @pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
    def test_it_is_about_labels_and_values_that_exist(self, alert: Alert) -> None:
        known = {
            "step": {activity.__name__ for role in build_activities(_NOTHING).values() for activity in role},
            "error": {_code(name) for name in vars(errors)},
            "route": {path for _, path in routes()},
        }
        by_name = {metric.name: metric for metric in CATALOGUE}
        for name, matchers in re.findall(r'([a-z_]+)\{((?:[^}"]|"[^"]*")*)\}', alert.expr):
            metric = by_name.get(re.sub("_(bucket|count|sum)$", "", name)) or by_name.get(name)
            if metric is None:
                continue
            for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"((?:[^"\\]|\\.)*)"', matchers):
                assert label in metric.labels or (label == "le" and isinstance(metric, Histogram))
                if operator in {"=", "!="} and (values := set(metric.labels[label]) or known.get(label)):
                    assert value in values


class TestUsedNames:
    @pytest.mark.parametrize(
        ("expression", "names"),
        [
            ("sum by (a, le) (rate(x_total{b=\"y\",c=~'z.*'}[5m])) > 0.2 * max(w)", {"x_total", "w"}),
            ("time() - max(t) > 600 or absent(t)", {"t"}),
            ('up{job=~"a|b"} == 0', {"up"}),
            ("topk(8, histogram_quantile(0.95, sum by (r, le) (rate(h_bucket[1m]))))", {"h_bucket"}),
            ("rate(c[1m]) * 3600 / 1e6", {"c"}),
            ('x{route="/a/{b}/c"} > 1', {"x"}),
        ],
    )
    def test_of_an_expression(self, expression: str, names: set[str]) -> None:
        assert used(expression) == names


def _code(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


_NOTHING: Deps = None  # type: ignore[assignment]  # names of activities are known without a world
