"""Making a backup while objects come, move and go: no row comes back without its object."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from activities.recovery.catalogue import Catalogue
from activities.recovery.check import verify
from activities.recovery.create import Source, create
from activities.recovery.layout import Manifest, Place
from activities.recovery.pacing import Throttle, each
from cli.postgres_programs import find_programs
from db import backup
from db.references import Reference, references
from mediagate.errors import Conflict, InvalidRequest, NotFound, ObjectMissing, StorageUnavailable, TooLarge
from mediagate.settings import Settings
from mediagate.storage.archive import FolderArchive
from mediagate.storage.memory import MemoryStore
from mediagate.storage.store import ObjectStat, ObjectStore
from tests.evidence import copy_of
from tests.stores import BreakingStore, CountingStore, LayeredStore

MARK = "lib/watermarks/" + "ab" * 32
"""The library's watermark, which is not in the store."""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Gate:
    """A library's rows and objects, without anybody at work on them."""

    url: str
    store: MemoryStore
    folder: Path
    settings: Settings

    @property
    def place(self) -> Place:
        return Place(FolderArchive(self.folder / "place"))

    async def add(self, key: str, data: bytes, *, stored: bool = True) -> None:
        """An item whose master stands under that key."""
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "INSERT INTO media (id, library_id, status, reason, detail, filename, content_type, declared_bytes,"
                " facts, caption, tracking_id, vendor_reference, created_at, updated_at, master_key, sha256, trusted)"
                " SELECT %s, id, 'approved', '', '', 'a.jpg', 'image/jpeg', 1, '{}', '', '', '', now(), now(), %s, %s,"
                " false FROM library",
                (uuid4(), key, digest(data)),
            )
        if stored:
            await self.store.put(key, data, content_type="image/jpeg")

    def forget(self, key: str) -> None:
        """The item is erased."""
        with psycopg.connect(self.url) as connection:
            connection.execute("UPDATE media SET status = 'erased' WHERE master_key = %s", (key,))

    async def create(self, store: ObjectStore | None = None, *, rate: float | None = None) -> Manifest:
        programs = find_programs(backup.look(self.url).major)
        return await create(
            Source(self.url, store or self.store, "bucket", programs, rate), self.place, self.folder / "work"
        )

    async def kept(self, backup_id: str) -> dict[str, str]:
        """Key and content of every object of a backup."""
        path = self.folder / "place" / "backups" / backup_id / "catalogue.db"
        with closing(Catalogue(path)) as catalogue:
            return {entry.key: entry.sha256 for entry in catalogue.entries()}


@pytest.fixture
def gate(migrated: str, stack_settings: Settings, tmp_path: Path) -> Iterator[Gate]:
    with copy_of(migrated) as url:
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO library (id, slug, name, settings, created_at) VALUES (%s, 'lib', '', %s, now())",
                (uuid4(), json.dumps({"watermark": {"image_key": MARK}})),
            )
        yield Gate(url, MemoryStore(), tmp_path, stack_settings)


class Meanwhile(LayeredStore):
    """Lets something happen at the beginning of the n-th listing."""

    def __init__(self, inner: ObjectStore, gate: Gate) -> None:
        super().__init__(inner)
        self.gate = gate
        self.listings = 0

    async def at(self, listing: int) -> None:
        """Called before each listing; 1 is the first."""

    async def list(self, prefix: str, *, after: str = "") -> AsyncIterator[ObjectStat]:
        self.listings += 1
        await self.at(self.listings)
        async for found in super().list(prefix, after=after):
            yield found


class TestWhatComesAndGoes:
    async def test_an_object_that_was_moved_after_the_snapshot(self, gate: Gate) -> None:
        class Moving(Meanwhile):
            async def at(self, listing: int) -> None:
                if listing == 1:
                    await gate.store.put("lib/mark", b"mark", content_type="image/png")
                if listing == 2:  # the row names the old place: filing has copied, and deletes
                    await gate.store.copy("lib/media/originals/a", "lib/media/rejected/a")
                    await gate.store.delete("lib/media/originals/a")

        await gate.add("lib/media/originals/a", b"a")
        made = await gate.create(Moving(gate.store, gate))
        assert await gate.kept(made.id) == {
            "lib/media/originals/a": digest(b"a"),
            "lib/media/rejected/a": digest(b"a"),
            "lib/mark": digest(b"mark"),
        }
        assert made.missing == (MARK,)

    async def test_an_object_that_came_and_was_moved_between_two_looks(self, gate: Gate) -> None:
        class Brief(Meanwhile):
            async def at(self, listing: int) -> None:
                if listing == 2:
                    await gate.store.put("lib/media/rejected/b", b"b", content_type="image/jpeg")

        await gate.add("lib/media/originals/b", b"b", stored=False)
        made = await gate.create(Brief(gate.store, gate))
        assert (await gate.kept(made.id))["lib/media/originals/b"] == digest(b"b")

    async def test_an_item_that_was_erased_after_the_snapshot_is_not_in_the_next_one(self, gate: Gate) -> None:
        class Erasing(Meanwhile):
            async def at(self, listing: int) -> None:
                if listing == 2:
                    gate.forget("lib/media/originals/c")

        await gate.add("lib/media/originals/c", b"c", stored=False)
        made = await gate.create(Erasing(gate.store, gate))
        assert (await gate.kept(made.id), made.missing) == ({}, (MARK,))

    async def test_what_was_deleted_before_the_snapshot_is_not_kept(self, gate: Gate) -> None:
        class Deleting(Meanwhile):
            async def at(self, listing: int) -> None:
                if listing == 2:
                    await gate.store.delete("lib/leftover")

        await gate.store.put("lib/leftover", b"x", content_type="image/jpeg")
        assert await gate.kept((await gate.create(Deleting(gate.store, gate))).id) == {}

    async def test_scratch_is_left_out(self, gate: Gate) -> None:
        for key in ("staging/1", "work/1/thumb.jpg", "lib/media/originals/d"):
            await gate.store.put(key, key.encode(), content_type="image/jpeg")
        assert set(await gate.kept((await gate.create()).id)) == {"lib/media/originals/d"}


class TestWhatIsBroken:
    async def test_a_lost_object_is_named_and_the_rest_is_kept(self, gate: Gate) -> None:
        await gate.add("lib/media/originals/a", b"a", stored=False)
        await gate.add("lib/media/originals/b", b"b")
        made = await gate.create()
        assert not made.whole
        assert "lib/media/originals/a" in made.missing
        assert set(await gate.kept(made.id)) == {"lib/media/originals/b"}
        programs = find_programs(backup.look(gate.url).major)
        read = await verify(gate.place, made.id, gate.folder / "work", programs)
        assert [line for line in read.broken if "originals/a" in line]

    async def test_altered_bytes_do_not_take_the_place_of_those_that_were_kept(self, gate: Gate) -> None:
        await gate.add("lib/media/originals/a", b"a")
        await gate.create()
        await gate.store.put("lib/media/originals/a", b"other", content_type="image/jpeg")
        made = await gate.create()
        assert made.altered == ()
        assert await gate.kept(made.id) == {"lib/media/originals/a": digest(b"a")}

    async def test_altered_bytes_are_named_if_nothing_better_is_known(self, gate: Gate) -> None:
        await gate.add("lib/media/originals/a", b"a", stored=False)
        await gate.store.put("lib/media/originals/a", b"other", content_type="image/jpeg")
        made = await gate.create()
        assert made.altered == ("lib/media/originals/a",)
        assert not made.whole

    async def test_cut_off_there_is_no_backup_and_nothing_is_copied_twice(self, gate: Gate) -> None:
        for number in range(20):
            await gate.add(f"lib/media/originals/{number:02}", bytes([number]))
        breaking = BreakingStore(gate.store, "download", StorageUnavailable("gone"), nth=15, times=100)
        with pytest.raises(StorageUnavailable, match="gone"):
            await gate.create(breaking)
        assert await gate.place.ids() == []
        with pytest.raises(NotFound, match="no backup"):
            await gate.place.manifest()
        counting = CountingStore(gate.store)
        made = await gate.create(counting)
        again = [call for call, _ in counting.calls].count("download")
        assert made.objects == 20
        assert 0 < made.copied <= again < 20


class TestAlone:
    async def test_two_are_not_made_at_once(self, gate: Gate) -> None:
        class Second(Meanwhile):
            refused = False

            async def at(self, listing: int) -> None:
                if listing == 1:
                    with pytest.raises(Conflict, match="already"):
                        await gate.create()
                    self.refused = True

        store = Second(gate.store, gate)
        await gate.create(store)
        assert store.refused


class TestPacing:
    async def test_so_many_bytes_pass_in_a_second(self) -> None:
        throttle, began = Throttle(1000), time.monotonic()
        for _ in range(3):
            await throttle.take(50)
        assert 0.1 <= time.monotonic() - began < 2

    async def test_the_first_error_ends_everything(self) -> None:
        handed = []

        async def numbers() -> AsyncGenerator[int, None]:
            for number in range(1000):
                handed.append(number)
                yield number

        async def act(number: int) -> None:
            await asyncio.sleep(0)
            if number == 5:
                raise Conflict("five")

        with pytest.raises(Conflict, match="five"):
            await each(numbers(), act)
        assert len(handed) < 100


class TestReferences:
    def test_every_kind_of_object_is_named(self, gate: Gate) -> None:
        with psycopg.connect(gate.url) as connection:
            connection.execute(
                "INSERT INTO media (id, library_id, status, reason, detail, filename, content_type, declared_bytes,"
                " facts, caption, tracking_id, vendor_reference, created_at, updated_at, master_key, backup_key,"
                " sha256, trusted) SELECT gen_random_uuid(), id, 'rejected', '', '', 'a.jpg', 'image/jpeg', 1, '{}',"
                " '', '', '', now(), now(), 'master', 'backup', 'of-master', false FROM library"
            )
            connection.execute(
                "INSERT INTO variant (media_id, name, format, frame, width, height, bytes, quality, sha256, engine,"
                " trade, trials, recipe, key) SELECT id, 'thumb', 'jpeg', 0, 1, 1, 1, 1, 'of-thumb', '', '', 1, '',"
                " 'thumb' FROM media"
            )
        with psycopg.connect(gate.url) as connection:
            assert set(references(connection)) == {
                Reference("master", "of-master"),
                Reference("backup", "of-master"),
                Reference("thumb", "of-thumb"),
                Reference(MARK, "ab" * 32),
            }


class TestFolderArchive:
    async def test_files_go_in_and_come_out(self, tmp_path: Path) -> None:
        archive, source = FolderArchive(tmp_path / "place"), tmp_path / "source"
        source.write_bytes(b"of a file")
        await archive.put("b/two", source, content_type="x", sha256=digest(b"of a file"))
        await archive.put("b/one", b"of bytes", content_type="x")
        assert [stat.key async for stat in archive.list("b/")] == ["b/one", "b/two"]
        assert [stat.size async for stat in archive.list("b/o")] == [8]
        assert await archive.get_bytes("b/one", max_bytes=8) == b"of bytes"
        assert await archive.download("b/two", tmp_path / "out", max_bytes=100) == await archive.sha256("b/two")
        assert (tmp_path / "out").read_bytes() == b"of a file"
        assert {file.stat().st_mode & 0o777 for file in (tmp_path / "place" / "b").iterdir()} == {0o600}
        await archive.delete("b/one")
        await archive.delete("b/one")
        assert [stat.key async for stat in archive.list("")] == ["b/two"]

    async def test_what_cannot_be_is_refused(self, tmp_path: Path) -> None:
        archive = FolderArchive(tmp_path)
        await archive.put("one", b"12345", content_type="x")
        with pytest.raises(TooLarge):
            await archive.get_bytes("one", max_bytes=4)
        with pytest.raises(ObjectMissing):
            await archive.sha256("two")
        for key in ("../one", "/one", ""):
            with pytest.raises(InvalidRequest):
                await archive.delete(key)
        with pytest.raises(StorageUnavailable, match="File exists"):
            await archive.put("one/below", b"", content_type="x")
