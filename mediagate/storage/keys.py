"""Object keys: the only place where they are spelled. Pure.

    staging/<media_id>                              written by the uploader through a presigned URL
    <library>/media/originals/<media_id>/source     the private clean master; no client ever gets a URL to write it
    work/<media_id>/<variant>.jpg                   rendered, not yet decided
    <library>/media/approved/<media_id>/<variant>.jpg
    <library>/media/thumbs/<media_id>.jpg           the approved thumbnail
    <library>/media/rejected/<media_id>/<variant>.jpg, …/source
    <library>/media/quarantine/<media_id>/<variant>.jpg, …/source
    <library>/backups/<media_id>/<sha256>
    <library>/watermarks/<sha256>                   images that the library may use as its mark

In the bucket for evidence, which has object lock:

    records/<library>/<media_id>/<round>            what was restricted, sealed
    checkpoints/<chain>/<seq>-<hash>                how far a chain of records went; `seq` in 20 digits

Every part is checked against a closed alphabet, so no input can leave its folder. Functions that make a key raise
`ValueError` for a `media_id` that is not a lower-case hyphenated UUID, a library that is not a slug, or a name that is
not known.
"""

import re

from mediagate.media.values import Status, VariantFile, VariantName

STAGING = "staging/"
"""Prefix of everything uploaded and not yet verified."""

WORK = "work/"
"""Prefix of everything rendered and not yet filed."""

SOURCE = "source"
"""Name of the clean master among the files of a media item."""

_MEDIA_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LIBRARY = re.compile(r"[a-z0-9-]{1,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RESERVED = frozenset({"staging", "work"})
_CHAINS = frozenset({"evidence", "evidence-access", "audit"})
_CHECKPOINT = re.compile(r"checkpoints/[a-z-]+/([0-9]{20})-([0-9a-f]{64})")
_FOLDER = {Status.APPROVED: "approved", Status.REJECTED: "rejected", Status.QUARANTINED: "quarantine"}


def staging(media_id: str) -> str:
    """Where the uploader's bytes arrive."""
    return f"{STAGING}{_media_id(media_id)}"


def master(library: str, media_id: str) -> str:
    """Where the verified, unmarked source is kept."""
    return f"{library_folder(library)}/media/originals/{_media_id(media_id)}/{SOURCE}"


def work(media_id: str, variant: VariantFile | str) -> str:
    """Where a rendered variant waits for the decision."""
    return f"{WORK}{_media_id(media_id)}/{_variant(variant).file_name}"


def filed(library: str, status: Status, media_id: str, name: VariantFile | str, *, revision: str = "") -> str:
    """Where a decided media item's variant stands, or its master (`name` = `source`) when it is withheld.

    An approved item's master has no place here: it stays under `master()`. `revision`: the SHA-256 of a variant that
    was made anew, so that it stands beside the one that it takes the place of.
    """
    if revision:
        _digest(revision)
    if status not in _FOLDER:
        raise ValueError(f"Media in status {str(status)!r} is not filed.")
    folder = f"{library_folder(library)}/media/{_FOLDER[status]}/{_media_id(media_id)}"
    if name == SOURCE:
        if status is Status.APPROVED:
            raise ValueError("The clean master of approved media is not filed among the approved.")
        return f"{folder}/{SOURCE}"
    file = _variant(name)
    tail = f"-{revision[:12]}.{file.format.extension}" if revision else f".{file.format.extension}"
    stem = file.file_name.rpartition(".")[0]
    if status is Status.APPROVED and file.name is VariantName.THUMB:
        return f"{library_folder(library)}/media/thumbs/{media_id}{tail}"
    return f"{folder}/{stem}{tail}"


def approved_prefixes(library: str, media_id: str) -> tuple[str, str]:
    """Where all approved pictures of an item stand, in whatever revision."""
    folder = f"{library_folder(library)}/media"
    return f"{folder}/{_FOLDER[Status.APPROVED]}/{_media_id(media_id)}/", f"{folder}/thumbs/{media_id}"


def backup(library: str, media_id: str, sha256: str) -> str:
    """Where a file is kept before it is rejected or deleted; the name is its content."""
    return f"{library_folder(library)}/backups/{_media_id(media_id)}/{_digest(sha256)}"


def watermark_image(library: str, sha256: str) -> str:
    """Where an image for the library's mark is kept; the name is its content."""
    return f"{library_folder(library)}/watermarks/{_digest(sha256)}"


def evidence(library: str, media_id: str, round_: int) -> str:
    """Where the evidence of a restriction is sealed, in the bucket for evidence."""
    return f"records/{library_folder(library)}/{_media_id(media_id)}/{round_:d}"


def checkpoint(chain: str, seq: int, hash_: str) -> str:
    """The name that says all of a checkpoint: that the chain's record `seq` had this hash."""
    return f"{checkpoints(chain)}{seq:020d}-{_digest(hash_)}"


def checkpoints(chain: str) -> str:
    """The prefix of a chain's checkpoints, in order of `seq`."""
    if chain not in _CHAINS:
        raise ValueError(f"Not a chain of records: {chain!r}.")
    return f"checkpoints/{chain}/"


def parse_checkpoint(key: str) -> tuple[int, str] | None:
    """`seq` and hash in a key made by `checkpoint`; None for anything else."""
    match = _CHECKPOINT.fullmatch(key)
    return (int(match[1]), match[2]) if match else None


def media_id_of(key: str) -> str | None:
    """The media id in a key below `STAGING` or `WORK`; None for anything else."""
    for prefix in (STAGING, WORK):
        if key.startswith(prefix):
            found = key.removeprefix(prefix).partition("/")[0]
            return found if _MEDIA_ID.fullmatch(found) else None
    return None


def _media_id(media_id: str) -> str:
    if not _MEDIA_ID.fullmatch(media_id):
        raise ValueError(f"Not a media id: {media_id!r}.")
    return media_id


def _digest(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"Not a lower-case hex SHA-256: {sha256!r}.")
    return sha256


def library_folder(library: str) -> str:
    """The folder of everything that a library owns: its slug.

    Raises:
        ValueError: it is no slug (1 to 63 of a-z, 0-9 and -), or one of the folders that all libraries share.
    """
    # A library of that name would share the top-level folder of other libraries' uploads.
    if not _LIBRARY.fullmatch(library) or library in _RESERVED:
        raise ValueError(f"Not a library: {library!r}.")
    return library


def _variant(variant: VariantFile | str) -> VariantFile:
    return variant if isinstance(variant, VariantFile) else VariantFile.parse(variant)
