"""The activities as a test calls them: in an activity's context, in the order of an upload."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlmodel import SQLModel, col
from temporalio.testing import ActivityEnvironment

from activities.filing import Filing
from activities.moderation import Moderation
from activities.notifying import Notifying
from activities.projecting import Projecting
from activities.rendering import Rendering
from activities.verifying import Verifying
from db.tables import MediaDecision, MediaEvent, MediaVariant, Notification
from mediagate.media.values import Verdict
from tests.world import World, picture
from workflows.messages import DecisionInput, FileInput, FileResult, MediaRef, NotifyInput, PollInput, SubmitInput

T = TypeVar("T")


class Steps:
    """Activities over one world; `deps` replace the world's own."""

    def __init__(self, world: World, **deps: Any) -> None:
        self.world = world
        self.deps = replace(world.deps, **deps)
        self.rendering = Rendering(self.deps, Verifying(self.deps))
        self.moderation = Moderation(self.deps)
        self.notifying = Notifying(self.deps)
        self.filing = Filing(self.deps, self.notifying)
        self.projecting = Projecting(self.deps)

    def over(self, **deps: Any) -> "Steps":
        """The same world with other parts."""
        return Steps(self.world, **deps)

    def ref(self, media_id: str) -> MediaRef:
        """The input of most steps."""
        return MediaRef(media_id=media_id, library=self.world.library.slug, tracking_id="t-1")

    def submission(self, media_id: str, vendor: str = "") -> SubmitInput:
        """The input of `submit_for_moderation`."""
        return SubmitInput(**self.ref(media_id).model_dump(), vendor=vendor)

    def poll(self, media_id: str, vendor: str = "") -> PollInput:
        """The input of `poll_vendor`."""
        return PollInput(**self.ref(media_id).model_dump(), vendor=vendor)

    async def rendered(self, data: bytes | None = None) -> str:
        """An item whose pictures are made."""
        media_id = await self.world.seal(data or picture())
        outcome = await perform(self.rendering.verify_and_render, self.ref(media_id))
        assert outcome.refused is None
        return media_id

    async def submitted(self, data: bytes | None = None) -> str:
        """An item that the vendor has."""
        media_id = await self.rendered(data)
        await perform(self.moderation.submit_for_moderation, self.submission(media_id))
        return media_id

    async def file(self, media_id: str, verdict: Verdict = Verdict.APPROVE) -> FileResult:
        """Filing, once."""
        job = FileInput(**self.ref(media_id).model_dump(), verdict=verdict, reason="clean")
        return await perform(self.filing.file_media, job)

    def decision(self, media_id: str, **fields: Any) -> DecisionInput:
        """The input of `record_decision`."""
        return DecisionInput(**self.ref(media_id).model_dump(), **fields)

    def notice(self, media_id: str, **fields: Any) -> NotifyInput:
        """The input of `notify_admins`."""
        return NotifyInput(**self.ref(media_id).model_dump(), **{"kind": "moderation_result", **fields})

    async def state(self, media_id: str) -> dict[str, Any]:
        """Everything that stands about the item: rows without their times, objects with their digests."""
        row = await self.world.media(media_id)
        keys = [await self._absolute(media_id, key) for key in await self.world.objects(media_id)]
        return {
            "media": row.model_dump(exclude={"updated_at"}),
            "objects": {key: await self.world.store.sha256(key) for key in keys},
            "variants": await self._rows(MediaVariant, media_id),
            "decisions": await self._rows(MediaDecision, media_id),
            "timeline": await self._rows(MediaEvent, media_id),
            "notifications": await self._rows(Notification, media_id, "mailed_at"),
        }

    async def _absolute(self, media_id: str, key: str) -> str:
        key = key.replace("ID", media_id)
        return key if key.startswith(("work/", "staging/")) else f"{self.world.library.slug}/{key}"

    async def _rows(self, table: type[SQLModel], media_id: str, *without: str) -> list[dict[str, Any]]:
        query = select(table).where(col(table.media_id) == UUID(media_id))  # type: ignore[attr-defined]
        async with self.world.db.transaction() as tx:
            rows = [row.model_dump(exclude=set(without)) for row in (await tx.session.scalars(query)).all()]
        return sorted(rows, key=str)


def perform(step: Callable[..., T], *args: Any, **info: Any) -> T:
    """Call an activity in a context of its own; `info` replaces what `activity.info()` says."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, **info)
    return environment.run(step, *args)
