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
    <library>/imports/<import_id>.jsonl             the manifest of an import, until it is in rows
    imports/…                                       where import sources in the gate's own bucket begin; never written
    .mediagate/<token>                              put and deleted again to try a store out

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

IMPORTS = "imports/"
"""Prefix below which an import source may begin in a bucket of the gate's own."""

SOURCE = "source"
"""Name of the clean master among the files of a media item."""

_MEDIA_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LIBRARY = re.compile(r"[a-z0-9-]{1,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ITEM = re.compile(rf"(?:^|/)({_MEDIA_ID.pattern})(?=[/.-]|$)")
_RESERVED = frozenset({"staging", "work", "imports"})
_ALONE = re.compile(rf"{_LIBRARY.pattern}/(watermarks/{_SHA256.pattern}|imports/[0-9a-f]{{32}}\.jsonl)")
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


def manifest(library: str, import_id: str) -> str:
    """Where the manifest of an import waits. The id is without hyphens: it is no media item's."""
    return f"{library_folder(library)}/imports/{_media_id(import_id).replace('-', '')}.jsonl"


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


def item_of(key: str) -> str | None:
    """The media id of the item that a key belongs to, wherever it stands; None if it belongs to none."""
    found = _ITEM.search(key)
    return found[1] if found else None


def item_prefixes(library: str, media_id: str) -> tuple[str, ...]:
    """Where everything of an item stands, whatever its status is or was."""
    folder = library_folder(library)
    places = (f"media/{name}" for name in ("originals", *_FOLDER.values()))
    return (
        staging(media_id),
        f"{WORK}{media_id}/",
        *(f"{folder}/{place}/{media_id}/" for place in places),
        f"{folder}/media/thumbs/{media_id}",
        f"{folder}/backups/{media_id}/",
    )


def stands_alone(key: str) -> bool:
    """True for what needs no item's row: uploads and renderings on their way, sources and manifests of imports, and
    images that a library may use as its mark, or did."""
    return key.startswith((STAGING, WORK, IMPORTS)) or _ALONE.fullmatch(key) is not None


def library_of(key: str) -> str | None:
    """The library in whose folder a key is; None for what all libraries share, and for a key without a folder."""
    folder, slash, _ = key.partition("/")
    return folder if slash and folder not in _RESERVED and _LIBRARY.fullmatch(folder) else None


def probe(token: str) -> str:
    """Where a store is tried out; no library's folder begins with a dot."""
    return f".mediagate/{_digest(token)}"


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
