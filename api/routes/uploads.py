"""Uploads in: announced and presigned, completed, or sent directly."""

import asyncio
import contextlib
import hashlib
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from activities.outbox import start_upload
from api.deps import Gate, GateDep, Uploader, library_for, media_for
from api.idempotency import once
from api.models import (
    MAX_CAPTION,
    BatchAccepted,
    BatchItem,
    UploadAccepted,
    UploadComplete,
    UploadCreate,
    UploadCreated,
)
from db.repositories.media import MediaRepository
from db.tables import Batch, Library, Media, now
from mediagate.access import upload_tokens
from mediagate.errors import (
    CallerError,
    Expired,
    HashMismatch,
    InvalidRequest,
    NotUploaded,
    ObjectMissing,
    SizeMismatch,
    StorageUnavailable,
    TooLarge,
    TooManyFiles,
    Unavailable,
    UnsupportedType,
    WrongUploadToken,
)
from mediagate.media.filenames import clean_filename
from mediagate.media.values import Limits, Status
from mediagate.storage import keys
from workflows.names import workflow_id

log = structlog.get_logger()
router = APIRouter(tags=["uploads"])

ACCEPTED_TYPES = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/png": "image/png",
    "image/webp": "image/webp",
    "image/gif": "image/gif",
}
"""Declared types that are taken, and their registered names (IANA media types)."""

CHUNK = 256 * 1024


@router.post("/libraries/{slug}/uploads", status_code=201, response_model=UploadCreated)
async def create_upload(
    slug: str, body: UploadCreate, request: Request, gate: GateDep, caller: Uploader
) -> JSONResponse:
    """Announce an upload; the answer says where to send the bytes, for the next `expires_in` seconds."""
    library = await library_for(gate, caller, slug)

    async def create() -> UploadCreated:
        return await _create(gate, library, body, request.state.tracking_id)

    return await once(request, gate, caller, await request.body(), create, status=201)


async def _create(gate: Gate, library: Library, body: UploadCreate, tracking_id: str) -> UploadCreated:
    filename, content_type = clean_filename(body.filename), _accepted_type(body.content_type)
    _check_size(body.file_size, gate.settings.limits(library.settings))
    token = upload_tokens.issue()
    lifetime = timedelta(seconds=gate.settings.upload_expires)
    media = Media(
        library_id=library.id,
        filename=filename,
        content_type=content_type,
        declared_bytes=body.file_size,
        caption=body.caption,
        sha256=body.sha256,
        upload_token=token.digest,
        tracking_id=tracking_id,
        expires_at=now() + lifetime,
    )
    presigned = await gate.store.presign_upload(
        keys.staging(str(media.id)), content_type=content_type, max_bytes=body.file_size, expires=lifetime
    )
    async with gate.db.transaction() as tx:
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
            await start_or_owe(gate, accepted, library)
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
        await _check_stored(gate, media, body.file_size)
        master = keys.master(library.slug, str(media_id))
        await gate.store.copy(keys.staging(str(media_id)), master)
        found = await gate.store.sha256(master)
        if found != body.file_hash:
            await gate.store.delete(master)
            raise HashMismatch(f"The stored object has SHA-256 {found}, not {body.file_hash}.")
        await _accept(tx.media, media, sha256=found, size=body.file_size, master=master)
    with contextlib.suppress(StorageUnavailable):  # filing deletes it again
        await gate.store.delete(keys.staging(str(media_id)))
    return media


def _completed_before(media: Media, body: UploadComplete) -> Media:
    if media.status is Status.EXPIRED:
        raise Expired("The upload session has expired; announce the upload again.")
    if media.sha256 != body.file_hash:
        raise HashMismatch("This upload was completed with another SHA-256.")
    return media


async def _check_stored(gate: Gate, media: Media, size: int) -> None:
    try:
        stored = await gate.store.stat(keys.staging(str(media.id)))
    except ObjectMissing as error:
        raise NotUploaded from error
    if stored.size != size:
        raise SizeMismatch(f"The stored object has {stored.size} bytes, not {size}.")
    if stored.size > media.declared_bytes:
        raise SizeMismatch(f"The stored object has {stored.size} bytes; {media.declared_bytes} were announced.")


async def start_or_owe(gate: Gate, media: Media, library: Library) -> None:
    """Start the run now if the service answers; else the row owes it and the sweep pays."""
    try:
        await start_upload(gate.db, gate.flows, gate.settings, media, library)
    except Unavailable as error:
        log.warning("upload.start_owed", media_id=str(media.id), error=error.code)


_FORM = {
    "type": "object",
    "required": ["files"],
    "properties": {
        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "caption": {"type": "string", "maxLength": MAX_CAPTION},
    },
}


@router.post(
    "/libraries/{slug}/media",
    status_code=202,
    response_model=BatchAccepted,
    # The form is read by hand, so that its limits are ours; the description is told by hand, too.
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
)
async def upload_files(slug: str, request: Request, gate: GateDep, caller: Uploader) -> JSONResponse:
    """Take up to 20 `files` (multipart/form-data) and a `caption` for them; one bad file never fails the others."""
    library = await library_for(gate, caller, slug)
    most = gate.settings.max_files_per_request
    try:
        # One more is parsed than allowed, so that what is wrong can be told from a broken form.
        async with request.form(max_files=most + 1, max_fields=20) as form:
            files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
            caption = form.get("caption", "")
            if len(files) > most:
                raise TooManyFiles(f"At most {most} files in one request.")
            if not files:
                raise InvalidRequest("The form has no file under the name 'files'.")
            text = caption[:MAX_CAPTION] if isinstance(caption, str) else ""
            with tempfile.TemporaryDirectory(prefix="mediagate-") as folder:
                received = [await asyncio.to_thread(_receive, file, Path(folder)) for file in files]

                async def take() -> BatchAccepted:
                    return await _take(gate, library, received, text, request.state.tracking_id)

                fingerprint = "\n".join([text, *(f"{r.sha256} {r.filename}" for r in received)])
                return await once(request, gate, caller, fingerprint.encode(), take, status=202)
    except (MultiPartException, HTTPException) as error:
        message = error.message if isinstance(error, MultiPartException) else str(error.detail)
        if message.startswith("Too many files"):
            raise TooManyFiles(f"At most {most} files in one request.") from error
        raise InvalidRequest(f"The form cannot be read: {message}") from error


@dataclass(frozen=True)
class _Received:
    filename: str
    content_type: str
    size: int
    sha256: str
    path: Path


def _receive(part: UploadFile, folder: Path) -> _Received:
    """Bring a part of the form to disk, hashing it on the way."""
    path = folder / uuid4().hex
    digest = hashlib.sha256()
    with path.open("xb") as target:
        while chunk := part.file.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
    return _Received(part.filename or "", part.content_type or "", path.stat().st_size, digest.hexdigest(), path)


async def _take(gate: Gate, library: Library, files: list[_Received], caption: str, tracking_id: str) -> BatchAccepted:
    batch = Batch(id=uuid4(), library_id=library.id, tracking_id=tracking_id, files=len(files))
    async with gate.db.transaction() as tx:
        tx.media.add_batch(batch)
    items: list[BatchItem] = []
    trouble: Unavailable | None = None
    for received in files:
        try:
            media = await _take_one(gate, library, batch, received, caption, tracking_id)
            items.append(BatchItem(filename=received.filename, media_id=media.id, status=media.status))
        except (CallerError, Unavailable) as error:
            # What was accepted before must be named in the answer, so that trouble fails one file, not the request.
            trouble = error if isinstance(error, Unavailable) else trouble
            items.append(BatchItem(filename=received.filename, error={"code": error.code, "detail": error.message}))
    if trouble and all(item.error for item in items):
        raise trouble
    return BatchAccepted(batch_id=batch.id, items=items)


async def _take_one(
    gate: Gate, library: Library, batch: Batch, received: _Received, caption: str, tracking_id: str
) -> Media:
    """Row, bytes, acceptance, start, in this order: a crash leaves a row that expires together with its object."""
    filename, content_type = clean_filename(received.filename), _accepted_type(received.content_type)
    _check_size(received.size, gate.settings.limits(library.settings))
    media = Media(
        library_id=library.id,
        batch_id=batch.id,
        filename=filename,
        content_type=content_type,
        declared_bytes=received.size,
        caption=caption,
        tracking_id=tracking_id,
        expires_at=now() + timedelta(seconds=gate.settings.upload_expires),
    )
    async with gate.db.transaction() as tx:
        tx.media.add(media)
        await tx.session.flush()
        await tx.media.record(media.id, "created", "created", {"filename": filename, "bytes": received.size})
    master = keys.master(library.slug, str(media.id))
    await gate.store.put(master, received.path, content_type=content_type, sha256=received.sha256)
    async with gate.db.transaction() as tx:
        media = await tx.media.get(media.id, lock=True)
        await _accept(tx.media, media, sha256=received.sha256, size=received.size, master=master)
    await start_or_owe(gate, media, library)
    return media


async def _accept(media_rows: MediaRepository, media: Media, *, sha256: str, size: int, master: str) -> None:
    """The moment from which nothing may be lost."""
    await media_rows.move(media, Status.ACCEPTED)
    media.sha256, media.bytes, media.master_key, media.accepted_at = sha256, size, master, now()
    await media_rows.record(media.id, "accepted", "accepted", {"sha256": sha256, "bytes": size})


def _accepted_type(content_type: str) -> str:
    known = ACCEPTED_TYPES.get(content_type.partition(";")[0].strip().lower())
    if known is None:
        raise UnsupportedType(
            f"The type {content_type!r} is not taken; send {', '.join(sorted(set(ACCEPTED_TYPES.values())))}."
        )
    return known


def _check_size(size: int, limits: Limits) -> None:
    if size < 1:
        raise InvalidRequest("The file is empty.")
    if size > limits.max_bytes:
        raise TooLarge(f"The file has {size} bytes; at most {limits.max_bytes} are taken.")
