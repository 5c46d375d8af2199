"""Scrapes as Prometheus makes them, of a real worker and of an API process."""

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from api.app import create_app
from api.internal import Internal
from devstack.environment import applied
from mediagate import temporal
from tests.api.serving import gate_of
from tests.world import World


def free_address() -> str:
    """`host:port` on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host, port = probe.getsockname()
    return f"{host}:{port}"


@dataclass(frozen=True)
class Scrape:
    """One answer."""

    text: str

    @property
    def samples(self) -> list[Sample]:
        """Every one, under the name that it is served by: the parser calls every counter `…_total`."""
        served, found = self.names, []
        for sample in (sample for family in text_string_to_metric_families(self.text) for sample in family.samples):
            name = sample.name if sample.name in served else sample.name.removesuffix("_total")
            found.append(sample._replace(name=name))
        return found

    @property
    def names(self) -> set[str]:
        """Of the samples: `…_bucket`, `…_sum` and `…_count` for a histogram."""
        return set(re.findall(r"^([A-Za-z_:][\w:]*)", self.text, re.MULTILINE))

    def value(self, name: str, **labels: str) -> float | None:
        """Of all samples with these labels together; None if there is none."""
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        return sum(found) if found else None


async def scrape(address: str) -> Scrape:
    """Of whatever serves there."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"http://{address}/metrics")
    assert answer.status_code == 200, answer.text
    return Scrape(answer.text)


@asynccontextmanager
async def measured(world: World, services: dict[str, str], address: str, **deps: Any) -> AsyncIterator[World]:
    """The world with workers that serve their metrics; open it without workers of its own. `deps`: in place of its."""
    with applied(services):
        client = await temporal.connect(metrics_address=address)
    measured_world = replace(world, client=client)
    async with measured_world.workers(**deps):
        yield measured_world


@asynccontextmanager
async def internal_port(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the internal port of an API over this world; `GET /metrics` looks anew each time."""
    app = create_app(world.settings)
    app.state.gate = gate_of(world)
    transport = httpx.ASGITransport(Internal(app, app.state.exposition), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://internal.test") as client:
        yield client


async def scrape_api(world: World) -> Scrape:
    """Of an API process that has just started over this world."""
    async with internal_port(world) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return Scrape(answer.text)
