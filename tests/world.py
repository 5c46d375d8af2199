"""A gate around one fresh library: real Postgres, S3 and Temporal, the shipped twins of vendor and mail server."""

import asyncio
import base64
import hashlib
import io
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from PIL import Image
from pydantic import SecretStr
from standardwebhooks import Webhook
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import TimeSkipper
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.deps import Deps
from activities.sources import SourceCache
from api.app import create_app
from api.deps import Gate
from db.session import Database
from db.tables import ApiKey, Library, Media, now
from mediagate import wiring
from mediagate.access import api_keys
from mediagate.access.api_keys import Scope
from mediagate.access.delivery import DeliverySigner
from mediagate.imaging import MemoryBudget
from mediagate.imaging.pool import PicturePool
from mediagate.malware.scanner import MemoryScanner
from mediagate.media.values import MIB, Status
from mediagate.notify.memory import MemoryMailer
from mediagate.notify.purging import MemoryPurger
from mediagate.settings import Settings, VendorKind, VendorSettings
from mediagate.storage import keys
from mediagate.storage.store import ObjectStore
from mediagate.vendors.memory import MemoryVendor
from worker import build_workers
from workflows.client import Flows
from workflows.names import Role, workflow_id

VENDOR = "memory"
SECRET = SecretStr("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
PATIENCE = 60.0
"""Seconds after which a condition that does not come true fails the test."""


@cache
def picture_pool() -> PicturePool:
    """The processes for pictures, the same ones for every world of a test process."""
    return PicturePool(2, MemoryBudget(512 * MIB), time_limit=PATIENCE)


def picture(width: int = 640, height: int = 480, *, seed: int = 0, kind: str = "JPEG") -> bytes:
    """A small picture that differs by its seed."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image.paste((seed % 256, (seed // 256) % 256, 90), (10, 10, width // 2, height // 2))
    target = io.BytesIO()
    image.save(target, kind)
    return target.getvalue()


@dataclass(frozen=True)
class World:
    """What a test of the gate works with. `http` carries a key with every scope but admin."""

    settings: Settings
    db: Database
    store: ObjectStore
    library: Library
    vendor: MemoryVendor
    mailer: MemoryMailer
    flows: Flows
    deps: Deps
    client: Client
    http: httpx.AsyncClient

    # Sending files

    async def announce(self, data: bytes, **fields: Any) -> dict[str, Any]:
        """Init; the answer's JSON."""
        body = {"filename": "photo.jpg", "content_type": "image/jpeg", "file_size": len(data), **fields}
        response = await self.http.post(f"/api/v1/libraries/{self.library.slug}/uploads", json=body)
        assert response.status_code == 201, response.text
        announced: dict[str, Any] = response.json()
        return announced

    async def put(self, announced: Mapping[str, Any], data: bytes) -> httpx.Response:
        """Send the bytes to the presigned URL, as a browser does."""
        async with httpx.AsyncClient() as browser:
            return await browser.post(announced["url"], data=announced["fields"], files={"file": data})

    async def complete(self, announced: Mapping[str, Any], data: bytes, **fields: Any) -> httpx.Response:
        """Complete; the bare response."""
        body = {
            "upload_token": announced["upload_token"],
            "file_hash": hashlib.sha256(data).hexdigest(),
            "file_size": len(data),
            **fields,
        }
        return await self.http.post(f"/api/v1/uploads/{announced['media_id']}/complete", json=body)

    async def upload(self, data: bytes, **fields: Any) -> str:
        """Init, presigned upload, complete; the media id."""
        announced = await self.announce(data, **fields)
        sent = await self.put(announced, data)
        assert sent.status_code == 204, sent.text
        completed = await self.complete(announced, data)
        assert completed.status_code == 202, completed.text
        media_id: str = announced["media_id"]
        return media_id

    async def seal(self, data: bytes, *, started: bool = True, age: timedelta = timedelta(0), **fields: Any) -> str:
        """An accepted item with its sealed master, as `complete` leaves it, but without a run; the media id.

        `started`: as if it had one, so that no sweep looks after it. `age`: since it was accepted.
        """
        at, owner = now() - age, self.library.id
        media = Media(library_id=owner, filename="photo.jpg", content_type="image/jpeg", declared_bytes=len(data))
        media_id, digest = str(media.id), hashlib.sha256(data).hexdigest()
        key = keys.master(self.library.slug, media_id)
        await self.store.put(key, data, content_type="image/jpeg", sha256=digest)
        media.sqlmodel_update(
            {"status": Status.ACCEPTED, "bytes": len(data), "sha256": digest}
            | {"master_key": key, "created_at": at, "accepted_at": at, "started_at": at if started else None}
            | fields
        )
        async with self.db.transaction() as tx:
            tx.media.add(media)
        return media_id

    async def configure(self, **settings: Any) -> None:
        """Replace settings of the library: `images`, `watermark`, …"""
        async with self.db.transaction() as tx:
            library = await tx.access.library(self.library.slug)
            assert library
            library.settings = {**library.settings, **settings}

    # Looking

    async def media(self, media_id: str) -> Media:
        """The row."""
        async with self.db.transaction() as tx:
            return await tx.media.get(UUID(media_id))

    async def read(self, media_id: str) -> dict[str, Any]:
        """The item as the API shows it."""
        response = await self.http.get(f"/api/v1/media/{media_id}")
        assert response.status_code == 200, response.text
        shown: dict[str, Any] = response.json()
        return shown

    async def until(self, media_id: str, *statuses: Status) -> Media:
        """The row once its status is one of these."""
        async with asyncio.timeout(PATIENCE):
            while (row := await self.media(media_id)).status not in statuses:
                await asyncio.sleep(0.05)
        return row

    async def timeline(self, media_id: str) -> list[str]:
        """The kinds of the timeline, in order."""
        async with self.db.transaction() as tx:
            return [line.kind for line in await tx.media.timeline(UUID(media_id))]

    async def objects(self, media_id: str) -> list[str]:
        """Every key in the store that belongs to the item, without the library's folder and the id."""
        found = []
        for prefix in (self.library.slug, "work/", "staging/"):
            found += [stat.key async for stat in self.store.list(prefix) if media_id in stat.key]
        return sorted(key.removeprefix(f"{self.library.slug}/").replace(media_id, "ID") for key in found)

    def cached(self, sha256: str) -> Path:
        """Where the workers keep a downloaded master."""
        assert self.settings.cache_dir
        return self.settings.cache_dir / sha256

    @asynccontextmanager
    async def workers(self, *roles: Role, **deps: Any) -> AsyncIterator[None]:
        """Workers of these roles (none named: all) for the time of the block. `deps`: in place of the world's own."""
        async with AsyncExitStack() as stack:
            built = build_workers(
                self.client,
                replace(self.deps, **deps),
                roles or tuple(Role),
                prefix=self.flows.prefix,
                runner=SandboxedWorkflowRunner(),
            )
            for worker in built:
                await stack.enter_async_context(worker)
            yield

    def run(self, media_id: str) -> WorkflowHandle[Any, Any]:
        """The item's run."""
        return self.client.get_workflow_handle(workflow_id(media_id))

    async def ended(self, media_id: str) -> dict[str, Any]:
        """The result of the run, once it has ended; raises WorkflowFailureError if it failed."""
        async with asyncio.timeout(PATIENCE):
            result: dict[str, Any] = await self.run(media_id).result()
        return result

    # The vendor's side

    def event(self, media_id: str, verdict: str = "approve", **fields: Any) -> dict[str, Any]:
        """A result in the generic form."""
        return {
            "event_id": f"evt-{uuid4().hex}",
            "media_id": media_id,
            "vendor": VENDOR,
            "occurred_at": datetime.now(UTC).isoformat(),
            "verdict": verdict,
            "scores": {},
            "labels": [],
            "final": True,
            **fields,
        }

    async def webhook(self, *events: Mapping[str, Any], **changes: Any) -> httpx.Response:
        """Send events as the vendor does: one as an object, several as a batch. `changes`: to headers, or `body`."""
        payload = events[0] if len(events) == 1 else {"events": list(events)}
        body = changes.pop("body", None) or json.dumps(payload).encode()
        headers = signed(body, at=changes.pop("at", None)) | changes
        url = f"/api/v1/webhooks/moderation/{VENDOR}"
        return await self.http.post(url, content=body, headers={"Authorization": "", **headers})


GateWith = Callable[..., AbstractAsyncContextManager[World]]
"""The fixture `gate_with`: a world with settings of its own."""


def signed(body: bytes, *, at: datetime | None = None, secret: SecretStr = SECRET) -> dict[str, str]:
    """Headers of a Standard Webhook."""
    webhook_id, at = f"msg-{uuid4().hex}", at or datetime.now(UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret.get_secret_value()).sign(webhook_id, at, body.decode("latin-1")),
        "content-type": "application/json",
    }


@asynccontextmanager
async def open_world(
    settings: Settings,
    client: Client,
    db: Database,
    store: ObjectStore,
    library: Library,
    folder: Path,
    *,
    roles: Sequence[Role] = tuple(Role),
    skip_time: bool = False,
) -> AsyncIterator[World]:
    """A gate on task queues of its own. `skip_time`: its runs' timers fire as soon as nothing else is to be done."""
    # The circuit breaker is in the database, which all worlds of a process share: no test opens it for the next one.
    patient = VendorSettings(kind=VendorKind.GENERIC, breaker_failures=100_000)
    settings = settings.model_copy(
        update={"vendor_name": VENDOR, "admin_mails": ("admin@example.test",), "cache_dir": folder / "cache"}
        | {"vendors": {VENDOR: patient, **settings.vendors}}
    )
    starter = TimeSkipper(client).client if skip_time else client
    flows = Flows(starter, prefix=f"t{uuid4().hex[:12]}")
    vendor, mailer = MemoryVendor(name=VENDOR, secret=SECRET), MemoryMailer()
    signer = DeliverySigner(settings.delivery_secrets)
    token = await issue_key(db, library.id, Scope.UPLOADS_WRITE, Scope.MEDIA_READ, Scope.REVIEW_WRITE)
    app = create_app(settings)
    vault = wiring.open_vault(settings)
    app.state.gate = Gate(
        settings=settings, db=db, store=store, flows=flows, vendors={VENDOR: vendor}, signer=signer, vault=vault
    )
    async with AsyncExitStack() as stack:
        if vault:
            stack.callback(vault.store.close)
            await vault.store.ensure_locked_bucket()
        deps = Deps(
            settings=settings,
            db=db,
            store=store,
            sources=SourceCache(folder / "cache", store, max_bytes=64 * MIB),
            vendors={VENDOR: vendor},
            mailer=mailer,
            flows=flows,
            pictures=picture_pool(),
            signer=signer,
            purger=MemoryPurger() if settings.purge_url else None,
            scanner=MemoryScanner() if settings.clamd else None,
            vault=vault,
            import_sources=wiring.open_import_sources(settings),
        )
        for source in deps.import_sources.values():
            stack.callback(source.close)
        http = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app, raise_app_exceptions=False),
                base_url=settings.public_url,
                headers={"Authorization": f"Bearer {token}"},
            )
        )
        for worker in build_workers(client, deps, roles, prefix=flows.prefix, runner=SandboxedWorkflowRunner()):
            await stack.enter_async_context(worker)
        yield World(settings, db, store, library, vendor, mailer, flows, deps, client, http)


async def issue_key(db: Database, library_id: UUID | None, *scopes: Scope) -> str:
    """A new API key."""
    issued = api_keys.issue()
    async with db.transaction() as tx:
        tx.access.add_key(
            ApiKey(
                prefix=issued.prefix,
                digest=issued.digest,
                name="tester",
                library_id=library_id,
                scopes=[scope.value for scope in scopes],
            )
        )
    return issued.token
