"""Which other items of the library are the same file, or the same picture."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from api.deps import GateDep, Reader, media_for
from api.models import DuplicateRead, Duplicates, NearDuplicateRead
from api.pages import Limit
from db.tables import Media
from mediagate.flags import Switch
from mediagate.media.fingerprints import FARTHEST

router = APIRouter(tags=["media"])

Distance = Annotated[int, Query(ge=0, le=FARTHEST, description="bits out of 64 in which near ones may differ")]


@router.get("/media/{media_id}/duplicates")
async def list_duplicates(
    media_id: UUID, gate: GateDep, caller: Reader, distance: Distance = FARTHEST, limit: Limit = 50
) -> Duplicates:
    """Other items of the library with the same bytes, newest first, and that look the same, nearest first.

    An item is in one of the lists only; each has `limit` at most. Pictures that show next to nothing, and those that
    are not rendered yet, have and are no near duplicates.
    """
    media, library = await media_for(gate, caller, media_id)
    async with gate.db.transaction() as tx:
        exact = await tx.fingerprints.exact(media, limit=limit)
        besides = [media_id, *(row.id for row in exact)]
        phash = await tx.fingerprints.get(media_id)
        near = []
        search = gate.flags.on(Switch.NEAR_DUPLICATES, str(media_id), library=library.slug)
        if phash is not None and search:
            near = await tx.fingerprints.near(library.id, phash, distance=distance, limit=limit, besides=besides)
    return Duplicates(
        exact=[_duplicate(row) for row in exact],
        near=[NearDuplicateRead(**_duplicate(row).model_dump(), distance=bits, form=form) for row, bits, form in near],
        near_searched=search,
    )


def _duplicate(media: Media) -> DuplicateRead:
    return DuplicateRead.model_validate({**media.model_dump(), "media_id": media.id})
