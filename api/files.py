"""URLs of stored pictures: signed and public for approved items, for key holders otherwise."""

import time

from api.deps import Gate
from db.tables import Media
from mediagate.access.delivery import Purpose, file_url
from mediagate.media.values import Status, VariantFile, VariantName


def variant_url(gate: Gate, media: Media, file: VariantFile) -> str:
    """The URL of a variant as it may be handed to callers now."""
    settings, media_id, query = gate.settings, str(media.id), ""
    if media.status is Status.APPROVED and file.name is not VariantName.MODERATION:
        expires_at = int(time.time()) + settings.delivery_expires
        query = gate.signer.query(media_id, str(file), purpose=Purpose.PUBLIC, expires_at=expires_at)
    return file_url(settings.public_url, media_id, str(file), query)
