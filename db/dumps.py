"""A backup of the database as files: an archive of `pg_dump`, and beside it a manifest that says what it must hold."""

import hashlib
import os
from datetime import datetime
from pathlib import Path

from pydantic import Field, ValidationError

from db.programs import Programs, run
from mediagate.errors import InvalidRequest, NotFound, ObjectCorrupt
from mediagate.media.values import Value


class DatabaseManifest(Value):
    """What an archive holds; a file of JSON beside it."""

    format: int = Field(1, description="of this manifest")
    made_at: datetime
    revision: str = Field(description="of the schema")
    server: str = Field(description="version of the server that it is from")
    database: str = Field(description="name of the database that it is from")
    size: int = Field(description="bytes of the archive")
    sha256: str = Field(description="of the archive")
    tables: dict[str, int] = Field(description="rows by table")


def manifest_path(archive: Path) -> Path:
    """Where the manifest of an archive is."""
    return archive.with_name(f"{archive.name}.json")


def read_manifest(archive: Path) -> DatabaseManifest:
    """What an archive must hold; the archive itself is not read.

    Raises:
        NotFound: there is no such archive, or no manifest beside it, as of a backup that was cut off.
        InvalidRequest: the manifest is not one.
    """
    beside = manifest_path(archive)
    for file in (archive, beside):
        if not file.is_file():
            raise NotFound(f"There is no file {file}: a backup is an archive and the manifest beside it.")
    try:
        return DatabaseManifest.model_validate_json(beside.read_bytes())
    except ValidationError as error:
        raise InvalidRequest(f"{beside} is not the manifest of a backup: {error.errors()[0]['msg']}.") from error


def check(archive: Path, manifest: DatabaseManifest, programs: Programs | None = None) -> None:
    """Read the whole archive. With `programs`, its table of contents is read by `pg_restore` as well.

    Raises:
        ObjectCorrupt: its bytes are not those that were written.
    """
    size = archive.stat().st_size
    if size != manifest.size:
        raise ObjectCorrupt(f"{archive} has {size} bytes, not {manifest.size}: it was cut off or replaced.")
    if sha256_of(archive) != manifest.sha256:
        raise ObjectCorrupt(f"{archive} does not have the SHA-256 of its manifest: it was altered.")
    if programs:
        run([programs.pg_restore, "--list", archive], {}, "pg_restore cannot read the archive")


def sha256_of(file: Path) -> str:
    """The digest of a file, read in pieces."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def settle(partial: Path, archive: Path, manifest: DatabaseManifest) -> None:
    """Give a written archive its name, and write its manifest last: one without is a backup that was cut off."""
    written = manifest_path(partial)
    try:
        written.write_text(manifest.model_dump_json(indent=2) + "\n")
        written.chmod(0o600)
        for file in (partial, written):
            _sync(file)
        partial.rename(archive)
        written.rename(manifest_path(archive))
        _sync(archive.parent)
    finally:
        written.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
