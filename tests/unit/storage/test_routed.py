"""Stores by library: what a process does whose idea of a placement was overtaken."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest

from mediagate.errors import ObjectMissing, StorageUnavailable
from mediagate.storage import keys
from mediagate.storage.copying import copy_verified
from mediagate.storage.memory import MemoryStore
from mediagate.storage.placement import DEFAULT, Placement, Placements
from mediagate.storage.routed import RoutedStore
from tests.stores import CountingStore, GatedStore

JPEG = "image/jpeg"
KEY = keys.master("photos", str(uuid4()))


class Stores:
    """Two twins, and a placement that a test changes; a process asks anew each time unless it is given a lease."""

    def __init__(self, lease: float = 0) -> None:
        self.placement = Placement()
        self.a, self.b = MemoryStore(), MemoryStore()
        self.lease = lease

    def process(self, **stores: MemoryStore | GatedStore | CountingStore) -> RoutedStore:
        """What one process has; `default`, `b`: in place of the twins."""
        return RoutedStore({DEFAULT: self.a, "b": self.b, **stores}, Placements(self._look, lease=self.lease))

    async def _look(self, library: str) -> Placement:
        del library
        return self.placement

    def move(self, home: str, beside: str | None = None) -> None:
        self.placement = Placement(home=home, beside=beside, version=self.placement.version + 1)

    async def holders(self, key: str = KEY) -> str:
        """Which stores have the key."""
        return "".join([name for name, store in (("a", self.a), ("b", self.b)) if await _has(store, key)])


@pytest.fixture
def stores() -> Stores:
    return Stores()


async def _has(store: MemoryStore, key: str) -> bool:
    return [stat async for stat in store.list(key)] != []


class TestWhileALibraryMoves:
    @pytest.mark.parametrize(("home", "beside"), [(DEFAULT, "b"), ("b", DEFAULT)])
    async def test_both_sides_get_everything(self, stores: Stores, home: str, beside: str) -> None:
        store, copied, source = stores.process(), keys.master("photos", str(uuid4())), keys.staging(str(uuid4()))
        stores.move(home, beside)
        await store.put(KEY, b"x", content_type=JPEG)
        await store.put(source, b"y", content_type=JPEG)
        await store.copy(source, copied)
        assert [await stores.holders(key) for key in (KEY, copied, source)] == ["ab", "ab", "a"]
        for one in (stores.a, stores.b):
            assert (await one.stat(copied)).content_type == JPEG
        await store.delete(KEY)
        await store.delete_all([copied])
        assert [await stores.holders(key) for key in (KEY, copied)] == ["", ""]

    async def test_the_home_alone_says_what_there_is(self, stores: Stores) -> None:
        store = stores.process()
        stores.move(DEFAULT, "b")
        await stores.b.put(KEY, b"a copy of what was deleted meanwhile", content_type=JPEG)
        with pytest.raises(ObjectMissing):
            await store.stat(KEY)
        assert [stat async for stat in store.list("photos/")] == []

    async def test_a_side_that_is_down_fails_the_write(self, stores: Stores) -> None:
        stores.move(DEFAULT, "b")
        stores.b.failing = True
        with pytest.raises(StorageUnavailable):
            await stores.process().put(KEY, b"x", content_type=JPEG)

    async def test_a_copy_that_was_cut_off_between_the_sides_is_brought_to_the_end(self, stores: Stores) -> None:
        """The next attempt finds it intact, but at home only, and the home is what is cleared in the end."""
        store, source = stores.process(), keys.master("photos", str(uuid4()))
        await store.put(source, b"x", content_type=JPEG)
        digest = await store.sha256(source)
        stores.move(DEFAULT, "b")
        stores.b.failing = True
        with pytest.raises(StorageUnavailable):
            await copy_verified(store, source, KEY, digest)
        stores.b.failing = False
        assert await stores.holders() == "a"
        await copy_verified(store, source, KEY, digest)
        assert await stores.holders() == "ab"
        assert await stores.b.sha256(KEY) == digest

    async def test_what_stands_in_one_store_needs_no_spreading(self, stores: Stores) -> None:
        counting = CountingStore(stores.a)
        await stores.process(default=counting).spread(KEY)
        assert counting.calls == []


class TestAnIdeaThatWasOvertaken:
    @pytest.mark.parametrize("name", ["put", "copy", "delete", "delete_all"])
    async def test_what_was_done_meanwhile_is_done_where_it_belongs(self, stores: Stores, name: str) -> None:
        """The process stands still in the middle of its act, for longer than a whole move takes."""
        held = GatedStore(stores.a, "delete" if name.startswith("delete") else name)
        store, source = stores.process(default=held), keys.master("photos", str(uuid4()))
        for each in (stores.a, stores.b):
            await each.put(source, b"x", content_type=JPEG)
            if name.startswith("delete"):
                await each.put(KEY, b"x", content_type=JPEG)
        acts: dict[str, Callable[[], Awaitable[object]]] = {
            "put": lambda: store.put(KEY, b"x", content_type=JPEG),
            "copy": lambda: store.copy(source, KEY),
            "delete": lambda: store.delete(KEY),
            "delete_all": lambda: store.delete_all([KEY]),
        }
        acting = asyncio.ensure_future(acts[name]())
        await held.reached.wait()
        stores.move("b")
        held.opened.set()
        await acting
        assert ("b" in await stores.holders()) is (not name.startswith("delete"))

    async def test_a_read_that_found_nothing_looks_where_it_is_now(self, stores: Stores) -> None:
        held = GatedStore(stores.a, "get_bytes")
        reading = asyncio.ensure_future(stores.process(default=held).get_bytes(KEY, max_bytes=1))
        await held.reached.wait()
        stores.move("b")
        await stores.b.put(KEY, b"x", content_type=JPEG)
        held.opened.set()
        assert await reading == b"x"

    async def test_what_is_missing_is_missing(self, stores: Stores) -> None:
        counting = CountingStore(stores.a)
        with pytest.raises(ObjectMissing):
            await stores.process(default=counting).stat(KEY)
        assert counting.calls == [("stat", KEY)]

    async def test_a_listing_goes_on_in_the_other_store(self, stores: Stores) -> None:
        names = [f"photos/{n}" for n in range(6)]
        for name in names:
            await stores.a.put(name, b"x", content_type=JPEG)
            await stores.b.put(name, b"x", content_type=JPEG)
        found = list[str]()
        async for stat in stores.process().list("photos/"):
            found.append(stat.key)
            if len(found) == 3:
                stores.move("b")
                await stores.a.delete_all(names)
        assert found == names


class TestEverything:
    async def test_an_object_is_named_once_wherever_there_are_copies(self, stores: Stores) -> None:
        for name in ("photos/1", "staging/2"):
            for store in (stores.a, stores.b):
                await store.put(name, b"x", content_type=JPEG)
        await stores.a.put("photos/0", b"left behind", content_type=JPEG)
        stores.move("b")
        assert [stat.key async for stat in stores.process().list("")] == ["photos/1", "staging/2"]
        assert [stat.key async for stat in stores.process().list("", after="photos/1")] == ["staging/2"]

    async def test_a_reader_who_leaves_closes_what_he_opened(self, stores: Stores) -> None:
        closed = list[str]()

        class Closing(MemoryStore):
            async def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
                try:
                    yield b"x"
                    yield b"y"
                finally:
                    closed.append(key)

        chunks = stores.process(default=Closing()).stream(KEY)
        assert await anext(chunks) == b"x"
        await chunks.aclose()  # type: ignore[attr-defined]
        assert closed == [KEY]

    async def test_only_the_default_store_must_be_ready(self, stores: Stores) -> None:
        stores.b.failing = True
        await stores.process().ready()
        stores.a.failing = True
        with pytest.raises(StorageUnavailable):
            await stores.process().ready()
