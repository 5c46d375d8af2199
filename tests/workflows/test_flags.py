"""Kill switches where the work is done: what is left out while one is off, and that no worker is restarted for it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from temporalio.service import RPCError

from activities.importing import Importing
from activities.notifying import Notifying
from activities.sweeping import Sweeping
from db.flag_feed import open_flags
from db.flags import delete_flag, put_flag
from db.repositories.audit import Actor
from db.session import Database
from db.tables import Library, Notification
from mediagate.flagging import Flags
from mediagate.flags import BUILT_IN, Flag, Switch
from mediagate.media.values import Status, Verdict
from mediagate.moderation.findings import HASH_BANKS, LOCAL_VENDOR, TEXT_DETECTOR
from mediagate.settings import Settings
from tests.activities.steps import Steps, perform
from tests.activities.test_detecting_banks import bank, file_of
from tests.activities.test_moderation import Asking
from tests.imports import importing, junk, planned, stocked
from tests.unit.classifier.models import RED, colour_model, jpeg, write
from tests.vendors import AtOnceTwin
from tests.workflows import runs
from tests.world import PATIENCE, GateWith, World, picture
from workflows.import_messages import AdvanceInput, ListInput
from workflows.messages import SweepInput
from workflows.names import renditions_id

ADA = Actor("ada", "cli:ada")
ITEM_STEPS = (Switch.RENDITIONS, Switch.HASH_BANKS, Switch.TEXT_RULES)
RULES: dict[str, Any] = {"blocklists": {"slurs": {"category": "hate", "entries": ["scum"], "action": "review"}}}


def off(*switches: Switch) -> list[Flag]:
    """The flags of switches that somebody disabled."""
    return [BUILT_IN[switch].model_copy(update={"enabled": False}) for switch in switches]


async def skipped(world: World, media_id: str) -> list[str]:
    """The steps that an item's timeline says it went without."""
    async with world.db.transaction() as tx:
        lines = await tx.media.timeline(UUID(media_id))
    return sorted(line.data["step"] for line in lines if line.kind == "skipped")


@pytest.fixture
async def steps(gate_with: GateWith) -> AsyncIterator[Steps]:
    """The activities without workers."""
    async with gate_with(roles=()) as world:
        yield Steps(world)


class TestARunningWorker:
    """Its flags come from the database; it is the same worker all the time."""

    @pytest.fixture
    async def fed(self, db: Database, stack_settings: Settings) -> AsyncIterator[Flags]:
        """Flags as a worker has them; switches are put back afterwards."""
        async with open_flags(db, stack_settings.database_url.get_secret_value(), environment="") as flags:
            yield flags
        async with db.transaction() as tx:
            await tx.session.execute(text("DELETE FROM flag WHERE name = ANY(:names)"), {"names": [*Switch]})

    async def test_steps_are_left_out_while_they_are_off_and_done_once_they_are_on(
        self, gate_with: GateWith, fed: Flags
    ) -> None:
        async with gate_with(roles=()) as world, world.workers(flags=fed):
            await world.configure(text=RULES, images={"siblings": ["webp"], "build": "eager"})
            data = picture(400, 300, seed=41)
            await bank(Steps(world), file_of(data), action=Verdict.REJECT)
            for flag in off(*ITEM_STEPS):
                await put_flag(world.db, flag, version=0, actor=ADA)
            await self._until(fed, on=False)
            media_id = await self._published(world, data)
            assert await skipped(world, media_id) == sorted(ITEM_STEPS)
            with pytest.raises(RPCError, match="not found"):
                await world.client.get_workflow_handle(renditions_id(media_id)).describe()

            for switch in ITEM_STEPS:
                await delete_flag(world.db, switch, actor=ADA)
            await self._until(fed, on=True)
            rejected = await world.upload(data, caption="such scum")
            assert (await world.ended(rejected))["status"] == Status.REJECTED
            heard = {finding["vendor"] for finding in (await world.read(rejected))["decision"]["findings"]}
            assert {HASH_BANKS, TEXT_DETECTOR} <= heard
            assert await skipped(world, rejected) == []
            other = await self._published(world, picture(400, 300, seed=42), caption="")
            await world.client.get_workflow_handle(renditions_id(other)).result()

    async def _published(self, world: World, data: bytes, caption: str = "such scum") -> str:
        media_id = await world.upload(data, caption=caption)
        await runs.stage(world, media_id, Status.AWAITING_MODERATION)
        await world.webhook(world.event(media_id))
        assert (await world.ended(media_id))["status"] == Status.APPROVED
        return media_id

    async def _until(self, flags: Flags, *, on: bool) -> None:
        async def seen() -> bool:
            return all(flags.on(switch) is on for switch in ITEM_STEPS)

        async with asyncio.timeout(PATIENCE / 4):  # sooner than the poll
            await runs.until(seen)


class TestSteps:
    async def test_for_one_library_only(self, steps: Steps, other: Library) -> None:
        rule = {"conditions": [{"attribute": "library", "op": "eq", "value": other.slug}], "variant": "off"}
        flag = Flag.model_validate({**BUILT_IN["hash-banks"].model_dump(), "rules": [rule]})
        steps.deps.flags.provider.replace([flag])
        assert await skipped(steps.world, await steps.rendered()) == []
        own = {**rule, "conditions": [{"attribute": "library", "op": "eq", "value": steps.world.library.slug}]}
        steps.deps.flags.provider.replace([Flag.model_validate({**flag.model_dump(), "rules": [own]})])
        assert await skipped(steps.world, await steps.rendered()) == ["hash-banks"]

    @pytest.fixture
    async def other(self, db: Database) -> Library:
        """Another tenant."""
        async with db.transaction() as tx:
            return await tx.access.ensure_library(f"other-{uuid4().hex[:12]}", name="Other", settings={})

    async def test_a_step_that_runs_again_is_noted_once(self, steps: Steps) -> None:
        steps.deps.flags.provider.replace(off(Switch.HASH_BANKS))
        media_id = await steps.rendered()
        await perform(steps.rendering.verify_and_render, steps.ref(media_id))
        assert await skipped(steps.world, media_id) == ["hash-banks"]

    async def test_short_links_are_judged_as_they_stand(self, steps: Steps) -> None:
        steps.deps.flags.provider.replace(off(Switch.LINK_EXPANSION))
        await steps.world.configure(text={**RULES, "expand_links": True})
        media_id = await steps.world.seal(picture(), caption="scum https://bit.ly/never-asked")
        result = await perform(steps.rendering.verify_and_render, steps.ref(media_id))
        assert [event.labels for event in result.events] == [("text:slurs",)]
        assert await skipped(steps.world, media_id) == ["link-expansion"]

    async def test_the_vendor_is_asked_again_about_what_it_has_seen(self, steps: Steps) -> None:
        asking = Asking(steps, AtOnceTwin())
        await asking.shown()
        steps.deps.flags.provider.replace(off(Switch.VENDOR_RESULT_CACHE))
        again, _ = await asking.shown()
        assert (asking.vendor.calls, (await asking.row(again)).cached_from) == (2, None)
        steps.deps.flags.provider.replace([])
        await asking.shown()
        assert asking.vendor.calls == 2


class TestMails:
    @pytest.fixture
    def db(self, own_db: Database) -> Database:
        return own_db

    async def test_they_wait_until_they_are_on_again(self, steps: Steps) -> None:
        world, flags = steps.world, steps.deps.flags.provider
        note = Notification(library_id=world.library.id, key=uuid4().hex, kind="system_alert", subject="A", body="B")
        async with world.db.transaction() as tx:
            note = await tx.notifications.put(note)
        sweeping, now = Sweeping(steps.deps, steps.notifying), SweepInput(mail_after=timedelta(0))
        flags.replace(off(Switch.NOTIFICATIONS_MAIL))
        await Notifying(steps.deps).mail(note)
        assert (await perform(sweeping.sweep, now)).mailed == 0
        assert world.mailer.sent == []
        flags.replace([])
        await perform(sweeping.sweep, now)
        assert f"<{note.id}@" in "".join(mail.message_id for mail in world.mailer.sent)


class TestTheLocalClassifier:
    async def test_off_it_is_not_asked(self, gate_with: GateWith, tmp_path: Path) -> None:
        config = write(tmp_path, colour_model())
        given = {"onnx_model": config.model, "onnx_sha256": config.sha256, "onnx_labels": config.labels}
        async with gate_with(roles=(), **given) as world:
            steps = Steps(world)
            steps.deps.flags.provider.replace(off(Switch.LOCAL_CLASSIFIER))
            media_id = await world.seal(jpeg(RED))
            result = await perform(steps.rendering.verify_and_render, steps.ref(media_id))
            assert (result.events, await skipped(world, media_id)) == ((), ["local-classifier"])
            steps.deps.flags.provider.replace([])
            again = await world.seal(jpeg(RED))
            result = await perform(steps.rendering.verify_and_render, steps.ref(again))
            assert [event.vendor for event in result.events] == [LOCAL_VENDOR]


class TestImports:
    async def test_off_nothing_further_is_begun(self, gate_with: GateWith, library: Library) -> None:
        async with importing(gate_with, library, roles=()) as world:
            await stocked(world, *junk(2))
            one = planned(world)
            async with world.db.transaction() as tx:
                await tx.imports.begin(one)
            steps, job = Importing(world.deps, Notifying(world.deps)), {"import_id": str(one.id)}
            await perform(steps.list_import, ListInput(**job))
            world.deps.flags.provider.replace(off(Switch.IMPORTS))
            waiting = await perform(steps.advance_import, AdvanceInput(**job, at_once=2, begin=2))
            assert (waiting.hold, waiting.moved) == (timedelta(seconds=30), 0)
            assert waiting.detail == "Imports are switched off for maintenance."
            world.deps.flags.provider.replace([])
            begun = await perform(steps.advance_import, AdvanceInput(**job, at_once=2, begin=2))
            assert (begun.hold, begun.moved, begun.counts.waiting) == (None, 2, 0)
