"""Vendors are asked at no cost, admins are told of an outage once and of its end once, and breakers are left alone."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlmodel import col

from activities.vendor_calls import switch
from activities.vendor_checks import NOBODY, VendorChecks
from db.session import Database
from db.tables import Notification, VendorCheck, now
from mediagate import wiring
from mediagate.errors import InvalidRequest, VendorUnavailable
from mediagate.moderation.findings import VendorEvent
from mediagate.settings import VendorKind
from mediagate.vendors.breaker import Breaker, BreakerState
from tests.activities.steps import Steps, perform
from tests.vendors import AtOnceTwin, CountedVendor, settings_of
from tests.wires import serving_wires
from workflows.report_messages import CheckInput

MINUTE = timedelta(minutes=1)


class Checked:
    """A vendor that is checked again and again, each time a minute later."""

    def __init__(self, steps: Steps, vendor: CountedVendor, **settings: Any) -> None:
        changed = settings_of(vendor, **settings) | {"vendor_health_failures": 3}
        self.vendor = vendor
        self.db = steps.world.db
        own = steps.deps.settings.model_copy(update=changed)
        self._checks = VendorChecks(steps.over(vendors={vendor.name: vendor}, settings=own).deps)
        self._at = now()

    async def check(self, *, repeated: bool = False) -> str:
        """What the next check brought; `repeated`: the last one is run again."""
        self._at += MINUTE * (not repeated)
        result = await perform(self._checks.check_vendors, CheckInput(at=self._at))
        return result.vendors[self.vendor.name]

    async def row(self) -> VendorCheck:
        async with self.db.transaction() as tx:
            return await tx.checks.of(self.vendor.name)

    async def told(self) -> list[tuple[str, str]]:
        """Kinds and subjects of what admins were told, in order."""
        mine = col(Notification.key).startswith(f"vendor:{self.vendor.name}:")
        async with self.db.transaction() as tx:
            rows = (
                await tx.session.scalars(select(Notification).where(mine).order_by(col(Notification.created_at)))
            ).all()
        return [(row.kind, row.subject) for row in rows]

    async def breaker(self, **state: Any) -> Breaker:
        """The breaker as it stands, or put so."""
        async with self.db.transaction() as tx:
            health = await tx.vendors.health(self.vendor.name, lock=bool(state))
            if state:
                health.keep(Breaker(**state), at=now())
            return health.breaker


@pytest.fixture
def vendor() -> CountedVendor:
    return CountedVendor()


@pytest.fixture
def checked(steps: Steps, vendor: CountedVendor) -> Checked:
    return Checked(steps, vendor)


AWAY = VendorUnavailable("The moderation vendor answered 503 Service Unavailable.")


class TestAsking:
    async def test_all_kinds_by_a_call_that_submits_nothing(self, steps: Steps, tmp_path: Path) -> None:
        async with serving_wires(tmp_path) as wires:
            names = {kind: f"{kind.value}-{uuid4().hex[:8]}" for kind in VendorKind}
            vendors = {names[kind]: wires.vendors[kind.value] for kind in VendorKind}
            own = steps.deps.settings.model_copy(update={"vendors": vendors, "vendor_name": names[VendorKind.GENERIC]})
            async with wiring.open_vendors(own) as opened:
                checks = VendorChecks(steps.over(vendors=opened, settings=own).deps)
                found = (await perform(checks.check_vendors, CheckInput())).vendors
            calls = {kind: (await wires.counts(kind.value)).calls for kind in VendorKind}
        polled = {VendorKind.GENERIC, VendorKind.HIVE}
        assert found == {names[kind]: "answers" if kind in polled else "not_asked" for kind in VendorKind}
        assert calls == {kind: int(kind in polled) for kind in VendorKind}

    async def test_of_nobody_whom_it_knows(self, checked: Checked, vendor: CountedVendor) -> None:
        assert await checked.check() == "answers"
        assert (vendor.polls, vendor.calls, vendor.submissions) == ([NOBODY], 0, {})
        row = await checked.row()
        assert (row.at, row.answered_at == row.at, row.detail) == (row.answered_at, True, "")

    async def test_a_refusal_of_what_it_does_not_know_is_an_answer(
        self, checked: Checked, vendor: CountedVendor
    ) -> None:
        vendor.trouble = InvalidRequest("The moderation vendor answered 400 Bad Request.")
        assert await checked.check() == "answers"

    async def test_silence_is_none(self, steps: Steps) -> None:
        checked = Checked(steps, Silent(), timeout=0.05)
        assert await checked.check() == "fails"
        assert (await checked.row()).detail == "The moderation vendor did not answer within 0.05 s."

    async def test_one_that_answers_at_once_is_not_asked(self, steps: Steps) -> None:
        checked = Checked(steps, twin := AtOnceTwin())
        assert (await checked.check(), twin.polls) == ("not_asked", [])
        assert (await checked.row()).answered_at is None

    async def test_one_that_a_person_holds_is_not_asked(self, checked: Checked, vendor: CountedVendor) -> None:
        await switch(checked.db, vendor.name, BreakerState.OPEN, by="ada")
        vendor.trouble = AWAY
        assert [await checked.check() for _ in range(4)] == ["held"] * 4
        assert (vendor.polls, await checked.told()) == ([], [])

    async def test_nor_one_that_rests(self, checked: Checked, vendor: CountedVendor) -> None:
        await checked.breaker(state=BreakerState.OPEN, failures=5, until=now() + timedelta(hours=1), turn=1)
        assert (await checked.check(), vendor.polls) == ("resting", [])


class Silent(CountedVendor):
    """Never answers."""

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:
        await asyncio.Event().wait()
        return []


class TestBreakers:
    @pytest.mark.parametrize(
        "state",
        [
            {"failures": 4},
            {"state": BreakerState.OPEN, "failures": 5, "until": now() - MINUTE, "turn": 1},
            {"state": BreakerState.HALF_OPEN, "failures": 5, "until": now() + MINUTE, "turn": 2},
        ],
        ids=["nearly open", "rested", "being probed"],
    )
    @pytest.mark.parametrize("trouble", [None, AWAY], ids=["answered", "failed"])
    async def test_a_check_leaves_them_as_they_are(
        self, checked: Checked, vendor: CountedVendor, state: dict[str, Any], trouble: VendorUnavailable | None
    ) -> None:
        before = await checked.breaker(**state)
        vendor.trouble = trouble
        await checked.check()
        assert (len(vendor.polls), await checked.breaker()) == (1, before)


class TestTelling:
    async def test_once_for_an_outage_and_once_for_its_end(self, checked: Checked, vendor: CountedVendor) -> None:
        vendor.trouble = AWAY
        assert [await checked.check() for _ in range(2)] == ["fails"] * 2
        assert await checked.told() == []
        for _ in range(3):
            await checked.check()
        down = ("system_alert", f"Alert: The vendor {vendor.name} does not answer")
        assert await checked.told() == [down]
        vendor.trouble = None
        for _ in range(2):
            await checked.check()
        assert await checked.told() == [down, ("alert_over", f"Over: The vendor {vendor.name} is well again")]

    async def test_the_next_outage_is_another(self, checked: Checked, vendor: CountedVendor) -> None:
        for trouble in (AWAY, None) * 2:
            vendor.trouble = trouble
            for _ in range(3):
                await checked.check()
        assert [kind for kind, _ in await checked.told()] == ["system_alert", "alert_over"] * 2

    async def test_a_check_that_runs_twice_is_one(self, checked: Checked, vendor: CountedVendor) -> None:
        vendor.trouble = AWAY
        for _ in range(2):
            await checked.check()
            await checked.check(repeated=True)
        assert ((await checked.row()).failures, len(vendor.polls)) == (2, 2)

    async def test_two_at_the_same_time_tell_once(self, checked: Checked, vendor: CountedVendor) -> None:
        vendor.trouble = AWAY
        for _ in range(2):
            await checked.check()
        await asyncio.gather(checked.check(), checked.check(repeated=True), checked.check(repeated=True))
        assert ((await checked.row()).failures, len(await checked.told())) == (3, 1)

    async def test_a_breaker_that_calls_opened_is_told_at_once(self, checked: Checked, vendor: CountedVendor) -> None:
        await checked.breaker(state=BreakerState.OPEN, failures=5, until=now() + timedelta(hours=1), turn=1)
        for _ in range(2):
            await checked.check()
        opened = ("system_alert", f"Alert: The vendor {vendor.name} is not called: its circuit breaker is open")
        assert await checked.told() == [opened]
        await checked.breaker(state=BreakerState.OPEN, failures=5, until=now(), turn=1)  # it rested, nobody tried it
        assert (await checked.check(), await checked.told()) == ("answers", [opened])
        await checked.breaker(turn=3)
        await checked.check()
        assert len(await checked.told()) == 2

    async def test_what_it_says(self, checked: Checked, vendor: CountedVendor, db: Database) -> None:
        vendor.trouble = AWAY
        for _ in range(3):
            await checked.check()
        vendor.trouble = None
        await checked.check()
        mine = col(Notification.key).startswith(f"vendor:{vendor.name}:")
        async with db.transaction() as tx:
            query = select(Notification).where(mine).order_by(col(Notification.created_at))
            down, well = (await tx.session.scalars(query)).all()
        assert "Detail: The moderation vendor answered 503 Service Unavailable." in down.body.splitlines()
        since = next(line for line in down.body.splitlines() if line.startswith("Since: "))
        assert since in well.body.splitlines()
        assert (down.library_id, down.by_mail, down.mailed_at) == (None, True, None)
