"""Uploads in: announced, sent to the store, completed."""

import contextlib
from datetime import timedelta
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from activities.acceptance import accept, accepted_type, check_size, spend
from activities.outbox import start_or_owe
from api.deps import Gate, GateDep, Uploader, library_for, media_for, take_uploads
from api.idempotency import once
from api.models import (
    UploadAccepted,
    UploadComplete,
    UploadCreate,
    UploadCreated,
    UploadTexts,
)
from db.tables import Library, Media, now
from mediagate.access import upload_tokens
from mediagate.errors import (
    CallerError,
    Expired,
    HashMismatch,
    NotUploaded,
    ObjectMissing,
    SizeMismatch,
    StorageUnavailable,
    WrongUploadToken,
)
from mediagate.media.filenames import clean_filename
from mediagate.media.values import Status
from mediagate.storage import keys
from mediagate.storage.store import ObjectStat
from workflows.names import workflow_id

router = APIRouter(tags=["uploads"])


@router.post("/libraries/{slug}/uploads", status_code=201, response_model=UploadCreated)
async def create_upload(
    slug: str, body: UploadCreate, request: Request, gate: GateDep, caller: Uploader
) -> JSONResponse:
    """Announce an upload; the answer says where to send the bytes, for the next `expires_in` seconds."""
    library = await library_for(gate, caller, slug)

    async def create() -> UploadCreated:
        take_uploads(gate, caller, library)
        return await _create(gate, library, body, request.state.tracking_id, trusted=caller.trusted)

    return await once(request, gate, caller, await request.body(), create, status=201)


async def _create(
    gate: Gate, library: Library, body: UploadCreate, tracking_id: str, *, trusted: bool
) -> UploadCreated:
    limits = gate.settings.limits(library.settings)
    filename, content_type = clean_filename(body.filename), accepted_type(body.content_type, limits)
    check_size(body.file_size, limits)
    await gate.backlog.check()
    token = upload_tokens.issue()
    lifetime = timedelta(seconds=gate.settings.upload_expires)
    media = Media(
        library_id=library.id,
        filename=filename,
        content_type=content_type,
        declared_bytes=body.file_size,
        **body.model_dump(include=set(UploadTexts.model_fields)),
        sha256=body.sha256,
        upload_token=token.digest,
        tracking_id=tracking_id,
        trusted=trusted,
        expires_at=now() + lifetime,
    )
    presigned = await gate.store.presign_upload(
        keys.staging(str(media.id)), content_type=content_type, max_bytes=body.file_size, expires=lifetime
    )
    async with gate.db.transaction() as tx:
        await spend(tx, library, limits, body.file_size)
        tx.media.add(media)
        await tx.session.flush()
        await tx.media.record(media.id, "created", "created", {"filename": filename, "bytes": body.file_size})
    return UploadCreated(
        media_id=media.id,
        upload_token=token.token,
        method=presigned.method,
        url=presigned.url,
        headers=presigned.headers,
        fields=presigned.fields,
        expires_in=presigned.expires_in,
    )


@router.post("/uploads/{media_id}/complete", status_code=202, response_model=UploadAccepted)
async def complete_upload(
    media_id: UUID, body: UploadComplete, request: Request, gate: GateDep, caller: Uploader
) -> JSONResponse:
    """Check the stored object against size and SHA-256 and accept it. Sent again, it answers the same.

    A refusal leaves the session open until it expires: send the right bytes, or the right hash.
    """
    media, library = await media_for(gate, caller, media_id)

    async def complete() -> UploadAccepted:
        async with gate.sealing:
            accepted = await _seal(gate, library, media_id, body)
        if accepted.started_at is None:
            await start_or_owe(gate.db, gate.flows, gate.settings, accepted, library)
        return UploadAccepted(media_id=media_id, status=accepted.status, workflow_id=workflow_id(str(media_id)))

    if not upload_tokens.matches(body.upload_token, media.upload_token or ""):
        raise WrongUploadToken
    return await once(request, gate, caller, await request.body(), complete, status=202)


async def _seal(gate: Gate, library: Library, media_id: UUID, body: UploadComplete) -> Media:
    """Copy the bytes to where the uploader cannot write, check that copy, and commit.

    The row is locked meanwhile: two completions at once could otherwise exchange the copy after it was checked.
    """
    async with gate.db.transaction() as tx:
        media = await tx.media.get(media_id, lock=True)
        if media.status is not Status.AWAITING_UPLOAD:
            return _completed_before(media, body)
        if media.expires_at and media.expires_at < now():
            raise Expired("The upload session has expired; announce the upload again.")
        expected = media.sha256 or body.file_hash
        if expected != body.file_hash:
            raise HashMismatch("The SHA-256 is not the one that was announced.")
        master = keys.master(library.slug, str(media_id))
        await _copy_checked(gate, media, body, master)
        await accept(tx, media, sha256=body.file_hash, size=body.file_size, master=master)
    with contextlib.suppress(StorageUnavailable):  # filing deletes it again
        await gate.store.delete(keys.staging(str(media_id)))
    return media


def _completed_before(media: Media, body: UploadComplete) -> Media:
    if media.status is Status.EXPIRED:
        raise Expired("The upload session has expired; announce the upload again.")
    if media.sha256 != body.file_hash:
        raise HashMismatch("This upload was completed with another SHA-256.")
    return media


async def _copy_checked(gate: Gate, media: Media, body: UploadComplete, master: str) -> None:
    """The size is looked at before the copy, which may be large, and on the copy, which nobody can exchange."""
    staging = keys.staging(str(media.id))
    try:
        _check_size_of(await gate.store.stat(staging), media, body.file_size)
        await gate.store.copy(staging, master)
    except ObjectMissing as error:
        raise NotUploaded from error
    try:
        _check_size_of(await gate.store.stat(master), media, body.file_size)
        found = await gate.store.sha256(master)
        if found != body.file_hash:
            raise HashMismatch(f"The stored object has SHA-256 {found}, not {body.file_hash}.")
    except CallerError:
        await gate.store.delete(master)
        raise


def _check_size_of(stored: ObjectStat, media: Media, size: int) -> None:
    if stored.size != size:
        raise SizeMismatch(f"The stored object has {stored.size} bytes, not {size}.")
    if stored.size > media.declared_bytes:
        raise SizeMismatch(f"The stored object has {stored.size} bytes; {media.declared_bytes} were announced.")
