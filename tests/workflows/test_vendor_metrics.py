"""The names under which operators find vendors in real scrapes of a worker and of an API process."""

from mediagate.errors import VendorUnavailable
from tests.scraping import free_address, measured, scrape, scrape_api
from tests.vendors import AtOnceTwin, settings_of
from tests.workflows import runs
from tests.world import VENDOR, GateWith, picture


async def test_what_is_told_of_vendors(gate_with: GateWith, services: dict[str, str]) -> None:
    address, vendor = free_address(), AtOnceTwin()
    own = settings_of(vendor, breaker_failures=1, breaker_rest=1.8)
    async with gate_with(roles=(), **own) as opened:
        vendors = {VENDOR: opened.vendor, vendor.name: vendor}
        async with measured(opened, services, address, vendors=vendors) as world:
            await world.configure(policy={"ask": [vendor.name]})
            vendor.trouble = VendorUnavailable("Away.")
            media_id = await world.upload(picture())

            async def resting() -> bool:
                found = await scrape(address)
                return bool(found.value("moderation_requests_total", vendor=vendor.name, outcome="resting"))

            await runs.until(resting)
            away = await scrape_api(world)
            vendor.trouble = None
            await world.ended(media_id)
            await world.ended(await world.upload(picture()))
            found, well = await scrape(address), await scrape_api(world)
    assert away.value("vendor_breaker_state", vendor=vendor.name) == 2
    assert well.value("vendor_breaker_state", vendor=vendor.name) == 0

    def told(name: str, **labels: str) -> float | None:
        return found.value(name, vendor=vendor.name, **labels)

    requests = {o: told("moderation_requests_total", outcome=o) for o in ("failed", "answered", "cached", "refused")}
    assert requests == {"failed": 1, "answered": 1, "cached": 1, "refused": 0}
    assert told("moderation_requests_total", call="poll") == 0
    assert told("vendor_api_errors_total", kind="unavailable") == told("vendor_api_errors_total") == 1
    assert told("vendor_cache_hits_total") == 1
    assert told("vendor_cost_micros_total") == 1500
    assert told("moderation_request_duration_seconds_count") == 2
    assert told("moderation_request_duration_seconds_bucket", le="60") == 2
