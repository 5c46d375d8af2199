"""Bytes of stored pictures, out: by signed URL or by key; the row decides at each request."""

import time
from contextlib import suppress
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from api.deps import Gate, GateDep, allowed, media_for
from db.tables import Media
from mediagate.access.api_keys import Scope
from mediagate.access.delivery import Purpose
from mediagate.errors import NotFound, ObjectMissing
from mediagate.media.lifecycle import UNDER_MODERATION
from mediagate.media.values import Status, VariantFile, VariantName

router = APIRouter(tags=["files"])

SOURCE = "source"

# Pictures of strangers on our own origin: nothing in them may run, frame or be sniffed into something else.
_SANDBOX = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


@router.get("/media/{media_id}/files/{name}", response_class=Response)
async def read_file(
    media_id: UUID,
    name: str,
    request: Request,
    gate: GateDep,
    expires: str = "",
    purpose: str = "",
    signature: str | None = None,
) -> Response:
    """A variant (`original`, `medium`, `thumb`, `moderation`) or, with a key, the `source`.

    A public signature opens approved items only, a moderation signature the moderation copy while the item is under
    moderation; for every other item there is nothing here, whatever was signed earlier.
    """
    meant = None
    if signature is None:
        caller = await allowed(Scope.MEDIA_READ)(request, gate)
        await media_for(gate, caller, media_id)
    else:
        given = {"expires": expires, "purpose": purpose, "signature": signature}
        meant = gate.signer.check(str(media_id), name, **given, now=int(time.time()))
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    try:
        return await _serve(gate, media_id, name, meant, known)
    except ObjectMissing:
        # It was filed elsewhere between the look at the row and the look at the store: the row knows by now.
        return await _serve(gate, media_id, name, meant, known)


async def _serve(gate: Gate, media_id: UUID, name: str, purpose: Purpose | None, known: set[str]) -> Response:
    file = _parsed(name)
    async with gate.db.transaction() as tx:
        media = await tx.media.get(media_id)
        variant = await tx.media.variant(media_id, file) if file else None
    if purpose is not None and not (file and _open_to(purpose, media, file)):
        raise NotFound("There is nothing to see here.")
    if name == SOURCE and media.master_key:
        key, etag, kind = media.master_key, media.sha256 or "", "application/octet-stream"
    elif variant:
        key, etag, kind = variant.key, variant.sha256, f"image/{variant.format}"
    else:
        raise NotFound("There is no such picture of this item.")
    headers = {
        **_SANDBOX,
        "ETag": f'"{etag}"',
        "Content-Disposition": "attachment" if name == SOURCE else "inline",
        # A takedown must show at once, so nobody may use a copy without asking again.
        "Cache-Control": "private, no-cache",
    }
    if headers["ETag"] in known:
        return Response(status_code=304, headers=headers)
    stat = await gate.store.stat(key)
    headers["Content-Length"] = str(stat.size)
    return StreamingResponse(gate.store.stream(key), media_type=kind, headers=headers)


def _parsed(name: str) -> VariantFile | None:
    with suppress(ValueError):
        return VariantFile.parse(name)
    return None


def _open_to(purpose: Purpose, media: Media, file: VariantFile) -> bool:
    if purpose is Purpose.MODERATION:
        return file.name is VariantName.MODERATION and media.status in UNDER_MODERATION
    return media.status is Status.APPROVED and file.name is not VariantName.MODERATION
