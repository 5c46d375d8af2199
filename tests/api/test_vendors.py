"""How vendors do, what they cost, the switch, and new secrets for their webhooks."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from db.tables import now
from mediagate import wiring
from mediagate.access.api_keys import Scope
from mediagate.media.values import Status
from mediagate.vendors.breaker import Breaker, BreakerState
from tests.api.serving import PREFIX, assert_problem, bearer, gate_of, serving
from tests.vendors import CountedVendor, settings_of
from tests.world import VENDOR, World, issue_key, picture, signed

URL = f"{PREFIX}/vendors"


@pytest.fixture
async def operator(quiet_world: World) -> dict[str, str]:
    """The header with an admin's key for all libraries."""
    return bearer(await issue_key(quiet_world.db, None, Scope.ADMIN))


@pytest.fixture
def vendor() -> CountedVendor:
    """A vendor that no other test knows."""
    return CountedVendor(cost_micros=1500, texts=True)


@pytest.fixture
async def http(quiet_world: World, vendor: CountedVendor, operator: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """An API that has this vendor beside the world's own, for the operator."""
    gate = gate_of(quiet_world)
    settings = gate.settings.model_copy(update=settings_of(vendor, calls_per_second=4))
    wider = replace(gate, settings=settings, vendors={**gate.vendors, vendor.name: vendor})
    async with serving(wider, headers=operator) as client:
        yield client


class TestVendors:
    async def test_each_with_its_state_and_what_it_took(
        self, quiet_world: World, http: httpx.AsyncClient, vendor: CountedVendor
    ) -> None:
        async with quiet_world.db.transaction() as tx:
            await tx.vendors.count(vendor.name, quiet_world.library.id, calls=3, failures=1, cost_micros=3000)
        answer = await http.get(URL)
        assert answer.status_code == 200
        page = answer.json()
        assert page["next_cursor"] is None
        own, added = page["items"]
        assert (own["name"], own["kind"], own["state"]) == ("memory", "generic", "closed")
        used = {"calls": 3, "failures": 1, "cached": 0, "cost_micros": 3000}
        assert added | {"capabilities": None} == {
            "name": vendor.name,
            "kind": "generic",
            "state": "closed",
            "failures": 0,
            "open_until": None,
            "held_by": "",
            "changed_at": None,
            "last_error": "",
            "last_error_at": None,
            "calls_per_second": 4.0,
            "today": used,
            "this_month": used,
            "capabilities": None,
        }
        assert (added["capabilities"]["texts"], added["capabilities"]["cost_micros"]) == (True, 1500)

    async def test_a_breaker_that_its_failures_opened(
        self, quiet_world: World, http: httpx.AsyncClient, vendor: CountedVendor
    ) -> None:
        until = now()
        async with quiet_world.db.transaction() as tx:
            health = await tx.vendors.health(vendor.name, lock=True)
            health.keep(Breaker(state=BreakerState.OPEN, failures=5, until=until), at=until)
            health.last_error = "Away."
        shown = (await http.get(URL)).json()["items"][1]
        assert (shown["state"], shown["failures"], shown["last_error"]) == ("open", 5, "Away.")
        assert shown["open_until"] == until.isoformat().replace("+00:00", "Z")


class TestTheSwitch:
    async def test_off_and_on_each_any_number_of_times(self, http: httpx.AsyncClient, vendor: CountedVendor) -> None:
        url = f"{URL}/{vendor.name}/breaker"
        off = [(await http.post(url, json={"state": "open"})).json() for _ in range(2)]
        assert [(one["state"], one["held_by"], one["open_until"]) for one in off] == [("open", "tester", None)] * 2
        assert off[0] == off[1]
        on = [(await http.post(url, json={"state": "closed"})).json() for _ in range(2)]
        assert [(one["state"], one["held_by"]) for one in on] == [("closed", "")] * 2

    @pytest.mark.parametrize("body", [{"state": "half_open"}, {"state": "off"}, {}, {"state": "open", "x": 1}, []])
    async def test_what_is_no_position_of_it(
        self, http: httpx.AsyncClient, vendor: CountedVendor, body: object
    ) -> None:
        assert_problem(await http.post(f"{URL}/{vendor.name}/breaker", json=body), 422, "invalid_request")

    async def test_of_nobody(self, http: httpx.AsyncClient) -> None:
        answer = await http.post(f"{URL}/nobody/breaker", json={"state": "open"})
        assert_problem(answer, 404, "not_found")

    async def test_under_an_idempotency_key(self, http: httpx.AsyncClient, vendor: CountedVendor) -> None:
        url, headers = f"{URL}/{vendor.name}/breaker", {"Idempotency-Key": uuid4().hex}
        first = await http.post(url, json={"state": "open"}, headers=headers)
        await http.post(url, json={"state": "closed"})
        again = await http.post(url, json={"state": "open"}, headers=headers)
        assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
        assert (await http.get(URL)).json()["items"][1]["state"] == "closed"


OLD, NEW = (SecretStr("whsec_" + base64.b64encode(letter * 32).decode()) for letter in (b"o", b"n"))
ROTATION: list[tuple[list[SecretStr], list[SecretStr], SecretStr]] = [
    ([OLD], [OLD], OLD),
    ([OLD, NEW], [OLD], OLD),
    ([OLD, NEW], [OLD, NEW], OLD),
    ([OLD, NEW], [OLD, NEW], NEW),
    ([NEW], [OLD, NEW], NEW),
    ([NEW], [NEW], NEW),
]
"""The steps of docs/runbooks/vendors.md: the secrets of two API processes that are restarted one after the other, and
what the vendor signs with."""


class TestRotation:
    async def taken(self, world: World, secrets: list[SecretStr], signs: SecretStr) -> int:
        """The status with which a process with these secrets answers a webhook."""
        settings = world.settings.model_copy(update={"vendors": {}, "vendor_webhook_secrets": tuple(secrets)})
        gate, url = gate_of(world), f"{PREFIX}/webhooks/moderation/{VENDOR}"
        media_id = await world.seal(picture(), status=Status.APPROVED)
        body = json.dumps(world.event(media_id)).encode()
        async with (
            wiring.open_vendors(settings) as vendors,
            serving(replace(gate, settings=settings, vendors=vendors)) as client,
        ):
            return (await client.post(url, content=body, headers=signed(body, secret=signs))).status_code

    async def test_at_no_step_a_webhook_is_refused(self, quiet_world: World) -> None:
        for first, second, signs in ROTATION:
            assert [await self.taken(quiet_world, secrets, signs) for secrets in (first, second)] == [200, 200]

    async def test_after_the_last_one_the_old_secret_opens_nothing(self, quiet_world: World) -> None:
        assert await self.taken(quiet_world, [NEW], OLD) == 401

    async def test_before_the_first_one_the_new_secret_opens_nothing(self, quiet_world: World) -> None:
        assert await self.taken(quiet_world, [OLD], NEW) == 401
