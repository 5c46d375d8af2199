"""Which key had which content: a SQLite file, so that millions of objects take no memory.

The one in the working folder also remembers what earlier backups have read, by which an object that did not change is
not read again; what goes with a backup is a copy with that backup's objects only.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from db.references import Reference
from mediagate.storage.store import ObjectStat

_TABLES = """
CREATE TABLE IF NOT EXISTS object (
    key TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL, content_type TEXT NOT NULL,
    etag TEXT NOT NULL, modified TEXT NOT NULL, pass INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS object_sha256 ON object (sha256);
CREATE TABLE IF NOT EXISTS content (sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wanted (key TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
"""
CATALOGUE_TAILS = ("", "-wal", "-shm")
"""How the names of an open catalogue's files end."""
_INSERT = "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?, ?)"


class Entry(NamedTuple):
    """An object of a backup."""

    key: str
    sha256: str
    size: int
    content_type: str


class Totals(NamedTuple):
    """How much a backup has."""

    objects: int
    bytes: int


class Catalogue:
    """An open catalogue; used from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.executescript(_TABLES)

    def close(self) -> None:
        """Everything is on disk."""
        self._db.close()

    # Making a backup

    def begin(self) -> None:
        """Forget which objects the backup before had; what is known of their contents stays."""
        self._db.executescript("UPDATE object SET pass = 0 WHERE pass <> 0; DELETE FROM content")

    def have(self, contents: Iterable[tuple[str, int]]) -> None:
        """Note contents, with their sizes, that are in the place."""
        self._db.executemany("INSERT OR IGNORE INTO content VALUES (?, ?)", contents)

    def has(self, sha256: str) -> bool:
        """True if a content is in the place."""
        return self._db.execute("SELECT 1 FROM content WHERE sha256 = ?", (sha256,)).fetchone() is not None

    def seen(self, stat: ObjectStat, pass_: int) -> bool:
        """Note that an object is there still, as it was read before; False if it must be read."""
        found = self._db.execute(
            "UPDATE object SET pass = ? WHERE key = ? AND etag = ? AND size = ? AND modified = ?"
            " AND sha256 IN (SELECT sha256 FROM content) RETURNING 1",
            (pass_, stat.key, stat.etag, stat.size, stat.modified.isoformat()),
        )
        return found.fetchone() is not None

    def put(self, stat: ObjectStat, sha256: str, content_type: str, pass_: int) -> None:
        """Note an object whose content is in the place."""
        row = (stat.key, sha256, stat.size, content_type, stat.etag, stat.modified.isoformat(), pass_)
        self._db.execute(_INSERT, row)
        self.have([(sha256, stat.size)])

    def want(self, references: Iterable[Reference]) -> None:
        """What the rows of the snapshot name, in place of what was wanted before."""
        self._db.execute("BEGIN")
        self._db.execute("DELETE FROM wanted")
        self._db.executemany("INSERT OR REPLACE INTO wanted VALUES (?, ?)", references)
        self._db.execute("COMMIT")

    def settle(self, pass_: int) -> None:
        """Give every wanted key the content that its row names, wherever in this backup that was found.

        An object that was moved meanwhile is known by its new key only; one that was altered behind our back may be
        known from an earlier backup.
        """
        self._db.execute(
            "UPDATE object SET pass = ? FROM wanted w WHERE object.key = w.key AND object.sha256 = w.sha256"
            " AND object.sha256 IN (SELECT sha256 FROM content)",
            (pass_,),
        )
        self._db.execute(
            "INSERT OR REPLACE INTO object"
            " SELECT w.key, w.sha256, c.size, coalesce("
            "  (SELECT content_type FROM object s WHERE s.sha256 = w.sha256 LIMIT 1), k.content_type, ''), '', '', ?"
            " FROM wanted w JOIN content c ON c.sha256 = w.sha256 LEFT JOIN object k ON k.key = w.key"
            " WHERE k.key IS NULL OR k.sha256 <> w.sha256",
            (pass_,),
        )

    def missing(self, pass_: int, limit: int) -> list[str]:
        """Wanted keys that this backup has not."""
        return self._keys(
            "SELECT w.key FROM wanted w LEFT JOIN object o ON o.key = w.key AND o.pass = ?"
            " WHERE o.key IS NULL ORDER BY 1 LIMIT ?",
            (pass_, limit),
        )

    def altered(self, pass_: int, limit: int) -> list[str]:
        """Wanted keys whose content is not what rows say, and was nowhere."""
        return self._keys(
            "SELECT w.key FROM wanted w JOIN object o ON o.key = w.key AND o.pass = ?"
            " WHERE o.sha256 <> w.sha256 ORDER BY 1 LIMIT ?",
            (pass_, limit),
        )

    def extract(self, path: Path, pass_: int) -> Totals:
        """Write a catalogue of this backup's objects alone."""
        path.unlink(missing_ok=True)
        with closing(Catalogue(path)) as other:
            other._db.execute("PRAGMA journal_mode = DELETE")
        self._db.execute("ATTACH ? AS other", (str(path),))
        try:
            self._db.execute("INSERT INTO other.object SELECT * FROM object WHERE pass = ? ORDER BY key", (pass_,))
            row = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM other.object").fetchone()
        finally:
            self._db.execute("DETACH other")
        return Totals(*row)

    def learn(self, path: Path) -> None:
        """Take over what another backup's catalogue knows."""
        self._db.execute("ATTACH ? AS other", (str(path),))
        try:
            self._db.execute("INSERT OR IGNORE INTO object SELECT * FROM other.object")
        finally:
            self._db.execute("DETACH other")

    @property
    def knows_nothing(self) -> bool:
        """True if no object was ever read."""
        return self._db.execute("SELECT 1 FROM object LIMIT 1").fetchone() is None

    # Reading a backup

    def entries(self) -> Iterator[Entry]:
        """Every object, in order of keys."""
        for row in self._db.execute("SELECT key, sha256, size, content_type FROM object ORDER BY key"):
            yield Entry(*row)

    def digests(self) -> Iterator[tuple[str, int]]:
        """Every content once, with its size."""
        yield from self._db.execute("SELECT sha256, max(size) FROM object GROUP BY sha256 ORDER BY sha256")

    def keys_of(self, sha256: str) -> list[str]:
        """The objects that have a content, the first few."""
        return self._keys("SELECT key FROM object WHERE sha256 = ? ORDER BY 1 LIMIT ?", (sha256, 5))

    def _keys(self, query: str, values: tuple[object, ...]) -> list[str]:
        return [str(row[0]) for row in self._db.execute(query, values)]
