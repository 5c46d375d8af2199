"""The branches of the workflows, each driven through the real gate to its end."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from activities.policy_orders import start_run, undo_run
from activities.trash import throw_away
from db.repositories.audit import Actor
from db.tables import Bank, now
from mediagate.errors import Conflict, PurgeUnavailable, VendorUnavailable
from mediagate.media.values import Status, Verdict
from mediagate.moderation.banks import EntryKind, KnownHash
from mediagate.moderation.policy_runs import PolicyMode, RunMode, RunState
from mediagate.notify.purging import MemoryPurger
from mediagate.storage import keys
from mediagate.storage.memory import MemoryStore
from mediagate.storage.store import ObjectStore
from tests.broken import broken_pixels
from tests.evidence import sealing_keys
from tests.policies import CAREFUL, STRICT, filed, run_row, stored
from tests.replay import import_branches
from tests.workflows import runs
from tests.world import VENDOR, World, picture
from workflows import store_client
from workflows.messages import AbortRequest, HumanDecision, SweepInput
from workflows.names import (
    Role,
    policy_run_id,
    rebuild_id,
    remoderation_id,
    renditions_id,
    store_move_id,
    takedown_id,
    task_queue,
    trash_id,
)
from workflows.policy_run_client import order_policy_run
from workflows.policy_run_messages import PolicyRunInput
from workflows.rendition_client import start_rebuild, start_renditions
from workflows.rendition_messages import RebuildInput
from workflows.report_messages import CheckInput, DigestInput
from workflows.schedules import DIGEST_WORKFLOW, VENDOR_HEALTH_WORKFLOW
from workflows.storage_client import start_retention, start_scrub, start_trash
from workflows.storage_messages import RetentionInput, ScrubInput, TrashInput
from workflows.store_messages import StoreAct, StoreMoveInput

Drive = Callable[[World], Awaitable[str]]
"""Drives one run until nothing more is to come but its end; its workflow id."""


@dataclass(frozen=True)
class Branch:
    """How one history comes about: the drive, and the world that it needs."""

    drive: Drive
    world: dict[str, Any] = field(default_factory=dict)


def vendor_says(verdict: str, **scores: float) -> Drive:
    """The short way: verify, render, submit, webhook, file, notify."""

    async def drive(world: World) -> str:
        media_id = await runs.to_moderation(world)
        await world.webhook(world.event(media_id, verdict, scores=scores))
        return world.run(media_id).id

    return drive


def uploads(data: bytes, content_type: str = "image/jpeg") -> Drive:
    """An upload that finds its end by itself."""

    async def drive(world: World) -> str:
        return world.run(await world.upload(data, content_type=content_type)).id

    return drive


async def a_person_decides(world: World) -> str:
    """Review, update `decide`."""
    media_id = await runs.to_review(world)
    await world.flows.decide(media_id, HumanDecision(verdict=Verdict.APPROVE, reviewer="ada", note="Fine."))
    return world.run(media_id).id


async def aborted(world: World) -> str:
    """Update `abort` beside the wait for the webhook."""
    media_id = await runs.to_moderation(world)
    await world.flows.abort(media_id, AbortRequest(actor="ada", reason="Wrong file."))
    return world.run(media_id).id


async def aborted_while_the_vendor_is_away(world: World) -> str:
    """Update `abort` beside a submission that is tried again and again."""
    world.vendor.trouble = VendorUnavailable(retry_after=0.05)
    media_id = await world.upload(picture())
    await runs.retried(world, media_id, "submit_for_moderation")
    await world.flows.abort(media_id, AbortRequest(actor="ada"))
    return world.run(media_id).id


async def late_word(world: World) -> str:
    """A silent vendor, a review, and the word that closes it."""
    media_id = await world.upload(picture())
    await runs.stage(world, media_id, Status.IN_REVIEW)
    await world.webhook(world.event(media_id, "approve"))
    return world.run(media_id).id


async def late_word_unsure(world: World) -> str:
    """The late word is unsure: the review goes on until a person ends it."""
    media_id = await world.upload(picture())
    await runs.stage(world, media_id, Status.IN_REVIEW)
    await world.webhook(world.event(media_id, "review"))
    await runs.happened(world, media_id, runs.E.EVENT_TYPE_TIMER_STARTED, times=3)
    await world.flows.decide(media_id, HumanDecision(verdict=Verdict.QUARANTINE, reviewer="ada"))
    return world.run(media_id).id


async def failed(world: World) -> str:
    """A broken invariant while filing."""
    media_id = await runs.to_moderation(world)
    await world.store.put(f"work/{media_id}/original.jpg", picture(seed=9), content_type="image/jpeg")
    await world.webhook(world.event(media_id))
    return world.run(media_id).id


async def cancelled(world: World) -> str:
    """Cancelled beside the wait for the webhook."""
    media_id = await runs.to_moderation(world)
    await world.run(media_id).cancel()
    return world.run(media_id).id


async def mail_refused(world: World) -> str:
    """The last activity fails and the run does not."""
    world.mailer.refused = {"admin@example.test"}
    return await vendor_says("approve")(world)


async def swept(world: World) -> str:
    """One sweep."""
    return (await runs.start_sweep(world, SweepInput())).id


async def taken_down(world: World) -> str:
    """Withdrawn, where there is no CDN."""
    media_id = await runs.to_approved(world)
    await runs.take_down(world, media_id)
    return takedown_id(media_id)


async def purged_late(world: World) -> str:
    """Withdrawn while the purge hook is away for so long that admins are told."""
    assert isinstance(world.deps.purger, MemoryPurger)
    media_id = await runs.to_approved(world)
    world.deps.purger.trouble = PurgeUnavailable(retry_after=1200)
    await runs.take_down(world, media_id)
    await runs.mailed(world, media_id, "system_alert")
    world.deps.purger.trouble = None
    return takedown_id(media_id)


async def takedown_failed(world: World) -> str:
    """A broken invariant while the files of what is closed already are moved."""
    media_id = await runs.to_approved(world)
    key = keys.filed(world.library.slug, Status.APPROVED, media_id, "original")
    await world.store.put(key, picture(seed=9), content_type="image/jpeg")
    await runs.take_down(world, media_id)
    return takedown_id(media_id)


async def known_bad(world: World) -> str:
    """A hash bank decides: no vendor is asked."""
    data = picture(seed=31)
    bank = Bank(library_id=world.library.id, name="leaks", category="gore", action=Verdict.REJECT)
    async with world.db.transaction() as tx:
        await tx.banks.add(bank)
        await tx.banks.put(bank.id, [KnownHash(EntryKind.SHA256, hashlib.sha256(data).hexdigest())], by="ada")
    return await uploads(data)(world)


async def two_vendors(world: World) -> str:
    """One answers, the other does not exist."""
    await world.configure(policy={"ask": [VENDOR, "nobody"]})
    return await vendor_says("reject", nudity=0.95)(world)


async def word_while_filing(world: World) -> str:
    """A word between the decision and the filing: the run looks once more at its end. No worker does I/O by itself."""
    media_id = await world.upload(picture())
    async with world.workers(Role.IO):
        await runs.stage(world, media_id, Status.AWAITING_MODERATION)
    await world.webhook(world.event(media_id, "approve"))
    await runs.scheduled(world, media_id, "file_media")
    await world.webhook(world.event(media_id, "reject"))
    async with world.workers(Role.IO):
        await world.ended(media_id)
    return world.run(media_id).id


async def remoderated(world: World) -> str:
    """The vendor changes its mind, and the item is public no more."""
    media_id = await runs.to_approved(world)
    await world.webhook(world.event(media_id, "reject"))
    return remoderation_id(media_id)


async def restored(world: World) -> str:
    """The vendor changes its mind, and the item becomes public."""
    await world.configure(images={"siblings": ["webp"], "build": "eager"})
    media_id = await runs.to_moderation(world)
    await world.webhook(world.event(media_id, "reject"))
    await world.ended(media_id)
    await world.webhook(world.event(media_id, "approve"))
    return remoderation_id(media_id)


async def remoderated_by_a_person(world: World) -> str:
    """What a person published is looked at by a person again."""
    media_id = await _doubted(world)
    await world.until(media_id, Status.IN_REVIEW)
    await world.flows.decide(media_id, HumanDecision(verdict=Verdict.REJECT, reviewer="ada"))
    return remoderation_id(media_id)


async def remoderated_by_nobody(world: World) -> str:
    """The same, and the deadline passes."""
    return remoderation_id(await _doubted(world))


async def _doubted(world: World) -> str:
    media_id = await runs.to_review(world)
    await world.flows.decide(media_id, HumanDecision(verdict=Verdict.APPROVE, reviewer="ada"))
    await world.ended(media_id)
    await world.webhook(world.event(media_id, "reject"))
    return media_id


async def policy_tried(world: World) -> str:
    """A policy is held against decided items; the history begins anew after each page."""
    for _ in range(2):
        await filed(world, scores={"nudity": 0.45})
    draft = await stored(world.db, world.library, STRICT)
    return await _policy_run(world, draft.number, RunMode.DRY_RUN, page=1, stretch=1)


async def policy_applied(world: World) -> str:
    """Previewed and confirmed: one item changes, for one a person is asked, one was taken down meanwhile."""
    gone, *_ = [await filed(world, scores={"nudity": score}) for score in (0.45, 0.45, 0.25)]
    run = await _previewed(world, STRICT)
    await runs.take_down(world, str(gone))
    await order_policy_run(world.flows, run, "confirm", "bob")
    return policy_run_id(run)


async def policy_undone(world: World) -> str:
    """What one run changed is brought back: an item by a new round, another one out of the review it is in."""
    return policy_run_id(str(await _undone(world)))


async def review_taken_back(world: World) -> str:
    """The review that a policy opened, as seen by the run of its item."""
    await _undone(world)
    async with world.db.transaction() as tx:
        (item, *_) = await tx.media.page(world.library.id, status=None, q=None, after=None, limit=1)
    return remoderation_id(str(item.id))


async def policy_not_confirmed(world: World) -> str:
    """Nobody confirms the preview in time."""
    await filed(world, scores={"nudity": 0.45})
    live = await stored(world.db, world.library, STRICT, PolicyMode.LIVE)
    return await _policy_run(world, live.number, RunMode.APPLY)


async def policy_cancelled(world: World) -> str:
    """Paused, resumed and cancelled between two items."""
    media = [await filed(world, scores={"nudity": 0.45}) for _ in range(2)]
    run = await _previewed(world, STRICT, per_second=0.01)
    await order_policy_run(world.flows, run, "confirm", "bob")
    await world.until(str(media[1]), Status.REJECTED)
    for order in ("pause", "resume", "cancel"):
        await order_policy_run(world.flows, run, order, "bob")
    return policy_run_id(run)


async def policy_unreadable(world: World) -> str:
    """The policy cannot be read."""
    await stored(world.db, world.library, STRICT)
    async with world.db.transaction() as tx:
        (await tx.policies.numbered(world.library.id, 1)).document = {"default": "harsh"}
    return await _policy_run(world, 1, RunMode.DRY_RUN)


async def _policy_run(world: World, number: int, mode: RunMode, **fields: Any) -> str:
    job = PolicyRunInput(run_id=str(uuid4()), library=world.library.slug, mode=mode, actor="ada", **fields)
    return policy_run_id(str((await start_run(world.db, world.flows, world.library, number, job)).id))


async def _previewed(world: World, text: str, **fields: Any) -> str:
    live = await stored(world.db, world.library, text, PolicyMode.LIVE)
    run = (await _policy_run(world, live.number, RunMode.APPLY, **fields)).removeprefix(policy_run_id(""))

    async def waits() -> bool:
        return (await run_row(world.db, UUID(run))).state is RunState.PREVIEWED

    await runs.until(waits)
    return run


async def _undone(world: World) -> UUID:
    """The id of the run that undoes."""
    changed, asked = await filed(world, Verdict.REJECT), await filed(world, scores={"nudity": 0.35})
    run = await _previewed(world, CAREFUL)
    await order_policy_run(world.flows, run, "confirm", "bob")
    await world.client.get_workflow_handle(policy_run_id(run)).result()
    await world.until(str(asked), Status.IN_REVIEW)
    await world.until(str(changed), Status.APPROVED)
    day = timedelta(days=1)
    undo = await undo_run(world.db, world.flows, world.library, UUID(run), by="eve", review=day)
    await world.client.get_workflow_handle(policy_run_id(str(undo.id))).result()
    return undo.id


async def renditions(world: World) -> str:
    """Further pictures of an item, asked for after its approval."""
    await world.configure(images={"siblings": ["webp"]})
    media_id = await runs.to_approved(world)
    await start_renditions(world.flows, media_id, world.library.slug)
    return renditions_id(media_id)


async def eager(world: World) -> str:
    """An upload whose library wants further pictures at once."""
    await world.configure(images={"siblings": ["webp"], "build": "eager"})
    return world.run(await runs.to_approved(world)).id


async def rebuilt(world: World) -> str:
    """The stale pictures of a library, made anew; more than one page."""
    for _ in range(2):
        await runs.to_approved(world)
    await world.configure(images={"progressive": True})
    await start_rebuild(world.flows, RebuildInput(library=world.library.slug, page=1))
    return rebuild_id(world.library.slug)


async def store_moved(world: World) -> str:
    """All stages, the copying in two pages."""
    job = _between_stores(world, StoreAct.MOVE, lease=timedelta(milliseconds=10))
    async with world.workers(Role.IO, stores=await _stores(world)):
        await (await store_client.start(world.flows, job)).result()
    return store_move_id(world.library.slug)


async def store_move_called_off(world: World) -> str:
    """Cancelled while every process is given time to learn of the move."""

    async def announced() -> bool:
        return (await world.db.placement(world.library.slug)).beside is not None

    async with world.workers(Role.IO, stores=await _stores(world)):
        handle = await store_client.start(world.flows, _between_stores(world, StoreAct.MOVE))
        await runs.until(announced)
        await handle.cancel()
        with suppress(Conflict):
            await store_client.result(handle)
    return handle.id


async def store_cleared(world: World) -> str:
    """Copies where the library does not live."""
    async with world.workers(Role.IO, stores=await _stores(world)):
        await (await store_client.start(world.flows, _between_stores(world, StoreAct.CLEAR))).result()
    return store_move_id(world.library.slug)


async def scrubbed(world: World) -> str:
    """All is well but for a picture and a master that are put back; two histories."""
    media_id = await runs.to_approved(world)
    twin = await world.seal(picture(), status=Status.REJECTED)
    await world.store.delete(f"{world.library.slug}/media/approved/{media_id}/medium.jpg")
    await world.store.delete((await world.media(twin)).master_key or "")
    job = ScrubInput(library=world.library.slug, repair=True, items=2, stretch=1)
    return (await start_scrub(world.flows, job)).id


async def scrub_failed(world: World) -> str:
    """Nothing to scrub: there is no such library."""
    return (await start_scrub(world.flows, ScrubInput(library="nobody"))).id


async def retained(world: World) -> str:
    """Two items thrown away and erased, one a page, over several histories."""
    await world.configure(retention={"rejected": 5})
    old = timedelta(days=9)
    for _ in range(2):
        await world.seal(picture(), age=old, status=Status.REJECTED, updated_at=now() - old)
    job = RetentionInput(library=world.library.slug, limit=1, stretch=2)
    return (await start_retention(world.flows, job)).id


async def thrown_away(world: World) -> str:
    """Caches are told of an item in the trash, late."""
    purger = world.deps.purger
    assert isinstance(purger, MemoryPurger)
    purger.trouble = PurgeUnavailable(retry_after=600)
    media_id = await world.seal(picture(), status=Status.APPROVED)
    ada = Actor("ada", "cli:ada")
    await throw_away(world.db, UUID(media_id), ada, keep=timedelta(days=1), purge=True)
    await start_trash(world.flows, TrashInput(media_id=media_id, library=world.library.slug))
    await runs.mailed(world, media_id, "system_alert")
    purger.trouble = None
    return trash_id(media_id)


def _between_stores(world: World, act: StoreAct, **fields: Any) -> StoreMoveInput:
    given = {"page": 1, "grace": timedelta(0), "lease": timedelta(minutes=1), **fields}
    return StoreMoveInput(library=world.library.slug, act=act, store="archive", actor="ada", via="cli:ada", **given)


async def digested(world: World) -> str:
    """The day before is told of."""
    return await _by_schedule(world, DIGEST_WORKFLOW, DigestInput())


async def vendors_checked(world: World) -> str:
    """Every vendor is asked."""
    return await _by_schedule(world, VENDOR_HEALTH_WORKFLOW, CheckInput())


async def _by_schedule(world: World, workflow: str, job: Any) -> str:
    queue = task_queue(world.flows.prefix, Role.FLOW)
    return (await world.client.start_workflow(workflow, job, id=f"{world.flows.prefix}-{uuid4()}", task_queue=queue)).id


async def _stores(world: World) -> dict[str, ObjectStore]:
    stores: dict[str, ObjectStore] = {"default": MemoryStore(), "archive": MemoryStore()}
    for store in stores.values():
        await store.put(keys.master(world.library.slug, str(uuid4())), b"x", content_type="image/jpeg")
    return stores


SKIPPING = {"skip_time": True}
SEALING = {"evidence_keys": sealing_keys()}
HASTY = {"vendor_wait": 0.1, "vendor_polls": 1}

BRANCHES = {
    "approved": Branch(vendor_says("approve")),
    "rejected": Branch(vendor_says("reject", nudity=0.95)),
    "quarantined": Branch(vendor_says("reject", csam=0.97)),
    "review-decided": Branch(a_person_decides),
    "review-deadline": Branch(uploads(picture()), {"skip_time": True}),
    "refused-by-check": Branch(uploads(b"no picture at all")),
    "refused-by-rendering": Branch(uploads(broken_pixels(), "image/png")),
    "aborted": Branch(aborted),
    "aborted-while-submitting": Branch(aborted_while_the_vendor_is_away),
    "silent-late-word": Branch(late_word, HASTY),
    "silent-late-word-unsure": Branch(late_word_unsure, HASTY),
    "failed": Branch(failed),
    "cancelled": Branch(cancelled),
    "mail-refused": Branch(mail_refused),
    "takedown": Branch(taken_down),
    "takedown-purged-late": Branch(purged_late, {"skip_time": True, "purge_url": "http://cdn.test/purge"}),
    "takedown-failed": Branch(takedown_failed),
    "known-bad": Branch(known_bad),
    "two-vendors": Branch(two_vendors),
    "word-while-filing": Branch(word_while_filing, {"roles": (Role.FLOW, Role.CPU, Role.VENDOR)}),
    "remoderated": Branch(remoderated, SEALING | {"purge_url": "http://cdn.test/purge"} | SKIPPING),
    "remoderated-restored": Branch(restored),
    "remoderated-by-a-person": Branch(remoderated_by_a_person),
    "remoderated-deadline": Branch(remoderated_by_nobody, SKIPPING),
    "rejected-sealed": Branch(vendor_says("reject", nudity=0.95), SEALING),
    "takedown-sealed": Branch(taken_down, SEALING),
    "remoderated-taken-back": Branch(review_taken_back),
    "policy-tried": Branch(policy_tried),
    "policy-applied": Branch(policy_applied),
    "policy-undone": Branch(policy_undone),
    "policy-not-confirmed": Branch(policy_not_confirmed, SKIPPING),
    "policy-cancelled": Branch(policy_cancelled),
    "policy-unreadable": Branch(policy_unreadable),
    "eager": Branch(eager),
    "renditions": Branch(renditions),
    "rebuild": Branch(rebuilt),
    "import": Branch(import_branches.imported, import_branches.IMPORTING),
    "import-continued": Branch(import_branches.import_continued, import_branches.IMPORTING),
    "import-ordered": Branch(import_branches.import_ordered, import_branches.IMPORTING),
    "import-held": Branch(import_branches.import_held, import_branches.IMPORTING | SKIPPING),
    "import-refused": Branch(import_branches.import_refused, import_branches.IMPORTING),
    "import-cancelled": Branch(import_branches.import_cancelled, import_branches.IMPORTING),
    "import-failed": Branch(import_branches.import_failed),
    "store-moved": Branch(store_moved, {"roles": (Role.FLOW,)}),
    "store-move-called-off": Branch(store_move_called_off, {"roles": (Role.FLOW,)}),
    "store-cleared": Branch(store_cleared, {"roles": (Role.FLOW,)}),
    "scrub": Branch(scrubbed),
    "scrub-failed": Branch(scrub_failed),
    "retention": Branch(retained, {"trash_days": 0}),
    "trash": Branch(thrown_away, {"skip_time": True, "purge_url": "http://cdn.test/purge"}),
    "sweep": Branch(swept),
    "digest": Branch(digested),
    "vendor-health": Branch(vendors_checked),
}
"""By the name of the history's file."""
