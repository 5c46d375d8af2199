"""Which names expressions use, and which of them are somebody else's."""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from devstack.tools import TESTS, ensure_tools
from mediagate.measuring import Histogram
from mediagate.metrics import CATALOGUE

ROOT = Path(__file__).parents[3]
OBSERVABILITY = ROOT / "deploy" / "observability"
RULES = OBSERVABILITY / "prometheus" / "rules.yaml"
DASHBOARDS = sorted((OBSERVABILITY / "grafana").glob("*.json"))

SDK = frozenset(
    {
        "temporal_activity_execution_latency_bucket",
        "temporal_activity_schedule_to_start_latency_bucket",
        "temporal_request",
        "temporal_request_failure",
        "temporal_worker_task_slots_available",
        "temporal_worker_task_slots_used",
        "temporal_workflow_completed",
        "temporal_workflow_failed",
        "temporal_workflow_task_execution_failed",
        "temporal_workflow_task_replay_latency_bucket",
        "temporal_workflow_task_schedule_to_start_latency_bucket",
    }
)
"""Of Temporal's SDK: `tests/workflows/test_metrics.py` finds each in a scrape of a real worker."""
SERVER = frozenset(
    {
        "memory_heapinuse",
        "persistence_latency_bucket",
        "persistence_requests",
        "service_error_with_type",
        "service_latency_bucket",
        "service_requests",
    }
)
"""Of the Temporal server: found in a scrape of a real one, there as well."""
PROCESS = frozenset({"process_cpu_seconds_total", "process_resident_memory_bytes"})
"""Of `prometheus_client`: `tests/api/test_metrics.py` finds them."""
ELSEWHERE = frozenset({"node_filesystem_avail_bytes", "node_filesystem_size_bytes", "up", "ALERTS"})
"""Of the node exporter (https://github.com/prometheus/node_exporter, collector `filesystem`) and of Prometheus."""

_WORDS = frozenset({"by", "or", "and", "unless", "on", "offset", "without", "ignoring", "bool", "group_left"})


class Alert(NamedTuple):
    """A rule, with its group's name."""

    group: str
    name: str
    expr: str
    severity: str
    annotations: dict[str, str]


def alerts() -> list[Alert]:
    """Every rule."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [
        Alert(group["name"], rule["alert"], rule["expr"], rule["labels"]["severity"], rule["annotations"])
        for group in groups
        for rule in group["rules"]
    ]


def panels(path: Path) -> list[dict[str, Any]]:
    """Those that show something."""
    return [panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row"]


def queries(path: Path) -> list[str]:
    """Every query of a dashboard, with its variables filled in."""
    asked = [target["expr"] for panel in panels(path) for target in panel["targets"]]
    asked += [one["expr"] for one in json.loads(path.read_text())["annotations"]["list"]]
    return [query.replace("$__rate_interval", "1m") for query in asked]


def used(expression: str) -> set[str]:
    """The names of series in a PromQL expression."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    words = re.findall(r"[A-Za-z_:][A-Za-z0-9_:]*(?!\w)(?!\s*\()", bare)
    return {word for word in words if word not in _WORDS and not re.fullmatch(r"\d+\w*|e\d+", word)}


def ours() -> Iterator[str]:
    """The names of all series of the catalogue."""
    for metric in CATALOGUE:
        if isinstance(metric, Histogram):
            yield from (f"{metric.name}{part}" for part in ("_bucket", "_sum", "_count"))
        else:
            yield metric.name


@cache
def promtool() -> Path:
    """The program, built when it is needed first."""
    return asyncio.run(ensure_tools(lambda _: None, ["promtool"], tools=TESTS)) / "promtool"


def checked(*arguments: str | Path, given: str | None = None) -> str:
    """What promtool says; fails if it finds a fault."""
    done = subprocess.run(
        [promtool(), *map(str, arguments)], input=given, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
