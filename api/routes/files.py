"""Bytes of stored pictures, out: by signed URL or by key; the row decides at each request."""

import time
from contextlib import suppress
from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from api.deps import Gate, GateDep, allowed, media_for
from api.files import owed_renditions, stand_in
from db.tables import Library, Media
from mediagate.access.api_keys import Scope
from mediagate.access.delivery import Purpose, SignedQuery, cache_tags, file_url, version_of
from mediagate.errors import NotFound, ObjectMissing, WorkflowsUnavailable
from mediagate.flags import Switch
from mediagate.media.lifecycle import UNDER_MODERATION
from mediagate.media.values import Status, VariantFile, VariantName
from workflows.rendition_client import start_renditions

router = APIRouter(tags=["files"])

SOURCE = "source"

# Pictures of strangers on our own origin: nothing in them may run, frame or be sniffed into something else.
SANDBOX = {
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


class _Found(NamedTuple):
    """A picture that this request may have."""

    media: Media
    library: Library
    key: str
    sha256: str
    content_type: str


@router.head("/media/{media_id}/files/{name}", response_class=Response)
@router.get("/media/{media_id}/files/{name}", response_class=Response)
async def read_file(
    media_id: UUID, name: str, request: Request, gate: GateDep, signed: Annotated[SignedQuery, Query()]
) -> Response:
    """A picture (`original`, `medium`, `thumb`, `medium.webp`, `moderation-2`) or, with a key, the `source`.

    A public signature opens approved items only, a moderation signature the moderation copy while the item is under
    moderation; for every other item there is nothing here, whatever was signed earlier. A URL that was made for bytes
    which have been replaced since (`v`) opens the present ones, and no cache may keep them. A rendition that is not
    made yet is made now; until it is there, its JPEG or the original stands in for it.
    """
    purpose = None
    if signed.signature is None:
        caller = await allowed(Scope.MEDIA_READ)(request, gate)
        await media_for(gate, caller, media_id)
    else:
        purpose = gate.signer.check(str(media_id), name, signed, now=int(time.time()))
    try:
        return await _serve(gate, request, media_id, name, signed, purpose)
    except ObjectMissing:
        # It was filed elsewhere between the look at the row and the look at the store: the row knows by now.
        return await _serve(gate, request, media_id, name, signed, purpose)


async def _serve(
    gate: Gate, request: Request, media_id: UUID, name: str, signed: SignedQuery, purpose: Purpose | None
) -> Response:
    found = await _find(gate, media_id, name, signed.library, purpose)
    headers = {
        **SANDBOX,
        "ETag": f'"{found.sha256}"',
        "Content-Disposition": "attachment" if name == SOURCE else "inline",
        # A takedown must show at once, so nobody may use a copy without asking again.
        "Cache-Control": "private, no-cache",
    }
    if purpose is Purpose.PUBLIC:
        tags = cache_tags(str(media_id), found.library.slug)
        headers |= {"Cache-Tag": ",".join(tags), "Surrogate-Key": " ".join(tags)}
        if age := _max_age(gate, request, media_id, name, signed, found):
            headers["Cache-Control"] = f"public, max-age={age}"
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if headers["ETag"] in known:
        return Response(status_code=304, headers=headers)
    stat = await gate.store.stat(found.key)
    headers["Content-Length"] = str(stat.size)
    if request.method == "HEAD":
        return Response(media_type=found.content_type, headers=headers)
    return StreamingResponse(gate.store.stream(found.key), media_type=found.content_type, headers=headers)


async def _find(gate: Gate, media_id: UUID, name: str, library: str, purpose: Purpose | None) -> _Found:
    """What is behind a name; `library` is that of the signature, if `purpose` is given. Raises NotFound."""
    file = _parsed(name)
    async with gate.db.transaction() as tx:
        media, owner = await tx.media.with_library(media_id)
        rows = await tx.media.variants(media_id)
    variant = next((row for row in rows if row.file == file), None)
    if purpose is not None and not (file and library == owner.slug and _open_to(purpose, media, file)):
        raise NotFound("There is nothing to see here.")
    if name == SOURCE and media.master_key:
        return _Found(media, owner, media.master_key, media.sha256 or "", "application/octet-stream")
    if variant:
        return _Found(media, owner, variant.key, variant.sha256, f"image/{variant.format}")
    if file in owed_renditions(media, owner, rows) and (variant := stand_in(file, rows)):
        if gate.flags.on(Switch.RENDITIONS, str(media_id), library=owner.slug):
            with suppress(WorkflowsUnavailable):  # whoever asks next starts it
                await start_renditions(gate.flows, str(media_id), owner.slug)
        return _Found(media, owner, variant.key, variant.sha256, f"image/{variant.format}")
    raise NotFound("There is no such picture of this item.")


def _max_age(gate: Gate, request: Request, media_id: UUID, name: str, signed: SignedQuery, found: _Found) -> int:
    """Seconds for which caches may keep the answer to a public signature: none unless the URL is the very one that was
    handed out for these bytes.

    Otherwise anybody could have a CDN keep a picture under any number of spellings of its URL.
    """
    spelled = request.scope.get("raw_path", b"") + b"?" + request.scope["query_string"]
    if spelled != file_url("", str(media_id), name, str(signed)).encode() or signed.v != version_of(found.sha256):
        return 0
    return max(0, min(gate.settings.delivery_max_age, int(signed.expires) - int(time.time())))


def _parsed(name: str) -> VariantFile | None:
    with suppress(ValueError):
        return VariantFile.parse(name)
    return None


def _open_to(purpose: Purpose, media: Media, file: VariantFile) -> bool:
    if purpose is Purpose.MODERATION:
        return file.name is VariantName.MODERATION and media.status in UNDER_MODERATION
    return media.status is Status.APPROVED and file.name is not VariantName.MODERATION
