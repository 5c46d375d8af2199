"""URLs of stored pictures: signed and public for approved items, for key holders otherwise."""

import time
from collections.abc import Iterable

from api.deps import Gate
from db.tables import Library, Media, MediaVariant
from mediagate.access.delivery import Purpose, expiry, file_url, version_of
from mediagate.media.renditions import public_specs
from mediagate.media.values import ImageFormat, Status, VariantFile, VariantName


def variant_url(gate: Gate, media: Media, library: Library, file: VariantFile, sha256: str = "") -> str:
    """The URL of a picture as it may be handed to callers now; without a digest it is one that is still to be made."""
    settings, media_id = gate.settings, str(media.id)
    if media.status is not Status.APPROVED or file.name is VariantName.MODERATION:
        return file_url(settings.public_url, media_id, file)
    query = gate.signer.query(
        media_id,
        file,
        library=library.slug,
        version=version_of(sha256),
        purpose=Purpose.PUBLIC,
        expires_at=expiry(media_id, now=int(time.time()), lifetime=settings.delivery_expires),
    )
    return file_url(settings.delivery_base, media_id, file, query)


def owed_renditions(media: Media, library: Library, rows: Iterable[MediaVariant]) -> list[VariantFile]:
    """What the library's policy promises of an approved item and nobody has asked for yet."""
    if media.status is not Status.APPROVED:
        return []
    present = {row.file for row in rows}
    return [file for file in public_specs(library.images) if file not in present]


def stand_in(file: VariantFile, rows: Iterable[MediaVariant]) -> MediaVariant | None:
    """What is shown until a rendition is made: the JPEG of its size, or the original."""
    jpegs = {row.name: row for row in rows if row.format == ImageFormat.JPEG and not row.frame}
    return jpegs.get(file.name) or jpegs.get(VariantName.ORIGINAL)
