"""What this process measures, in Prometheus' text format: its own registry, its requests, `/metrics`."""

import time
from collections.abc import Mapping

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mediagate import __version__, metrics
from mediagate.measuring import Counter, Gauge, Histogram, Home, Metric, recorded_by

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Others are `other`: a label is not what a caller likes."""
UNROUTED = "none"
"""The route of a request that has none."""

prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]  # they would be a second series for each counter


class PrometheusRecorder:
    """Records metrics of the gate's own in a registry; see `mediagate.measuring.Recorder`.

    Gauges that only an API has are not here: they are told by `api.metrics_census` when somebody asks.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._counters: dict[Counter, prometheus.Counter] = {}
        self._gauges: dict[Gauge, prometheus.Gauge] = {}
        self._histograms: dict[Histogram, prometheus.Histogram] = {}
        for metric in metrics.CATALOGUE:
            self._declare(metric)
        self.set(metrics.BUILD_INFO, 1, {"version": __version__, "process": "api"})

    def _declare(self, metric: Metric) -> None:
        # What only workers count is kept for code that both run, and is shown nowhere.
        shown = None if metric.home is Home.WORKER else self.registry
        labels = list(metric.labels)
        if isinstance(metric, Counter):
            family = self._counters[metric] = prometheus.Counter(metric.name, metric.help, labels, registry=shown)
            for series in metric.series({}) if labels else ():
                family.labels(**series)
        elif isinstance(metric, Histogram):
            self._histograms[metric] = prometheus.Histogram(
                metric.name, metric.help, labels, registry=shown, buckets=metric.buckets
            )
        elif isinstance(metric, Gauge) and metric.home is not Home.API:
            self._gauges[metric] = prometheus.Gauge(metric.name, metric.help, labels, registry=shown)

    def add(self, metric: Counter, amount: int, labels: Mapping[str, str]) -> None:
        """Count."""
        family = self._counters[metric]
        (family.labels(**labels) if labels else family).inc(amount)

    def set(self, metric: Gauge, value: float, labels: Mapping[str, str]) -> None:
        """Keep the value until the next one."""
        family = self._gauges[metric]
        (family.labels(**labels) if labels else family).set(value)

    def observe(self, metric: Histogram, value: float, labels: Mapping[str, str]) -> None:
        """Put the value into its bucket."""
        family = self._histograms[metric]
        (family.labels(**labels) if labels else family).observe(value)


class Measured:
    """ASGI middleware: counts requests and their times by route, and whatever is measured inside of them."""

    def __init__(self, app: ASGIApp, *, recorder: PrometheusRecorder) -> None:
        self._app = app
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            with recorded_by(self._recorder):
                await self._app(scope, receive, send)
            return
        status, began = 0, time.monotonic()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with recorded_by(self._recorder):
            try:
                await self._app(scope, receive, noting)
            finally:
                method, path = scope["method"] if scope["method"] in METHODS else "other", route(scope)
                metrics.HTTP_SECONDS.observe(time.monotonic() - began, method=method, route=path)
                answer = f"{status // 100}xx" if status else "none"
                metrics.HTTP_REQUESTS.add(method=method, route=path, status=answer)


def route(scope: Scope) -> str:
    """The template of the route that was taken, as in `docs/api.md`; never the path, which has ids in it."""
    found = scope.get("route")
    if found is None:
        return UNROUTED
    prefix = "/api/v1"
    return (prefix if scope["path"].startswith(f"{prefix}/") else "") + str(found.path)
