"""What the tests look for in runs: failures, histories, decisions, search attributes."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlmodel import col
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowFailureError, WorkflowHandle

from activities.outbox import start_upload
from db.tables import InboxEvent, MediaDecision, Notification
from mediagate.media.values import Status, Verdict
from mediagate.notify.message import Mail
from tests.world import PATIENCE, World, picture
from workflows.client import SWEEP_WORKFLOW
from workflows.messages import DecisionResult, SweepInput, SweepResult, TakedownInput
from workflows.names import SEARCH_ATTRIBUTES, Role, sweep_schedule_id, task_queue

E = EventType
T = TypeVar("T")


async def until(condition: Callable[[], Awaitable[T]]) -> T:
    """What the condition returns, as soon as that is true."""
    async with asyncio.timeout(PATIENCE):
        while not (found := await condition()):
            await asyncio.sleep(0.03)
    return found


async def to_moderation(world: World) -> str:
    """An upload that waits for the vendor's webhook."""
    media_id = await world.upload(picture())
    await stage(world, media_id, Status.AWAITING_MODERATION)
    return media_id


async def to_review(world: World) -> str:
    """An upload that waits for a person, because of a middling score."""
    media_id = await to_moderation(world)
    await world.webhook(world.event(media_id, "review", scores={"nudity": 0.6}))
    await stage(world, media_id, Status.IN_REVIEW)
    return media_id


async def to_approved(world: World) -> str:
    """An item that is public."""
    media_id = await to_moderation(world)
    await world.webhook(world.event(media_id))
    await world.ended(media_id)
    return media_id


async def take_down(world: World, media_id: str, **fields: Any) -> DecisionResult:
    """As the API does."""
    job = {"verdict": Verdict.QUARANTINE, "reason": "copyright", "actor": "ada", "round": 1, **fields}
    return await world.flows.takedown(TakedownInput(media_id=media_id, library=world.library.slug, **job))


async def stage(world: World, media_id: str, wanted: Status) -> None:
    """Return when the run itself shows this stage: it is later than the row, which is written before the wait."""

    async def reached() -> bool:
        return (await attributes(world, media_id)).get("MediaStage") == wanted.value

    await until(reached)


async def attributes(world: World, media_id: str) -> dict[str, Any]:
    """The run's search attributes, without those that the server sets for itself."""
    described = await world.run(media_id).describe()
    return {pair.key.name: pair.value for pair in described.typed_search_attributes if pair.key in SEARCH_ATTRIBUTES}


async def details(world: World, media_id: str) -> str:
    """What the Web UI shows as the run's present occupation."""
    metadata = await world.run(media_id).query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return str(metadata.current_details)


async def events(world: World, media_id: str, *kinds: EventType.ValueType) -> int:
    """How many events of these kinds (none named: all) the run's history has."""
    history = await world.run(media_id).fetch_history()
    return sum(not kinds or event.event_type in kinds for event in history.events)


async def happened(world: World, media_id: str, kind: EventType.ValueType, times: int = 1) -> None:
    """Return when the history has so many events of a kind."""

    async def counted() -> bool:
        return await events(world, media_id, kind) >= times

    await until(counted)


async def failure(world: World, media_id: str) -> BaseException | None:
    """The failure that a run which must not succeed ended with."""
    with pytest.raises(WorkflowFailureError) as failed:
        await world.ended(media_id)
    return failed.value.cause


async def decisions(world: World, media_id: str) -> list[MediaDecision]:
    """Every decision on the item, the one that opened a review before the one that ended it."""
    query = (
        select(MediaDecision)
        .where(col(MediaDecision.media_id) == UUID(media_id))
        .order_by(col(MediaDecision.round), col(MediaDecision.final))
    )
    async with world.db.transaction() as tx:
        return list((await tx.session.scalars(query)).all())


async def inbox(world: World, media_id: str) -> list[InboxEvent]:
    """Every stored vendor event about the item."""
    async with world.db.transaction() as tx:
        return list(await tx.inbox.of_media(UUID(media_id)))


async def notifications(world: World, media_id: str) -> list[Notification]:
    """Every notification about the item."""
    async with world.db.transaction() as tx:
        return list(await tx.notifications.of_media(UUID(media_id)))


async def mailed(world: World, media_id: str, kind: str) -> list[Mail]:
    """The mails of one kind about the item, once there is one."""

    async def about_it() -> list[Mail]:
        ids = [str(note.id) for note in await notifications(world, media_id) if note.kind == kind]
        return [mail for mail in world.mailer.sent if any(id_ in mail.message_id for id_ in ids)]

    return await until(about_it)


async def timers(world: World, media_id: str) -> list[timedelta]:
    """How long each timer of the run is, in the order in which they were set."""
    history = await world.run(media_id).fetch_history()
    return [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        for event in history.events
        if event.event_type == E.EVENT_TYPE_TIMER_STARTED
    ]


async def retried(world: World, media_id: str, activity: str) -> None:
    """Return when an activity of the run has failed and is tried again."""

    async def again() -> bool:
        described = await world.run(media_id).describe()
        pending = described.raw_description.pending_activities
        return any(p.attempt > 1 for p in pending if p.activity_type.name == activity)

    await until(again)


async def scheduled(world: World, media_id: str, activity: str) -> None:
    """Return when the run has asked for an activity."""

    async def asked() -> bool:
        history = await world.run(media_id).fetch_history()
        names = [event.activity_task_scheduled_event_attributes.activity_type.name for event in history.events]
        return activity in names

    await until(asked)


async def start(world: World, media_id: str) -> None:
    """Pay the start that an accepted item owes."""
    async with world.db.transaction() as tx:
        media, library = await tx.media.with_library(UUID(media_id))
    await start_upload(world.db, world.flows, world.settings, media, library)


AT_ONCE = timedelta(seconds=-60)
"""An age that everything has."""


async def start_sweep(world: World, job: SweepInput) -> WorkflowHandle[Any, SweepResult]:
    """Begin one run of the sweep."""
    return await world.client.start_workflow(
        SWEEP_WORKFLOW,
        job,
        id=f"{sweep_schedule_id(world.flows.prefix)}-{uuid4().hex}",
        task_queue=task_queue(world.flows.prefix, Role.FLOW),
        result_type=SweepResult,
    )


async def sweep(world: World, job: SweepInput) -> SweepResult:
    """One run of the sweep. It looks after the whole database, which is why tests that sweep take `own_db`."""
    return await (await start_sweep(world, job)).result()
