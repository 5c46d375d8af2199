"""A library's settings, and its watermark before anybody sees it on a picture."""

import asyncio
import hashlib
from pathlib import Path
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from activities.rendering import MAX_WATERMARK_BYTES
from api.deps import Admin, Caller, Gate, GateDep, Reader, library_for, media_for
from api.library_models import LibrarySettings, LibrarySettingsPatch, PreviewCreate
from api.library_settings import changing, owns_image, patched, settings_of, wanted_watermark
from api.routes.files import SANDBOX
from db.tables import Library
from mediagate.errors import Conflict, InvalidRequest, NotFound, ObjectMissing
from mediagate.media.renditions import WIDTHS, ImagePolicy, public_specs
from mediagate.media.values import MIB, VariantFile, VariantName, WatermarkSpec
from mediagate.storage import keys

router = APIRouter(tags=["libraries"])

PREVIEW_EDGE = 1200
_MOST_BACKGROUND = 8 * MIB
_EDGES = {file.name: spec.max_edge for file, spec in public_specs(ImagePolicy(responsive=tuple(WIDTHS))).items()}
_IMAGE = {"image/*": {"schema": {"type": "string", "format": "binary"}}}


@router.get("/libraries/{slug}/settings")
async def read_settings(slug: str, gate: GateDep, caller: Reader) -> LibrarySettings:
    """A library's settings, with the defaults where it has none of its own."""
    return settings_of(await library_for(gate, caller, slug), gate.settings)


@router.patch("/libraries/{slug}/settings")
async def change_settings(slug: str, body: LibrarySettingsPatch, gate: GateDep, caller: Admin) -> LibrarySettings:
    """Change a library's settings by a JSON merge patch (RFC 7396).

    They hold for every step of a run that begins from now on; nothing is rendered again by this call.
    """
    await library_for(gate, caller, slug)
    async with changing(gate, caller, slug) as library:
        patch = body.model_dump(exclude_unset=True)
        library.settings = await patched(gate, caller, library, patch)
    return settings_of(library, gate.settings)


@router.put("/libraries/{slug}/watermark/image", openapi_extra={"requestBody": {"required": True, "content": _IMAGE}})
async def put_watermark_image(slug: str, request: Request, gate: GateDep, caller: Admin) -> LibrarySettings:
    """Make the picture in the body (at most 4 MiB, best with transparency) the library's watermark.

    The one before stays in the store, for as long as its `image_key` may be set again.
    """
    await library_for(gate, caller, slug)
    data = await request.body()
    async with gate.drawing:
        await asyncio.to_thread(_check_image, data)
    digest = hashlib.sha256(data).hexdigest()
    # Under the lock, so that nobody deletes the image between its arrival and the setting that names it.
    async with changing(gate, caller, slug) as library:
        key = keys.watermark_image(library.slug, digest)
        await gate.store.put(key, data, content_type="application/octet-stream", sha256=digest)
        watermark = {**library.settings.get("watermark", {}), "image_key": key}
        library.settings = {**library.settings, "watermark": watermark}
    return settings_of(library, gate.settings)


@router.delete("/libraries/{slug}/watermark/image")
async def delete_watermark_image(slug: str, gate: GateDep, caller: Admin) -> LibrarySettings:
    """Take the watermark's image away; its text, if it has one, is the mark again."""
    await library_for(gate, caller, slug)
    async with changing(gate, caller, slug) as library:
        watermark = dict(library.settings.get("watermark", {}))
        if key := watermark.pop("image_key", None):
            library.settings = {**library.settings, "watermark": watermark}
            if owns_image(library, key):
                await gate.store.delete(key)
    return settings_of(library, gate.settings)


@router.post(
    "/libraries/{slug}/watermark/preview",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}, "description": "the preview"}},
)
async def preview_watermark(slug: str, body: PreviewCreate, gate: GateDep, caller: Admin) -> Response:
    """A JPEG of at most 1200 px that shows a watermark, set or not, on an item's picture or on a neutral one.

    It has no effect, so it needs no `Idempotency-Key`, and takes no notice of one.
    """
    library = await library_for(gate, caller, slug)
    if body.variant is VariantName.MODERATION:
        raise InvalidRequest("variant: the moderation copy is never marked.")
    spec = library.watermark if body.watermark is None else await wanted_watermark(gate, library, body.watermark)
    async with gate.drawing:
        image = await _image(gate, spec)
        background = await _background(gate, caller, library, body.media_id) if body.media_id else None
        data = await asyncio.to_thread(_preview, spec, image, gate.settings.watermark_font, body.variant, background)
    return Response(data, media_type="image/jpeg", headers=SANDBOX)


async def _image(gate: Gate, spec: WatermarkSpec) -> bytes | None:
    if not spec.image_key:
        return None
    try:
        return await gate.store.get_bytes(spec.image_key, max_bytes=MAX_WATERMARK_BYTES)
    except ObjectMissing as error:
        raise Conflict("The watermark's image is gone: send it again to …/watermark/image.") from error


async def _background(gate: Gate, caller: Caller, library: Library, media_id: UUID) -> bytes:
    """An item's largest JPEG, if there is one without the mark that is set now.

    Raises:
        NotFound: the item is not in this library, or has no picture (any more).
    """
    _, owner = await media_for(gate, caller, media_id)
    async with gate.db.transaction() as tx:
        rows = await tx.media.variants(media_id) if owner.id == library.id else []
    mark = library.watermark
    pictures = [row for row in rows if row.file == VariantFile(row.file.name)]
    if not pictures:
        raise NotFound("There is no picture of such an item in this library.")
    best = max(pictures, key=lambda row: (mark.of(row.file.name) is None, row.width * row.height))
    return await gate.store.get_bytes(best.key, max_bytes=_MOST_BACKGROUND)


def _check_image(data: bytes) -> None:
    from mediagate.imaging import Refused, Watermark  # Pillow

    try:
        Watermark(WatermarkSpec(image_key="the one that was sent"), data)
    except Refused as refused:
        raise InvalidRequest(f"This is no image for a watermark: {refused.detail}") from refused


def _preview(
    spec: WatermarkSpec, image: bytes | None, font: Path | None, name: VariantName, background: bytes | None
) -> bytes:
    from mediagate.imaging import Refused
    from mediagate.imaging.preview import render_preview

    edge = min(PREVIEW_EDGE, _EDGES[name])
    try:
        return render_preview(spec, image, font, name=name, max_edge=edge, background=background)
    except Refused as refused:
        raise InvalidRequest(f"The watermark cannot be shown: {refused.detail}") from refused
