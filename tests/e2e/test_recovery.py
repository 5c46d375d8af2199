"""The restore drill: a deployment is backed up, destroyed and brought back by `mediagate backup`."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from temporalio.client import Client, WorkflowExecutionStatus
from typer.testing import CliRunner

from activities.evidence_audit import verify as verify_evidence
from activities.recovery.runs import Resumed, resume
from cli.recovery import app
from db.backup import look
from db.repositories.audit import Actor
from db.session import Database
from db.tables import AuditRecord, MediaDecision, PolicyRun
from devstack.environment import applied
from mediagate import wiring
from mediagate.errors import Conflict, InvalidRequest, ObjectCorrupt
from mediagate.evidence.chain import START, break_at
from mediagate.media.values import Status
from mediagate.moderation.policy_runs import PolicyMode, RunMode, RunState
from mediagate.settings import Settings
from mediagate.storage.s3 import S3Store
from tests.evidence import copy_of, new_database, sealing_keys
from tests.policies import CAREFUL, stored
from tests.workflows import runs
from tests.world import World, open_world
from workflows.messages import SweepInput
from workflows.names import Role, task_queue

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True)
class Deployment:
    """A database, a bucket and a place for backups of one test's own."""

    settings: Settings
    store: S3Store
    place: Path
    client: Client
    services: dict[str, str]
    folder: Path

    def at(self, url: str) -> "Deployment":
        """The same with another database."""
        return replace(self, settings=self.settings.model_copy(update={"database_url": _secret(url)}))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        """API and workers, on task queues of their own; nobody is connected to the database afterwards."""
        db = Database(self.settings.database_url.get_secret_value(), pool_size=4)
        try:
            async with db.transaction() as tx:
                library = await tx.access.ensure_library("photos", name="Photos", settings={})
            opening = open_world(self.settings, self.client, db, self.store, library, self.folder / uuid4().hex)
            async with opening as world:
                yield world
        finally:
            await db.close()

    async def backup(self, *arguments: str, code: int = 0) -> Any:
        """`mediagate backup …`: what it says, as JSON."""
        environment = {
            "TEMPORAL_ADDRESS": self.services["TEMPORAL_ADDRESS"],
            "MEDIAGATE_STATE_DIR": str(self.folder / "state"),
            "MEDIAGATE_BACKUP_TARGET": str(self.place),
            "MEDIAGATE_DATABASE_URL": self.settings.database_url.get_secret_value(),
            "MEDIAGATE_PUBLIC_URL": self.settings.public_url,
            "MEDIAGATE_S3_URL": self.settings.s3_url,
            "MEDIAGATE_S3_BUCKET": self.settings.s3_bucket,
            "MEDIAGATE_S3_ACCESS_KEY": self.settings.s3_access_key.get_secret_value(),
            "MEDIAGATE_S3_SECRET_KEY": self.settings.s3_secret_key.get_secret_value(),
        }
        with applied(environment):
            result = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    async def keys(self) -> set[str]:
        """Everything in the bucket."""
        return {stat.key async for stat in self.store.list("")}

    async def destroy_objects(self) -> None:
        """Empty the bucket."""
        for key in await self.keys():
            await self.store.delete(key)


def _secret(url: str) -> Any:
    return Settings(database_url=url).database_url


@pytest.fixture
def database(migrated: str) -> Iterator[str]:
    with copy_of(migrated) as url:
        yield url


@pytest.fixture
def another(stack_settings: Settings) -> Iterator[str]:
    """An empty database."""
    with new_database(stack_settings.database_url.get_secret_value(), "") as url:
        yield url


@pytest.fixture
async def deployment(
    stack_settings: Settings, temporal_client: Client, services: dict[str, str], database: str, tmp_path: Path
) -> AsyncIterator[Deployment]:
    bucket = f"drill-{uuid4().hex[:10]}"
    settings = stack_settings.model_copy(
        update={
            "database_url": _secret(database),
            "s3_bucket": bucket,
            "evidence_bucket": f"{bucket}-evidence",
            "evidence_keys": sealing_keys(),
        }
    )
    store = wiring.open_store(settings)
    await store.ensure_bucket()
    yield Deployment(settings, store, tmp_path / "place", temporal_client, services, tmp_path)
    store.close()


async def public(world: World, media_id: str) -> dict[str, str]:
    """SHA-256 of what each public URL of an item gives."""
    urls = [variant["url"] for variant in (await world.read(media_id))["variants"]]
    answers = [await world.http.get(url, headers={"Authorization": ""}) for url in urls]
    assert {answer.status_code for answer in answers} == {200}
    return {url.partition("?")[0]: hashlib.sha256(a.content).hexdigest() for url, a in zip(urls, answers, strict=True)}


async def audit_chain(world: World) -> list[str | None]:
    """What is wrong at each record of the trail: nothing."""
    async with world.db.transaction() as tx:
        records = await tx.chains.after(AuditRecord, 0, limit=1000)
    before, found = START, []
    for record in records:
        found.append(break_at(record.chain, before, record.link, record.prev_hash, record.fields))
        before = record.link
    return found


async def rejected(world: World) -> str:
    media_id = await runs.to_moderation(world)
    await world.webhook(world.event(media_id, "reject", scores={"nudity": 0.99}))
    await world.ended(media_id)
    return media_id


async def decided_by_a_person(world: World, media_id: str, verdict: str) -> None:
    answer = await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": verdict})
    assert answer.status_code == 200, answer.text


async def populate(world: World) -> dict[str, str]:
    """An item in each state that matters, a policy, and a record of the audit trail; media ids by state."""
    await stored(world.db, world.library, CAREFUL, PolicyMode.LIVE)
    async with world.db.transaction() as tx:
        await tx.audit.note("drill.began", "drill:1", Actor("ada", "cli:ada"), data={"n": 1})
    items = {
        "approved": await runs.to_approved(world),
        "rejected": await rejected(world),
        "in_review": await runs.to_review(world),
        "waiting": await runs.to_moderation(world),
        "quarantined": await runs.to_review(world),
        "reopened": await runs.to_approved(world),
    }
    await decided_by_a_person(world, items["quarantined"], "quarantine")
    await world.ended(items["quarantined"])
    await world.webhook(world.event(items["reopened"], "review", scores={"nudity": 0.6}))
    await world.until(items["reopened"], Status.IN_REVIEW)
    return items


class TestDrill:
    async def test_nothing_that_was_accepted_is_lost(self, deployment: Deployment, another: str) -> None:
        async with deployment.running() as world:
            items = await populate(world)
            pictures = await public(world, items["approved"])
        made = await deployment.backup("create")
        assert made["whole"]
        before = await deployment.keys()

        with psycopg.connect(deployment.settings.database_url.get_secret_value(), autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
        await deployment.destroy_objects()
        fresh = deployment.at(another)
        restored = await fresh.backup("restore", made["id"], "--yes", "--by", "ada")
        assert {name: restored["runs"][name] for name in ("owed", "rounds")} == {"owed": 2, "rounds": 1}
        assert await deployment.keys() == {key for key in before if not key.startswith(("work/", "staging/"))}

        async with fresh.running() as world:
            await self.holds(world, items, pictures)
            await self.goes_on(world, items)

    async def holds(self, world: World, items: dict[str, str], pictures: dict[str, str]) -> None:
        """What was decided is as it was."""
        assert await public(world, items["approved"]) == pictures
        for state in ("rejected", "quarantined"):
            shown = await world.read(items[state])
            assert shown["status"] == state
            answers = [
                await world.http.get(variant["url"], headers={"Authorization": ""}) for variant in shown["variants"]
            ]
            assert {answer.status_code for answer in answers} <= {401, 404}
            assert answers
        assert set(await audit_chain(world)) == {None}
        async with world.db.transaction() as tx:
            (latest,) = await tx.audit.page(limit=1)
            assert latest.action == "backup.restored"
            assert (await tx.policies.active(world.library)).live.version == "careful@1"
        assert world.deps.vault
        audit = await verify_evidence(world.db, world.deps.vault, deep=True)
        assert (audit.records, audit.breaks) == (2, [])

    async def goes_on(self, world: World, items: dict[str, str]) -> None:
        """What was not decided is decided now, and uploads work."""
        await runs.sweep(world, SweepInput(start_after=runs.AT_ONCE))
        await runs.stage(world, items["in_review"], Status.IN_REVIEW)
        await decided_by_a_person(world, items["in_review"], "approve")
        assert (await world.ended(items["in_review"]))["status"] == Status.APPROVED
        await public(world, items["in_review"])
        await runs.stage(world, items["waiting"], Status.AWAITING_MODERATION)
        await world.webhook(world.event(items["waiting"]))
        assert (await world.ended(items["waiting"]))["status"] == Status.APPROVED
        assert await public(world, await runs.to_approved(world))
        assert [line for line in await world.timeline(items["in_review"]) if line == "decided"] == ["decided"] * 2


class TestRuns:
    """Rows of another time than the runs: those are ended, and everything undecided begins anew."""

    async def resume(self, world: World) -> Resumed:
        actor = Actor("ada", "cli:ada")
        return await resume(world.db, world.flows, actor, review=world.settings.review_time, reason="point in time")

    async def test_an_upload_whose_run_is_further_on_begins_anew(self, deployment: Deployment) -> None:
        async with deployment.running() as world:
            media_id = await runs.to_review(world)
            await decided_by_a_person(world, media_id, "approve")
            await world.ended(media_id)
            async with world.db.transaction() as tx:  # as it was before the decision
                await tx.session.execute(text("DELETE FROM decision WHERE final"))
                await tx.session.execute(text("UPDATE media SET status = 'in_review', filed_at = NULL"))
            first = await world.run(media_id).describe()
            assert (await self.resume(world)).owed == 1
            await runs.sweep(world, SweepInput(start_after=runs.AT_ONCE))
            assert (await world.run(media_id).describe()).run_id != first.run_id
            await runs.stage(world, media_id, Status.IN_REVIEW)
            await decided_by_a_person(world, media_id, "approve")
            assert (await world.ended(media_id))["status"] == Status.APPROVED

    async def test_a_run_that_still_waits_is_ended(self, deployment: Deployment) -> None:
        async with deployment.running() as world:
            media_id = await runs.to_moderation(world)
            first = await world.run(media_id).describe()
            await runs.until(lambda: self.listed(world))
            assert await self.resume(world) == Resumed(ended=1, owed=1)
            await runs.sweep(world, SweepInput(start_after=runs.AT_ONCE))
            old = await world.client.get_workflow_handle(first.id, run_id=first.run_id).describe()
            assert old.status is WorkflowExecutionStatus.TERMINATED
            await runs.stage(world, media_id, Status.AWAITING_MODERATION)
            await world.webhook(world.event(media_id))
            assert (await world.ended(media_id))["status"] == Status.APPROVED
            assert await self.resume(world) == Resumed()

    async def listed(self, world: World) -> bool:
        """True once the server's list shows the run."""
        query = f'TaskQueue = "{task_queue(world.flows.prefix, Role.FLOW)}" AND ExecutionStatus = "Running"'
        return [run async for run in world.client.list_workflows(query)] != []

    async def test_later_rounds_are_led_to_their_ends(self, deployment: Deployment) -> None:
        async with deployment.running() as world:
            reopened, closed = await runs.to_approved(world), await runs.to_approved(world)
            await world.webhook(world.event(reopened, "review", scores={"nudity": 0.6}))
            await world.until(reopened, Status.IN_REVIEW)
            async with world.db.transaction() as tx:  # as a takedown leaves it whose files were not moved yet
                await tx.decisions.record(
                    MediaDecision(
                        media_id=UUID(closed), round=1, final=True, verdict="reject", policy_version="", decided_by="x"
                    )
                )
                await tx.media.move(await tx.media.get(UUID(closed), lock=True), Status.REJECTED, reason="takedown")
            assert (await self.resume(world)).rounds == 2
            await runs.until(lambda: self.withdrawn(world, closed))
            deciding = runs.until(lambda: self.decided(world, reopened))
            assert await deciding
            await world.until(reopened, Status.REJECTED)

    async def withdrawn(self, world: World, media_id: str) -> bool:
        """True once nothing of it is among the approved."""
        return not [name for name in await world.objects(media_id) if "approved" in name or "thumbs" in name]

    async def decided(self, world: World, media_id: str) -> bool:
        """True once a person could reject it."""
        answer = await world.http.post(f"/api/v1/media/{media_id}/decision", json={"verdict": "reject"})
        return answer.status_code == 200

    async def test_runs_of_policies_make_room_for_others(self, deployment: Deployment) -> None:
        async with deployment.running() as world:
            policy = await stored(world.db, world.library, CAREFUL, PolicyMode.LIVE)
            run = PolicyRun(
                library_id=world.library.id, policy_id=policy.id, mode=RunMode.APPLY, created_by="ada", report={}
            )
            async with world.db.transaction() as tx:
                await tx.policies.begin_run(run)
            assert (await self.resume(world)).policy_runs == 1
            async with world.db.transaction() as tx:
                assert (await tx.policies.run(run.id)).state is RunState.CANCELLED


class TestBackups:
    async def test_a_further_one_copies_only_what_is_new(self, deployment: Deployment) -> None:
        async with deployment.running() as world:
            await runs.to_approved(world)
            first = await deployment.backup("create")
            second = await deployment.backup("create")
            await rejected(world)
            (deployment.folder / "state" / "backups" / "work" / "catalogue.db").unlink()
            third = await deployment.backup("create")
        assert first["copied"] == first["objects"] > 3
        assert (second["copied"], second["objects"], second["bytes"]) == (0, first["objects"], first["bytes"])
        assert 0 < third["copied"] < third["objects"]
        assert [one["id"] for one in await deployment.backup("list")] == [third["id"], second["id"], first["id"]]

    async def test_everything_is_read_back(self, deployment: Deployment) -> None:
        async with deployment.running() as world:
            await runs.to_approved(world)
        made = await deployment.backup("create")
        read = await deployment.backup("verify")
        assert (read["id"], read["ok"], read["bytes"] > 0) == (made["id"], True, True)
        contents = sorted(file for file in (deployment.place / "objects").rglob("*") if file.is_file())
        contents[0].write_bytes(contents[0].read_bytes()[:-1] + b"?")
        contents[1].unlink()
        (deployment.place / "backups" / made["id"] / "database.dump").write_bytes(b"")
        read = await deployment.backup("verify", code=1)
        assert len(read["broken"]) == 3
        assert sorted(line.split()[-1] for line in read["broken"][1:]) == ["altered", "missing"]

    async def test_one_that_is_damaged_restores_nothing(self, deployment: Deployment, another: str) -> None:
        async with deployment.running() as world:
            await runs.to_approved(world)
        await deployment.backup("create")
        content = next(file for file in (deployment.place / "objects").rglob("*") if file.is_file())
        content.write_bytes(b"other bytes")
        await deployment.destroy_objects()
        with pytest.raises(ObjectCorrupt, match="altered"):
            await deployment.at(another).backup("restore", "--yes", "--no-runs")
        assert look(another).tables == ()

    async def test_a_restore_that_was_cut_off_goes_on(self, deployment: Deployment, another: str) -> None:
        async with deployment.running() as world:
            await runs.to_approved(world)
        made = await deployment.backup("create")
        await deployment.destroy_objects()
        fresh = deployment.at(another)
        planned = await fresh.backup("restore")
        assert (planned["restored"], planned["put"], planned["kept"]) == (False, made["objects"], 0)
        first = await fresh.backup("restore", "--yes", "--no-runs")
        assert (first["put"], first["runs"]["owed"]) == (made["objects"], 0)
        with pytest.raises(Conflict, match="not empty"):
            await fresh.backup("restore", "--yes", "--no-runs")
        again = await fresh.backup("restore", "--yes", "--no-runs", "--replace")
        assert (again["put"], again["kept"]) == (0, made["objects"])

    async def test_old_ones_go_with_what_only_they_have(self, deployment: Deployment) -> None:
        async with deployment.running() as world:
            await runs.to_approved(world)
        first = await deployment.backup("create")
        gone = sorted(await deployment.keys())[0]
        await deployment.store.delete(gone)
        with psycopg.connect(deployment.settings.database_url.get_secret_value()) as connection:
            connection.execute("DELETE FROM variant WHERE key = %s", (gone,))
        second = await deployment.backup("create")
        planned = await deployment.backup("prune", "--keep", "1")
        assert (planned["removed"], planned["backups"], planned["contents"]) == (False, [first["id"]], 1)
        assert len(await deployment.backup("list")) == 2
        await deployment.backup("prune", "--keep", "1", "--yes")
        assert [one["id"] for one in await deployment.backup("list")] == [second["id"]]
        assert (await deployment.backup("verify"))["ok"]
        assert len([file for file in (deployment.place / "objects").rglob("*") if file.is_file()]) == second["objects"]

    async def test_in_another_bucket(self, deployment: Deployment, another: str) -> None:
        async with deployment.running() as world:
            await runs.to_approved(world)
        place = ("--at", f"s3://{deployment.settings.s3_bucket}-backups/of/production")
        made = await deployment.backup("create", *place)
        assert (await deployment.backup("verify", *place))["ok"]
        await deployment.destroy_objects()
        restored = await deployment.at(another).backup("restore", *place, "--yes", "--no-runs")
        assert restored["put"] == made["objects"] == len(await deployment.keys())
        with pytest.raises(InvalidRequest, match="another bucket"):
            await deployment.backup("list", "--at", f"s3://{deployment.settings.s3_bucket}/backups")
