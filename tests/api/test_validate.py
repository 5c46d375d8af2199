"""`mediagate validate` against a gate that works, and against one that is broken in one place each time."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from temporalio.client import Client
from typer.testing import CliRunner, Result

import cli.validate
from api.app import create_app
from cli.demo.public_api import PublicApi
from cli.main import app as program
from cli.validation.inside import sweeps
from cli.validation.steps import STEPS
from cli.validation.walk import Options, Walk, Wrong, walk
from db import migrate
from db.session import Database
from devstack.environment import applied
from mediagate import wiring
from mediagate.access.api_keys import Scope as KeyScope
from mediagate.errors import VendorUnavailable
from mediagate.settings import Settings
from mediagate.storage.memory import MemoryStore
from mediagate.vendors.interface import ReadCopy, Submission, SubmissionReceipt
from mediagate.vendors.memory import MemoryVendor
from tests.api.serving import gate_of
from tests.contracts.loopback import served
from tests.evidence import copy_of, migrated_database
from tests.world import SECRET, VENDOR, World, issue_key, open_world
from workflows import schedules
from workflows.client import Flows
from workflows.names import Role, sweep_schedule_id

Wrap = Callable[[ASGIApp], ASGIApp]


class ApprovingVendor(MemoryVendor):
    """Has approved everything by the time it is polled."""

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        receipt = await super().submit(submission, read)
        self.answer(submission.media_id, [{"verdict": "approve", "final": True}], now=datetime.now(UTC))
        return receipt


@dataclass
class Live:
    """A gate over HTTP. `outside`: what stands before it."""

    world: World
    vendor: ApprovingVendor
    url: str
    outside: FastAPI
    app: FastAPI
    key: str
    folder: Path

    def serve(self, wrap: Wrap = lambda app: app, **gate: Any) -> None:
        """Answer from now on with these parts, through that proxy."""
        self.vendor.trouble = None
        self.app.state.gate = replace(gate_of(self.world), **gate)
        self.outside.routes.clear()
        self.outside.mount("/", wrap(self.app))

    async def validate(self, *arguments: str, url: str = "", key: str = "") -> Result:
        """The command, with the library's key in the environment."""
        environment = {"MEDIAGATE_STATE_DIR": str(self.folder), "MEDIAGATE_API_KEY": key or self.key}
        command = ["validate", url or self.url, "--library", self.world.library.slug, "--timeout", "20", *arguments]
        with applied(environment):
            return await asyncio.to_thread(CliRunner().invoke, program, command)

    async def failures(self, *arguments: str, **options: str) -> dict[str, str]:
        """What fails and why, by the name of the check."""
        result = await self.validate(*arguments, "--json", **options)
        (said,) = (line for line in result.stdout.splitlines() if line.startswith('{"ok"'))
        document = json.loads(said)
        failed = {check["name"]: check["detail"] for check in document["checks"] if check["result"] == "fail"}
        assert (document["ok"], result.exit_code) == (not failed, int(bool(failed)))
        return failed


@asynccontextmanager
async def opened(base: Settings, client: Client, db: Database, folder: Path, *roles: Role) -> AsyncIterator[Live]:
    """A gate with a library and a bucket of its own, whose vendor approves."""
    outside, vendor = FastAPI(), ApprovingVendor(name=VENDOR, secret=SECRET)
    async with db.transaction() as tx:
        library = await tx.access.ensure_library(f"lib-{uuid4().hex[:12]}", name="Test", settings={})
    async with served(outside) as url:
        own = {"public_url": url, "s3_bucket": f"validate-{uuid4().hex[:10]}", "vendor_wait": 0.05}
        settings = base.model_copy(update=own)
        store = wiring.open_store(settings)
        async with open_world(settings, client, db, store, library, folder, roles=()) as world:
            world = replace(world, vendor=vendor)
            key = world.http.headers["authorization"].removeprefix("Bearer ")
            found = Live(world, vendor, url, outside, create_app(settings), key, folder / "state")
            async with world.workers(*roles, vendors={VENDOR: vendor}) if roles else nullcontext():
                yield found
        store.close()


@pytest.fixture(scope="module")
async def standing(
    stack_settings: Settings, temporal_client: Client, db: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Live]:
    async with opened(stack_settings, temporal_client, db, tmp_path_factory.mktemp("live"), *Role) as found:
        yield found


@pytest.fixture
async def live(standing: Live) -> Live:
    """A gate that works."""
    await standing.world.store.ensure_bucket([standing.url])
    standing.serve()
    return standing


@pytest.fixture
async def idle(stack_settings: Settings, temporal_client: Client, db: Database, tmp_path: Path) -> AsyncIterator[Live]:
    """One without workers."""
    async with opened(stack_settings, temporal_client, db, tmp_path) as found:
        await found.world.store.ensure_bucket([found.url])
        found.serve()
        yield found


@dataclass
class Proxy:
    """Changes what the API answers: `headers` are set (None: taken away); `status` for paths that begin with `path`."""

    app: ASGIApp
    headers: Mapping[str, str | None]
    path: str = ""
    status: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        meddled = scope["type"] == "http" and scope["path"].startswith(self.path)

        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start" and meddled:
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    if value is None:
                        del headers[name]
                    else:
                        headers[name] = value
                message["status"] = self.status or message["status"]
            await send(message)

        await self.app(scope, receive, pass_on)


def error_pages(app: ASGIApp) -> ASGIApp:
    """A proxy with error pages of its own."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and re.fullmatch("/api/v1/[0-9a-f]{32}", scope["path"]):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return answer


class TestAHealthyGate:
    async def test_passes_and_keeps_nothing_public(self, live: Live) -> None:
        result = await live.validate()
        assert result.exit_code == 0, result.output
        assert live.key not in result.output
        rows = (await live.world.http.get(f"/api/v1/libraries/{live.world.library.slug}/media")).json()["items"]
        sent = [row for row in rows if row["filename"].startswith("mediagate-validate")]
        assert sorted(row["status"] for row in sent) == ["awaiting_upload", "quarantined", "quarantined"]

    async def test_every_check_is_told_with_what_was_found(self, live: Live) -> None:
        said = (await live.validate("--no-upload", "--json")).stdout
        checks = json.loads(next(line for line in said.splitlines() if line.startswith('{"ok"')))["checks"]
        assert {check["result"] for check in checks} == {"ok", "skip"}
        assert all(check["detail"] for check in checks)
        skipped = {check["name"] for check in checks if check["result"] == "skip"}
        uploads = {"presigned", "uploads", "public", "closed", "withdrawn", "cleanup"}
        assert skipped == uploads | {"transport", "schedules"}

    async def test_keys_may_come_from_files(self, live: Live, tmp_path: Path) -> None:
        mine, operator = tmp_path / "key", tmp_path / "operator"
        mine.write_text(f"{live.key}\n")
        operator.write_text(await issue_key(live.world.db, None, KeyScope.ADMIN))
        files = ("--key-file", str(mine), "--operator-key-file", str(operator))
        assert await live.failures("--no-upload", *files, key="mg_wrong") == {}
        assert set(await live.failures("--no-upload", "--operator-key-file", str(mine))) == {"operators"}


class TestABrokenOne:
    async def test_without_workers(self, idle: Live) -> None:
        failed = await idle.failures()
        assert set(failed) == {"workers"}
        assert failed["workers"].count("No worker serves") == 4

    async def test_where_nobody_listens(self, live: Live) -> None:
        assert set(await live.failures(url="http://127.0.0.1:1")) == {"answers"}

    async def test_where_something_else_answers(self, live: Live) -> None:
        live.outside.routes.clear()
        failed = await live.failures()
        assert failed == {"answers": "/health/live answered 404, application/json: is this a Mediagate?"}

    async def test_with_a_wrong_key(self, live: Live) -> None:
        wrong = live.key[:-1] + ("a" if live.key[-1] != "a" else "b")
        assert set(await live.failures(key=wrong)) == {"key"}

    async def test_with_a_key_of_another_library(self, live: Live) -> None:
        async with live.world.db.transaction() as tx:
            other = await tx.access.ensure_library(f"lib-{uuid4().hex[:12]}", name="Other", settings={})
        key = await issue_key(live.world.db, other.id, KeyScope.MEDIA_READ)
        assert await live.failures(key=key) == {"key": f"{live.world.library.slug}: 404 not_found"}
        assert await live.failures("--no-upload", "--foreign-library", other.slug) == {}
        everything = await issue_key(live.world.db, None, KeyScope.UPLOADS_WRITE, KeyScope.MEDIA_READ)
        assert set(await live.failures("--no-upload", "--foreign-library", other.slug, key=everything)) == {"tenants"}

    async def test_with_a_store_that_is_away(self, live: Live) -> None:
        away = MemoryStore()
        away.failing = True
        live.serve(store=away)
        failed = await live.failures()
        assert set(failed) == {"parts"}
        assert failed["parts"].startswith("s3: ")

    async def test_with_a_schema_that_is_behind(self, live: Live, stack_settings: Settings) -> None:
        with migrated_database(stack_settings) as migrated, copy_of(migrated) as url:
            migrate.downgrade(url, "-1")
            live.serve(settings=live.world.settings.model_copy(update={"database_url": SecretStr(url)}))
            failed = await live.failures()
        assert set(failed) == {"schema"}
        assert "mediagate db upgrade" in failed["schema"]

    async def test_with_a_vendor_that_is_away(self, live: Live) -> None:
        live.vendor.trouble = VendorUnavailable()
        assert set(await live.failures()) == {"vendors"}

    async def test_with_a_bucket_that_browsers_may_not_write_to(self, live: Live) -> None:
        await live.world.store.ensure_bucket(["https://elsewhere.example"])
        failed = await live.failures()
        assert set(failed) == {"presigned"}
        assert live.url in failed["presigned"]

    @pytest.mark.parametrize(
        ("wrap", "name"),
        [
            (lambda app: Proxy(app, {"referrer-policy": None}), "headers"),
            (lambda app: Proxy(app, {"x-content-type-options": "sniff"}), "headers"),
            (error_pages, "problems"),
            (lambda app: Proxy(app, {}, "/health", status=403), "answers"),
            (lambda app: Proxy(app, {}, "/openapi.json", status=403), "openapi"),
            (lambda app: Proxy(app, {}, "/api/v1/webhooks", status=200), "webhooks"),
            (lambda app: Proxy(app, {}, "/api/v1/vendors", status=200), "operators"),
        ],
        ids=[
            "no-tracking-id",
            "sniffing",
            "error-pages",
            "no-health",
            "no-description",
            "open-webhooks",
            "open-vendors",
        ],
    )
    async def test_behind_a_proxy_that_meddles(self, live: Live, wrap: Wrap, name: str) -> None:
        live.serve(wrap)
        assert set(await live.failures("--no-upload")) == {name}

    async def test_health_may_be_elsewhere(self, live: Live) -> None:
        internal = FastAPI()
        internal.mount("/", live.app)
        async with served(internal) as inside:
            live.serve(lambda app: Proxy(app, {}, "/health", status=403))
            assert await live.failures("--no-upload", "--internal", inside) == {}

    async def test_behind_a_cache_that_forgets_the_sandbox_and_opens_masters(self, live: Live) -> None:
        def opening(app: ASGIApp) -> ASGIApp:
            async def answer(scope: Scope, receive: Receive, send: Send) -> None:
                master = "/files/source" in scope["path"]
                await (PlainTextResponse("the master") if master else app)(scope, receive, send)

            return answer

        live.serve(lambda app: opening(Proxy(app, {"content-security-policy": None}, "/api/v1/media/")))
        failed = await live.failures()
        assert set(failed) == {"public", "closed"}
        assert "content-security-policy" in failed["public"]
        assert "/files/source: 200" in failed["closed"]


class TestClocks:
    @pytest.mark.parametrize(
        ("off", "found"), [(0, "ok"), (4, "ok"), (-4, "ok"), (60, "fail"), (-60, "fail"), (None, "skip")]
    )
    async def test_a_few_seconds_are_allowed(self, off: int | None, found: str) -> None:
        def respond(request: httpx.Request) -> httpx.Response:
            date = {} if off is None else {"date": format_datetime(datetime.now(UTC) + timedelta(seconds=off))}
            return httpx.Response(200, headers=date)

        async with httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url="http://gate.test") as client:
            where = Walk(Options("http://gate.test", "photos"), client, client, PublicApi(client, "photos"))
            (step,) = (step for step in STEPS if step.name == "clock")
            (result,) = await walk(where, [replace(step, needs=())])
        assert result.result == found


class TestSchedules:
    async def test_are_there_run_and_may_not_be_paused(self, temporal_client: Client) -> None:
        flows = Flows(temporal_client, prefix=f"t{uuid4().hex[:12]}")
        with pytest.raises(Wrong, match="does not exist"):
            await sweeps(flows)
        await schedules.ensure_sweep(flows)
        handle = temporal_client.get_schedule_handle(sweep_schedule_id(flows.prefix))
        try:
            assert "0 runs" in await sweeps(flows)
            await handle.pause(note="for a while")
            with pytest.raises(Wrong, match="paused: for a while"):
                await sweeps(flows)
        finally:
            await handle.delete()

    async def test_a_service_that_is_away_is_named(self) -> None:
        away = await Client.connect("127.0.0.1:1", lazy=True)
        with pytest.raises(Wrong, match="does not answer"):
            await sweeps(Flows(away))


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (("gate.example.org",), "Name the API's address"),
            ((), "no local stack runs here"),
            (("http://127.0.0.1:1", "--key-file", "/nowhere/key"), "The key cannot be read"),
            (("http://127.0.0.1:1",), "--library NAME"),
        ],
        ids=["no-address", "no-stack", "no-file", "no-library"],
    )
    def test_what_is_missing_is_named(self, tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
        with applied({"MEDIAGATE_STATE_DIR": str(tmp_path), "MEDIAGATE_API_KEY": "mg_key"}):
            result = CliRunner().invoke(program, ["validate", *arguments])
        assert why in str(result.exception)

    def test_the_variable_is_the_documented_one(self) -> None:
        assert cli.validate.KEY == "MEDIAGATE_API_KEY"
