"""How something is measured: kinds of metrics, and who records them.

A metric is named once, in `mediagate.metrics`, and counted where the thing happens, with no word about the process:

    UPLOADS.add(outcome="approved")

Who records it goes with the context, as log fields do: a worker's activities run inside `recorded_by` the recorder of
Temporal's SDK, an API's requests inside that of its own registry. Elsewhere, as in a command, nobody records.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Protocol

Labels = Mapping[str, tuple[str, ...]]
"""Names of labels with all values that each can have; none: they are known to a deployment only."""


class Home(StrEnum):
    """Which processes count it."""

    API = "API"
    WORKER = "worker"
    BOTH = "API, worker"


@dataclass(frozen=True, eq=False)
class Metric:
    """What is measured, under one name. Values of labels are few and known: no ids, no names of libraries."""

    name: str
    help: str
    labels: Labels = field(default_factory=dict)
    home: Home = Home.WORKER

    def series(self, known: Labels) -> Iterator[dict[str, str]]:
        """Every combination of labels that can be named before anything happened; `known`: values of open labels.

        A counter whose series are there from the start, at 0, loses nothing: a rate does not see the first value of
        a series as an increase.
        """
        values = [closed or known.get(name, ()) for name, closed in self.labels.items()]
        for combination in product(*values):
            yield dict(zip(self.labels, combination, strict=True))

    def _checked(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        if labels.keys() != self.labels.keys():
            raise TypeError(f"{self.name} has the labels {sorted(self.labels)}, not {sorted(labels)}.")
        return labels


class Counter(Metric):
    """Something that happens again and again."""

    def add(self, amount: int = 1, **labels: str) -> None:
        """Count it."""
        _recorder.get().add(self, amount, self._checked(labels))


class Gauge(Metric):
    """Something that goes up and down."""

    def set(self, value: float, **labels: str) -> None:
        """Say how it stands."""
        _recorder.get().set(self, value, self._checked(labels))


@dataclass(frozen=True, eq=False)
class Histogram(Metric):
    """How values are spread. `buckets`: their upper bounds."""

    buckets: tuple[float, ...] = ()

    def observe(self, value: float, **labels: str) -> None:
        """Count a value."""
        _recorder.get().observe(self, value, self._checked(labels))


class Recorder(Protocol):
    """Where values go; thread-safe."""

    def add(self, metric: Counter, amount: int, labels: Mapping[str, str]) -> None:
        """Count."""

    def set(self, metric: Gauge, value: float, labels: Mapping[str, str]) -> None:
        """Keep the value until the next one."""

    def observe(self, metric: Histogram, value: float, labels: Mapping[str, str]) -> None:
        """Put the value into its bucket."""


class Nobody:
    """Records nothing."""

    def add(self, metric: Counter, amount: int, labels: Mapping[str, str]) -> None:
        """As it says."""

    def set(self, metric: Gauge, value: float, labels: Mapping[str, str]) -> None:
        """As it says."""

    def observe(self, metric: Histogram, value: float, labels: Mapping[str, str]) -> None:
        """As it says."""


NOBODY = Nobody()
_recorder: ContextVar[Recorder] = ContextVar("recorder", default=NOBODY)


@contextmanager
def recorded_by(recorder: Recorder) -> Iterator[None]:
    """Whatever is measured inside the block, and in tasks and threads that it starts, goes to this recorder."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)
