"""Where things are in the place that backups are kept in, and what a backup says of itself.

objects/<first two of sha256>/<sha256>    every content once, for all backups
backups/<id>/database.dump                the database (`db.backup`)
backups/<id>/catalogue.db                 which key had which content (`activities.recovery.catalogue`)
backups/<id>/manifest.json                written last: without it, it is no backup
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, ValidationError

from db.dumps import DatabaseManifest
from mediagate.errors import InvalidRequest, NotFound, ObjectMissing
from mediagate.media.values import MIB, Value
from mediagate.storage.archive import Archive

NO_LIMIT = 1 << 62
DATABASE = "database.dump"
CATALOGUE = "catalogue.db"
MANIFEST = "manifest.json"
_ID = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z")
_MANIFEST_BYTES = 64 * MIB


class File(Value):
    """A file of a backup."""

    size: int
    sha256: str


class Manifest(Value):
    """A backup of a deployment."""

    format: int = 1
    id: str = Field(description="the time it was begun at, as YYYYMMDDTHHMMSS.ffffffZ")
    release: str = Field(description="version of the program that made it")
    made_at: datetime = Field(description="the moment that it is of: that of the database's snapshot")
    bucket: str = Field(description="that the objects are from")
    database: DatabaseManifest
    catalogue: File
    objects: int
    bytes: int = Field(description="of all objects")
    copied: int = Field(0, description="objects whose content was not there from earlier backups")
    copied_bytes: int = 0
    missing: tuple[str, ...] = Field((), description="keys that rows name and whose content was nowhere, at most 1000")
    altered: tuple[str, ...] = Field((), description="keys whose bytes were not what rows say, at most 1000")

    @property
    def whole(self) -> bool:
        """True if every object that a row names is in it."""
        return not (self.missing or self.altered)


class Progress(NamedTuple):
    """How far a command is."""

    step: str
    objects: int = 0
    bytes: int = 0


Tell = Callable[[Progress], None]


@dataclass(frozen=True)
class Place:
    """Where backups are kept. `prefix`: of all names in it, empty or ending with a slash."""

    archive: Archive
    prefix: str = ""

    def content(self, sha256: str) -> str:
        """The name of a content."""
        return f"{self.contents}{sha256[:2]}/{sha256}"

    @property
    def contents(self) -> str:
        """What the names of all contents begin with."""
        return f"{self.prefix}objects/"

    def file(self, backup_id: str, name: str) -> str:
        """The name of a file of a backup."""
        if not _ID.fullmatch(backup_id):
            raise InvalidRequest(f"{backup_id!r} is not the id of a backup: see `mediagate backup list`.")
        return f"{self.prefix}backups/{backup_id}/{name}"

    async def ids(self) -> list[str]:
        """Every whole backup, oldest first."""
        top = f"{self.prefix}backups/"
        names = [stat.key.removeprefix(top).split("/") async for stat in self.archive.list(top)]
        return sorted(name[0] for name in names if len(name) == 2 and name[1] == MANIFEST and _ID.fullmatch(name[0]))

    async def manifest(self, backup_id: str = "") -> Manifest:
        """What a backup says of itself; the latest one's without an id.

        Raises:
            NotFound: there is no such backup.
            InvalidRequest: its manifest is of a newer release, or not one.
        """
        if not backup_id:
            backup_id = next(reversed(await self.ids()), "")
            if not backup_id:
                raise NotFound("There is no backup here yet: `mediagate backup create` makes one.")
        try:
            data = await self.archive.get_bytes(self.file(backup_id, MANIFEST), max_bytes=_MANIFEST_BYTES)
            return Manifest.model_validate_json(data)
        except ObjectMissing as error:
            raise NotFound(f"There is no whole backup {backup_id} here: see `mediagate backup list`.") from error
        except ValidationError as error:
            raise InvalidRequest(f"The manifest of {backup_id} cannot be read: {error.errors()[0]['msg']}.") from error


def scratch_file(folder: Path, name: str) -> Path:
    """A path in a working folder that only its owner may open."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / name
