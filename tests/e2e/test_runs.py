"""`mediagate runs` against the whole stack: uploads whose runs fail, are stopped, reset and resumed."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from minio import Minio
from PIL import Image
from standardwebhooks import Webhook
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle

from devstack.discard import discard
from devstack.folders import read_json
from devstack.state import StateDir

pytestmark = pytest.mark.timeout(180)
BUCKET = "mediagate"


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    text: str
    errors: str

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.text)
        return content


def mediagate(state: StateDir, *arguments: str, **variables: str) -> Said:
    """One command to its end; only the state folder says where the stack is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDIAGATE_", "TEMPORAL_"))}
    environment = kept | {"MEDIAGATE_STATE_DIR": str(state.path)} | variables
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=150)
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateDir]:
    """The whole stack, with a vendor that says only what a test posts."""
    path = tmp_path_factory.mktemp("stack") / "state"
    folder = StateDir.open(path)
    try:
        started = mediagate(folder, "dev", "--vendor", "manual", "--detach", "--json")
        assert started.code == 0, started
        yield folder
    finally:
        mediagate(folder, "dev", "--stop")
        discard(path)


class Upload:
    """An upload, and the hands of whoever tampers with it."""

    def __init__(self, state: StateDir, client: Client, media_id: str) -> None:
        self.state = state
        self.addresses: dict[str, Any] = read_json(state.stack_file)
        self.client = client
        self.media_id = media_id

    @property
    def workflow_id(self) -> str:
        return f"media-{self.media_id}"

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The workflow's current run."""
        return self.client.get_workflow_handle(self.workflow_id)

    @property
    def api(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.addresses['api_key']}"}
        return httpx.Client(base_url=self.addresses["api_url"], headers=headers, trust_env=False)

    @property
    def store(self) -> Minio:
        secrets = read_json(self.state.secrets_file)
        endpoint = self.addresses["s3_url"].removeprefix("http://")
        return Minio(endpoint, access_key=secrets["s3_access_key"], secret_key=secrets["s3_secret_key"], secure=False)

    def row(self, query: str) -> Any:
        """The first column of the first row; `%s` is the media id."""
        with psycopg.connect(self.addresses["database_url"]) as connection:
            found = connection.execute(query.encode(), (self.media_id,)).fetchone()
        return found[0] if found else None

    @property
    def status(self) -> str:
        status: str = self.row("SELECT status FROM media WHERE id = %s")
        return status

    async def waiting(self) -> None:
        """Until the current run waits for the vendor."""
        description = await self.handle.describe()
        current = self.client.get_workflow_handle(self.workflow_id, run_id=description.run_id)
        async with asyncio.timeout(60):
            async for event in current.fetch_history_events(wait_new_event=True):
                if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
                    return

    async def end(self) -> str:
        """Status of the item when the current run has ended."""
        async with asyncio.timeout(60):
            try:
                await self.handle.result()
            except WorkflowFailureError:
                return self.status
        return self.status

    def webhook(self, verdict: str) -> None:
        """The vendor's signed word."""
        vendor = self.addresses["vendor"]
        event = {
            "event_id": f"evt-{uuid4()}",
            "media_id": self.media_id,
            "vendor": vendor["name"],
            "occurred_at": datetime.now(UTC).isoformat(),
            "verdict": verdict,
            "final": True,
        }
        body, message_id, now = json.dumps(event), f"msg-{uuid4()}", datetime.now(UTC)
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(vendor["webhook_secret"]).sign(message_id, now, body),
        }
        answer = httpx.post(vendor["webhook_url"], content=body, headers=headers, trust_env=False)
        assert answer.status_code == 200, answer.text

    def lose_master(self) -> tuple[str, bytes]:
        """Take the sealed object away; its key and bytes."""
        key: str = self.row("SELECT master_key FROM media WHERE id = %s")
        response = self.store.get_object(BUCKET, key)
        with response:
            data = response.data
        self.store.remove_object(BUCKET, key)
        return key, data

    def bring_back(self, lost: tuple[str, bytes]) -> None:
        key, data = lost
        self.store.put_object(BUCKET, key, io.BytesIO(data), len(data), content_type="image/jpeg")

    def runs(self, *arguments: str) -> Said:
        return mediagate(self.state, "runs", *arguments)


async def fresh_upload(state: StateDir) -> Upload:
    """An upload whose run waits for the vendor."""
    addresses = read_json(state.stack_file)
    client = await Client.connect(addresses["temporal_address"])
    picture = io.BytesIO()
    Image.effect_noise((320, 240), 40).convert("RGB").save(picture, "JPEG")
    fresh = Upload(state, client, "")
    with fresh.api as api:
        files = {"files": ("dune.jpg", picture.getvalue(), "image/jpeg")}
        answer = api.post(f"/api/v1/libraries/{addresses['library']}/media", files=files)
    fresh.media_id = answer.json()["items"][0]["media_id"]
    await fresh.waiting()
    return fresh


@pytest.fixture
async def upload(state: StateDir) -> AsyncIterator[Upload]:
    """A fresh upload; its run is ended with the test."""
    fresh = await fresh_upload(state)
    yield fresh
    description = await fresh.handle.describe()
    if description.close_time is None:
        await fresh.handle.terminate("end of test")


async def broken(upload: Upload) -> tuple[str, bytes]:
    """Let the run fail at filing: the sealed object is gone."""
    lost = upload.lose_master()
    upload.webhook("reject")
    assert await upload.end() == "failed"
    return lost


class TestRetry:
    async def test_a_run_that_failed_at_filing_resumes_once_the_object_is_back(self, upload: Upload) -> None:
        lost = await broken(upload)
        planned = upload.runs("retry", upload.media_id, "--json")
        assert planned.code == 0
        assert [(run["result"], run["step"], run["failure_kind"]) for run in planned.json["runs"]] == [
            ("would be retried", "file", "ObjectMissing")
        ]
        plan = upload.runs("reset", upload.media_id, "--to", "file", "--json").json
        assert plan["again"] == ["record_decision", "file_media"]
        assert upload.status == "failed"  # a dry run changes nothing

        upload.bring_back(lost)
        done = upload.runs("retry", upload.media_id, "--yes", "--json")

        assert (done.code, done.json["runs"][0]["result"]) == (0, "retried")
        assert await upload.end() == "rejected"
        assert upload.row("SELECT count(*) FROM decision WHERE media_id = %s") == 1
        assert upload.row("SELECT count(*) FROM notification WHERE media_id = %s AND kind = 'moderation_result'") == 1
        names = [entry.object_name or "" for entry in upload.store.list_objects(BUCKET, recursive=True)]
        objects = [name for name in names if upload.media_id in name]
        # Four pictures and the source as rejected, and one backup: nothing is left where it was, nothing is twice.
        assert len(objects) == 6
        assert lost[0] not in objects

    async def test_a_run_still_broken_fails_again_and_can_be_retried_again(self, upload: Upload) -> None:
        lost = await broken(upload)
        assert upload.runs("retry", upload.media_id, "--yes").code == 0
        assert await upload.end() == "failed"
        upload.bring_back(lost)
        assert upload.runs("retry", upload.media_id, "--yes").code == 0
        assert await upload.end() == "rejected"

    async def test_a_reset_run_no_longer_carries_the_failure_kind(self, upload: Upload) -> None:
        lost = await broken(upload)
        first = upload.runs("show", upload.media_id, "--json").json
        upload.bring_back(lost)
        upload.runs("retry", upload.media_id, "--yes")
        await upload.end()
        now = upload.runs("show", upload.media_id, "--json").json
        assert (first["failure_kind"], now["failure_kind"], now["verdict"]) == ("ObjectMissing", "", "reject")
        before = upload.runs("show", upload.media_id, "--run", first["run_id"], "--json").json
        assert before["superseded_by"] == now["run_id"]

    async def test_many_are_resumed_one_after_the_other_at_the_rate_that_is_given(self, upload: Upload) -> None:
        others = [await fresh_upload(upload.state) for _ in range(2)]
        uploads = [upload, *others]
        for one in uploads:
            one.bring_back(await broken(one))
            assert one.workflow_id in failed_with(one, "ObjectMissing")
        arguments = ("retry", "--all-failed", "--kind", "ObjectMissing", "--since", "1h", "--rate", "1")
        done = upload.runs(*arguments, "--yes", "--json")
        assert done.code == 0
        resumed = {run["workflow_id"]: run["run_id"] for run in done.json["runs"]}
        assert {one.workflow_id for one in uploads} <= resumed.keys()
        assert [await one.end() for one in uploads] == ["rejected"] * 3
        starts = sorted([(await one.handle.describe()).start_time for one in uploads])
        assert (starts[2] - starts[0]).total_seconds() > 1.9

    async def test_runs_that_have_not_failed_are_skipped_and_unknown_ones_named(self, upload: Upload) -> None:
        alone = upload.runs("retry", upload.media_id, "--yes", "--json")
        assert (alone.code, alone.json["runs"][0]["detail"]) == (3, "it is running, not failed")
        both = upload.runs("retry", upload.media_id, str(uuid4()), "--json")
        assert (both.code, [run["result"] for run in both.json["runs"]]) == (1, ["skipped", "not retried"])

    async def test_a_cancelled_run_goes_on_and_hears_the_vendor(self, upload: Upload) -> None:
        await upload.handle.cancel()
        assert await upload.end() == "failed"
        done = upload.runs("retry", upload.media_id, "--yes", "--json")
        assert done.json["runs"][0]["step"] == "submit"
        await upload.waiting()
        assert upload.status == "awaiting_moderation"
        upload.webhook("approve")
        assert await upload.end() == "approved"

    async def test_all_failed_takes_what_broke_and_leaves_what_was_stopped_on_purpose(self, upload: Upload) -> None:
        await upload.handle.terminate("not this one")
        assert await upload.end() == "awaiting_moderation"
        failed = failed_with(upload, "terminated")
        assert upload.workflow_id in failed
        listed = upload.runs("retry", "--all-failed", "--json").json["runs"]
        assert upload.workflow_id not in [run["workflow_id"] for run in listed]
        assert upload.runs("retry", upload.media_id, "--yes").code == 0
        await upload.waiting()
        upload.webhook("approve")
        assert await upload.end() == "approved"


class TestReset:
    async def test_a_dry_run_shows_the_plan_and_changes_nothing(self, upload: Upload) -> None:
        before = upload.runs("show", upload.media_id, "--json").json
        plan = upload.runs("reset", upload.media_id, "--to", "submit", "--json")
        assert (plan.code, plan.json["done"], plan.json["again"]) == (0, False, ["submit_for_moderation"])
        assert plan.json["kept"] == ["verify_and_render"]
        after = upload.runs("show", upload.media_id, "--json").json
        assert (after["run_id"], after["status"], after["steps"]) == (before["run_id"], "running", before["steps"])

    async def test_a_waiting_run_submits_again_and_goes_on(self, upload: Upload) -> None:
        before = upload.runs("show", upload.media_id, "--json").json
        done = upload.runs("reset", upload.media_id, "--to", "submit", "--yes", "--json")
        assert done.code == 0
        await upload.waiting()
        now = upload.runs("show", upload.media_id, "--json").json
        assert now["run_id"] == done.json["new_run_id"] != before["run_id"]
        upload.webhook("approve")
        assert await upload.end() == "approved"

    async def test_a_finished_run_is_taken_back_and_its_signal_delivered_again(self, upload: Upload) -> None:
        upload.webhook("approve")
        assert await upload.end() == "approved"
        done = upload.runs("reset", upload.media_id, "--to", "submit", "--yes", "--json")
        assert done.json["redelivered"] == ["moderation_event"]
        assert await upload.end() == "approved"
        assert upload.row("SELECT count(*) FROM decision WHERE media_id = %s") == 1
        assert upload.row("SELECT count(*) FROM notification WHERE media_id = %s AND kind = 'moderation_result'") == 1

    async def test_a_step_the_history_lacks_is_refused_with_those_it_has(self, upload: Upload) -> None:
        said = upload.runs("reset", upload.media_id, "--to", "file", "--yes")
        assert said.code == 1
        assert "no step 'file'; it has: verify, submit." in said.errors


class TestLooking:
    async def test_failed_runs_are_counted_by_kind_until_a_reset_replaces_them(self, upload: Upload) -> None:
        lost = await broken(upload)
        assert upload.workflow_id in failed_with(upload, "ObjectMissing")
        upload.bring_back(lost)
        upload.runs("retry", upload.media_id, "--yes")
        await upload.end()
        after = upload.runs("failed", "--kind", "ObjectMissing", "--json").json
        assert upload.workflow_id not in [run["workflow_id"] for run in after["runs"]]

    async def test_show_tells_the_steps_the_causes_and_what_to_do(self, upload: Upload) -> None:
        waiting = upload.runs("show", upload.media_id, "--json").json
        assert (waiting["status"], waiting["stage"]) == ("running", "awaiting_moderation")
        assert "Waiting for the webhook" in waiting["details"]
        await broken(upload)
        story = upload.runs("show", upload.media_id, "--json").json
        names = [step["name"] for step in story["steps"] if step["kind"] == "activity"]
        work = ["verify_and_render", "submit_for_moderation", "file_media"]
        assert names == [*work, "notify_admins"]  # the alert
        assert story["failure"][0].startswith("The activity file_media failed")
        assert story["failure"][1].startswith("ObjectMissing: ")
        assert story["next"] == f"put the object back, then `mediagate runs retry {upload.workflow_id} --yes`."
        text = upload.runs("show", upload.media_id)
        assert "because ObjectMissing" in text.text
        assert "\x1b[" not in text.text

    async def test_list_filters_by_attributes_and_quotes_every_value(self, upload: Upload) -> None:
        arguments = ("--status", "running", "--stage", "awaiting_moderation", "--library", "demo", "--json")
        found = until(upload, upload.workflow_id, "list", *arguments)
        assert found["dune.jpg in demo"] == "running"
        nobody = upload.runs("list", "--library", "it's \\ OR 1=1 --", "--json")
        assert (nobody.code, nobody.json) == (0, {"runs": [], "total": 0})
        assert upload.runs("list", "--query", "Nonsense = 1").code == 1

    async def test_an_unknown_id_is_said_to_be_unknown(self, upload: Upload) -> None:
        said = upload.runs("show", "media-nobody", "--json")
        assert (said.code, said.json["error"]["code"]) == (1, "not_found")

    def test_a_service_that_is_away_is_named_with_what_to_do(self, state: StateDir) -> None:
        said = mediagate(state, "runs", "list", TEMPORAL_ADDRESS="127.0.0.1:9")
        assert said.code == 1
        assert "No Temporal service answers at 127.0.0.1:9." in said.errors


def failed_with(upload: Upload, kind: str) -> list[str]:
    """The workflows that `runs failed` counts under a kind, once this upload's is among them."""
    for _ in range(30):
        said = upload.runs("failed", "--kind", kind, "--json").json
        ids = [run["workflow_id"] for run in said["runs"]]
        if upload.workflow_id in ids:
            assert said["kinds"] == {kind: len(ids)}
            return ids
    pytest.fail(f"{upload.workflow_id} never came under {kind}: {said}")


def until(upload: Upload, workflow_id: str, *arguments: str) -> dict[str, str]:
    """File and status of the runs that a list shows, once it shows this one; the visibility store lags."""
    for _ in range(30):
        runs = upload.runs(*arguments).json["runs"]
        if workflow_id in [run["workflow_id"] for run in runs]:
            return {run["file"]: run["status"] for run in runs}
    pytest.fail(f"{workflow_id} was never listed")


class TestVariants:
    async def test_stale_pictures_are_listed_and_made_anew(self, upload: Upload) -> None:
        library = upload.addresses["library"]
        await upload.waiting()
        upload.webhook("approve")
        assert await upload.end() == "approved"
        with psycopg.connect(upload.addresses["database_url"]) as connection:
            connection.execute("UPDATE variant SET recipe = 'old' WHERE media_id = %s", (upload.media_id,))
        listed = mediagate(upload.state, "variants", "stale", library, "--json").json
        assert listed["stale"] == [upload.media_id]
        plan = mediagate(upload.state, "variants", "rebuild", library, "--json").json
        assert (plan["done"], plan["stale"]) == (False, 1)
        done = mediagate(upload.state, "variants", "rebuild", library, "--yes", "--json")
        assert (done.code, done.json["rebuilt"], done.json["failed"]) == (0, 1, [])
        said = mediagate(upload.state, "variants", "stale", library)
        assert "0 of " in said.text
        assert upload.row("SELECT count(*) FROM variant WHERE media_id = %s AND recipe = 'old'") == 0
