"""Uploads in, several in one form."""

from datetime import timedelta
from uuid import UUID, uuid5

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from activities.acceptance import accept, accepted_type, check_size, spend
from activities.outbox import start_or_owe
from api.deps import Gate, GateDep, Uploader, library_for, take_uploads
from api.forms import ReceivedFile, ReceivedForm, received_form
from api.idempotency import HEADER, identity, once
from api.models import MAX_CAPTION, BatchAccepted, BatchItem, UploadTexts
from api.problems import told
from db.tables import Batch, Library, Media, now
from mediagate.errors import CallerError, Expired, QuotaExceeded, Unavailable
from mediagate.media.filenames import clean_filename
from mediagate.media.values import Limits, Status
from mediagate.storage import keys

router = APIRouter(tags=["uploads"])

_FORM = {
    "type": "object",
    "required": ["files"],
    "properties": {
        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
        "caption": {"type": "string", "maxLength": MAX_CAPTION},
        "title": {"type": "string", "maxLength": 200},
        "alt_text": {"type": "string", "maxLength": 1000},
        "tags": {"type": "array", "items": {"type": "string"}, "description": "each a field, or comma-separated"},
        "category": {"type": "string"},
        "language": {"type": "string", "description": "BCP 47: de, pt-BR"},
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
    """Take up to 20 `files` (multipart/form-data) and words for them all; one bad file never fails the others."""
    library = await library_for(gate, caller, slug)
    take_uploads(gate, caller, library)
    await gate.backlog.check()
    async with received_form(request, max_files=gate.settings.max_files_per_request) as form:
        batch = Batch(
            id=identity(request, caller, form.fingerprint),
            library_id=library.id,
            tracking_id=request.state.tracking_id,
            files=len(form.files),
        )

        async def take() -> BatchAccepted:
            return await _take(gate, library, batch, form, resumable=HEADER in request.headers, trusted=caller.trusted)

        return await once(request, gate, caller, form.fingerprint, take, status=202)


async def _take(
    gate: Gate, library: Library, batch: Batch, form: ReceivedForm, *, resumable: bool, trusted: bool
) -> BatchAccepted:
    """Rows, bytes, acceptance, start, in this order: a crash leaves rows that expire together with their objects.

    The rows of all files are there before the first run can end, so that no batch is summed up half received. Ids come
    from the batch, whose own comes from the `Idempotency-Key`: a request that died goes on where it was.
    """
    limits = gate.settings.limits(library.settings)
    rows = [_row(gate, limits, batch, received, form.texts, place) for place, received in enumerate(form.files)]
    async with gate.db.transaction() as tx:
        if await tx.media.put_batch(batch):
            for place, row in enumerate(rows):
                if isinstance(row, Media):
                    try:
                        await spend(tx, library, limits, row.declared_bytes)
                    except QuotaExceeded as error:
                        rows[place] = error
                        continue
                    row.trusted = trusted
                    tx.media.add(row)
                    await tx.session.flush()
                    facts = {"filename": row.filename, "bytes": row.declared_bytes}
                    await tx.media.record(row.id, "created", "created", facts)
    items: list[BatchItem] = []
    trouble: Unavailable | None = None
    for row, received in zip(rows, form.files, strict=True):
        try:
            media = await _take_one(gate, library, row, received)
            items.append(BatchItem(filename=received.filename, media_id=media.id, status=media.status))
        except (CallerError, Unavailable) as error:
            trouble = error if isinstance(error, Unavailable) else trouble
            items.append(BatchItem(filename=received.filename, error={"code": error.code, "detail": told(error)}))
    # Without a key nobody could ask again for what was accepted: it must be named, and trouble fails one file only.
    if trouble and (resumable or all(item.error for item in items)):
        raise trouble
    return BatchAccepted(batch_id=batch.id, items=items)


def _row(
    gate: Gate, limits: Limits, batch: Batch, received: ReceivedFile, texts: UploadTexts, place: int
) -> Media | CallerError:
    """The item of the file at this place of the form, or why there is none."""
    try:
        filename, content_type = clean_filename(received.filename), accepted_type(received.content_type, limits)
        check_size(received.size, limits)
    except CallerError as error:
        return error
    return Media(
        id=uuid5(batch.id, str(place)),
        library_id=batch.library_id,
        batch_id=batch.id,
        filename=filename,
        content_type=content_type,
        declared_bytes=received.size,
        **texts.model_dump(),
        tracking_id=batch.tracking_id,
        expires_at=now() + timedelta(seconds=gate.settings.upload_expires),
    )


async def _take_one(gate: Gate, library: Library, row: Media | CallerError, received: ReceivedFile) -> Media:
    if isinstance(row, CallerError):
        raise row
    media = await _present(gate, row.id)
    if media.status is Status.EXPIRED:
        raise Expired("This file was announced too long ago; send it under another Idempotency-Key.")
    if media.status is Status.AWAITING_UPLOAD:
        master = keys.master(library.slug, str(media.id))
        await gate.store.put(master, received.path, content_type=media.content_type, sha256=received.sha256)
        async with gate.db.transaction() as tx:
            media = await tx.media.get(media.id, lock=True)
            await accept(tx, media, sha256=received.sha256, size=received.size, master=master)
    if media.started_at is None:
        await start_or_owe(gate.db, gate.flows, gate.settings, media, library)
    return media


async def _present(gate: Gate, media_id: UUID) -> Media:
    async with gate.db.transaction() as tx:
        return await tx.media.get(media_id)
