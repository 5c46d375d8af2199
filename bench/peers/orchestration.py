"""The gate's own HTTP API and its own steps with something else in place of Temporal.

    python -m bench.peers.orchestration in-process|procrastinate-api|procrastinate-worker --port P

`in-process`: a task of the API's own process leads each upload; a crash loses what is under way. `procrastinate`: a
queue in the same Postgres (https://procrastinate.readthedocs.io), one job for each step, and a worker process.
"""

import argparse
import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import procrastinate
import uvicorn
from fastapi import FastAPI
from temporalio.testing import ActivityEnvironment

from activities.deps import Deps
from activities.filing import Filing
from activities.moderation import Moderation
from activities.notifying import Notifying
from activities.opening import open_deps
from activities.projecting import Projecting
from activities.rendering import Rendering
from activities.verifying import Verifying
from api.app import create_app, open_gate
from mediagate.media.lifecycle import status_for
from mediagate.moderation.findings import VendorEvent
from mediagate.processes import leave
from mediagate.settings import Settings
from mediagate.telemetry import configure_logging
from workflows.client import Flows
from workflows.messages import DecisionInput, FileInput, MediaRef, NotifyInput, SubmitInput, UploadInput
from workflows.names import Role

JOBS_AT_ONCE = 12


@dataclass
class Steps:
    """What an upload goes through, over one outside world."""

    deps: Deps

    def __post_init__(self) -> None:
        self._rendering = Rendering(self.deps, Verifying(self.deps))
        self._moderation, self._projecting = Moderation(self.deps), Projecting(self.deps)
        self._filing = Filing(self.deps, Notifying(self.deps))

    async def render(self, ref: MediaRef) -> None:
        """Check it and make its pictures."""
        result = await _run(self._rendering.verify_and_render, _ref(ref))
        if result.refused:
            raise SystemExit(f"The bench sends pictures that pass; this one is {result.refused}.")

    async def submit(self, ref: MediaRef) -> None:
        """Hand it to the vendor."""
        await _run(self._moderation.submit_for_moderation, SubmitInput(**_ref(ref).model_dump()))

    async def decide_and_file(self, ref: MediaRef, event: VendorEvent) -> None:
        """The policy's decision, and everything in its place."""
        known = _ref(ref).model_dump()
        decision = await _run(self._projecting.record_decision, DecisionInput(**known, events=(event,)))
        notice = NotifyInput(**known, kind="moderation_result", detail=status_for(decision.verdict).value)
        job = FileInput(**known, verdict=decision.verdict, reason=decision.reason, notice=notice)
        await _run(self._filing.file_media, job)


def _ref(ref: MediaRef) -> MediaRef:
    return MediaRef(media_id=ref.media_id, library=ref.library, tracking_id=ref.tracking_id)


async def _run(step: Callable[[Any], Any], job: Any) -> Any:
    return await ActivityEnvironment().run(step, job)


class NoTemporal(Flows):
    """What of `Flows` the API needs for an upload that meets no trouble."""

    def __init__(self) -> None:
        pass

    async def backlog(self, role: Role) -> tuple[int, float]:  # noqa: ARG002
        return 0, 0.0


class InProcess(NoTemporal):
    """A task for each upload."""

    def __init__(self) -> None:
        self.steps: Steps | None = None
        self._words: dict[str, asyncio.Future[VendorEvent]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start_upload(self, upload: UploadInput, *, link: str = "", anew: bool = False) -> str | None:  # noqa: ARG002
        self._words[upload.media_id] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._lead(upload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return "in-process"

    async def signal_moderation(self, media_id: str, event: VendorEvent) -> bool:
        self._words[media_id].set_result(event)
        return True

    async def _lead(self, upload: UploadInput) -> None:
        assert self.steps
        await self.steps.render(upload)
        await self.steps.submit(upload)
        event = await self._words[upload.media_id]
        await self.steps.decide_and_file(upload, event)
        del self._words[upload.media_id]


RETRY = procrastinate.RetryStrategy(exponential_wait=2)


class Queued(NoTemporal):
    """A job for each step, in Postgres."""

    def __init__(self, settings: Settings) -> None:
        self.steps: Steps | None = None
        url = settings.database_url.get_secret_value()
        self.app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
        self._render = self.app.task(self._rendered, name="render", queue="cpu", retry=RETRY)
        self._submit = self.app.task(self._submitted, name="submit", queue="vendor", retry=RETRY)
        self._file = self.app.task(self._filed, name="file", queue="io", retry=RETRY)

    async def start_upload(self, upload: UploadInput, *, link: str = "", anew: bool = False) -> str | None:  # noqa: ARG002
        return str(await self._render.defer_async(ref=_ref(upload).model_dump()))

    async def signal_moderation(self, media_id: str, event: VendorEvent) -> bool:
        await self._file.defer_async(media_id=media_id, event=event.model_dump(mode="json"))
        return True

    async def _rendered(self, ref: dict[str, str]) -> None:
        assert self.steps
        await self.steps.render(MediaRef(**ref))
        await self._submit.defer_async(ref=ref)

    async def _submitted(self, ref: dict[str, str]) -> None:
        assert self.steps
        await self.steps.submit(MediaRef(**ref))

    async def _filed(self, media_id: str, event: dict[str, Any]) -> None:
        assert self.steps
        async with self.steps.deps.db.transaction() as tx:
            media, library = await tx.media.with_library(UUID(media_id))
        ref = MediaRef(media_id=media_id, library=library.slug, tracking_id=media.tracking_id)
        await self.steps.decide_and_file(ref, VendorEvent.model_validate(event))


async def serve(kind: str, settings: Settings, port: int) -> None:
    """The API; in-process it does the work as well."""
    flows: Any = InProcess() if kind == "in-process" else Queued(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        async with AsyncExitStack() as stack:
            gate = await stack.enter_async_context(open_gate(settings))
            if isinstance(flows, InProcess):
                flows.steps = Steps(await stack.enter_async_context(open_deps(settings, None)))  # type: ignore[arg-type]
            else:
                await stack.enter_async_context(flows.app.open_async())
            app.state.gate = replace(gate, flows=flows)
            yield

    app = create_app(settings)
    app.router.lifespan_context = lifespan
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False)
    await uvicorn.Server(config).serve()


async def work(settings: Settings) -> None:
    """The worker of the queue."""
    flows = Queued(settings)
    async with open_deps(settings, None) as deps, flows.app.open_async():  # type: ignore[arg-type]
        flows.steps = Steps(deps)
        await flows.app.run_worker_async(concurrency=JOBS_AT_ONCE, delete_jobs="successful")


async def prepare(settings: Settings) -> None:
    """The queue's tables, once."""
    app = Queued(settings).app
    async with app.open_async():
        if not await app.check_connection_async():  # which looks for its tables
            await app.schema_manager.apply_schema_async()


def main() -> None:
    """Entry point of each of the processes."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers.orchestration")
    parser.add_argument("kind", choices=["in-process", "procrastinate-api", "procrastinate-worker"])
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    settings = Settings()
    configure_logging(settings, process=asked.kind)
    worker = asked.kind == "procrastinate-worker"
    asyncio.run(work(settings) if worker else serve(asked.kind, settings, asked.port))
    leave(0)


if __name__ == "__main__":
    main()
