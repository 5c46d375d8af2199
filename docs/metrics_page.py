"""The page about metrics, made from the catalogue."""

from mediagate.measuring import Histogram, Home, Metric
from mediagate.metrics import CATALOGUE

INTRODUCTION = """\
# Metrics

Made by `make docs` from `mediagate/metrics.py`. Times are seconds. Labels name closed sets or what a deployment is
set up with (vendors, steps, routes): never media, people or libraries, so that the number of series does not grow
with use.

| who | where | what |
|---|---|---|
| API | `http://MEDIAGATE_INTERNAL_ADDRESS/metrics` | requests, its process; what waits in the whole deployment |
| worker | `http://MEDIAGATE_METRICS_ADDRESS/metrics` | steps, decisions, vendors; Temporal's SDK (`temporal_…`) |
| Temporal server | `global.metrics.prometheus` of its configuration | `service_…`, `persistence_…` and more |

Nobody is asked for a key there: these are addresses that the public does not reach. The API's own port has no
metrics, unless `MEDIAGATE_METRICS_PUBLIC` is true. `mediagate dev` serves all three on loopback; `stack.json` names
them as `metrics_urls`.

Gauges of the API (but for its own database connections) tell of the whole deployment, and every API process tells the
same: take their `max`, never their `sum`. Database and Temporal are asked for them at most every 15 seconds and only
when somebody scrapes; a part that does not answer delays no scrape: `mediagate_collected` is 0, and what only that
part knows is left out. Counting ends at 10,000.

Counters begin at 0 with the process, with all series that can be named by then. Counters of something that is stored
are counted after the commit; a process that is killed in between counts one too few.

- [Alert rules](../deploy/observability/prometheus/rules.yaml) with a [page for each](runbooks/alerts), their
  [tests](../deploy/observability/prometheus/tests/alerts.yaml), and [what to
  scrape](../deploy/observability/prometheus.yaml).
- [Dashboards](../deploy/observability/grafana) for Grafana: the gate, vendors and moderation, workers and Temporal,
  storage and database. Import the files, or let Grafana's provisioning read the folder; they ask for a Prometheus
  data source.
- `temporal_…`: [SDK metrics](https://docs.temporal.io/references/sdk-metrics), here in seconds. The server's:
  [cluster metrics](https://docs.temporal.io/references/cluster-metrics). `node_…`: [node
  exporter](https://github.com/prometheus/node_exporter).
- `appeals_…`, `reputation_changes_total` and `content_reports_total` are there and stay 0: nothing counts them yet.

"""


def page() -> str:
    """All of it."""
    lines = ["| name | kind | labels | of | |", "|---|---|---|---|---|"]
    return INTRODUCTION + "\n".join([*lines, *map(_row, CATALOGUE)]) + "\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(
        f"`{name}`" + (f" ({', '.join(values)})" if 0 < len(values) <= 7 else "")
        for name, values in metric.labels.items()
    )
    kind = type(metric).__name__.lower()
    if isinstance(metric, Histogram):
        kind += f", {metric.buckets[0]:g}…{metric.buckets[-1]:g}"
    home = {Home.API: "API", Home.WORKER: "worker", Home.BOTH: "both"}[metric.home]
    return f"| `{metric.name}` | {kind} | {labels} | {home} | {metric.help} |"
