"""The names under which operators find vendors in a real scrape of a worker."""

import socket
from dataclasses import replace

import httpx
import pytest

from devstack.environment import applied
from mediagate import temporal
from mediagate.errors import VendorUnavailable
from tests.vendors import AtOnceTwin, settings_of
from tests.workflows import runs
from tests.world import VENDOR, GateWith, picture


@pytest.fixture
def address() -> str:
    """A free one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host, port = probe.getsockname()
    return f"{host}:{port}"


async def scraped(address: str, vendor: str) -> dict[str, float]:
    """The samples of a vendor, by name and the labels that are ours; those of several activities are added up."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"http://{address}/metrics")).text
    found: dict[str, float] = {}
    for line in text.splitlines():
        if f'vendor="{vendor}"' in line:
            name, _, rest = line.partition("{")
            labels, _, value = rest.rpartition("} ")
            own = [label for label in labels.split(",") if label.startswith(("outcome=", "kind=", "le="))]
            key = name + "".join(f"{{{label}}}" for label in sorted(own))
            found[key] = found.get(key, 0) + float(value)
    return found


async def test_what_a_worker_tells_of_its_vendors(gate_with: GateWith, services: dict[str, str], address: str) -> None:
    with applied(services):
        client = await temporal.connect(metrics_address=address)
    vendor = AtOnceTwin()
    own = settings_of(vendor, breaker_failures=1, breaker_rest=1.8)
    async with gate_with(roles=(), **own) as opened:
        world = replace(opened, client=client)
        await world.configure(policy={"ask": [vendor.name]})
        vendor.trouble = VendorUnavailable("Away.")
        async with world.workers(vendors={VENDOR: world.vendor, vendor.name: vendor}):
            media_id = await world.upload(picture())

            async def resting() -> bool:
                return 'moderation_requests_total{outcome="resting"}' in await scraped(address, vendor.name)

            await runs.until(resting)
            away = await scraped(address, vendor.name)
            vendor.trouble = None
            await world.ended(media_id)
            await world.ended(await world.upload(picture()))
            found = await scraped(address, vendor.name)
    assert away["vendor_breaker_state"] == 2
    assert found == found | {
        'moderation_requests_total{outcome="failed"}': 1,
        'moderation_requests_total{outcome="answered"}': 1,
        'moderation_requests_total{outcome="cached"}': 1,
        'vendor_api_errors_total{kind="unavailable"}': 1,
        "vendor_cache_hits_total": 1,
        "vendor_cost_micros_total": 1500,
        "vendor_breaker_state": 0,
        "moderation_request_duration_seconds_count": 2,
        'moderation_request_duration_seconds_bucket{le="60"}': 2,
    }
