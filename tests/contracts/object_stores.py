"""The object stores that the contract tests run against, by kind: `s3` and `memory`, and two of each as one."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from mediagate.settings import Settings
from mediagate.storage.memory import MemoryStore
from mediagate.storage.placement import DEFAULT, Placement, Placements
from mediagate.storage.routed import RoutedStore
from mediagate.storage.s3 import S3Store
from mediagate.storage.store import ObjectStore, S3Address

KINDS = ("s3", "memory", "routed-s3", "routed-memory")


def address(settings: Settings, presign: str = "post") -> S3Address:
    return S3Address(
        url=settings.s3_url,
        public_url=settings.uploads_url,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
        region=settings.s3_region,
        bucket=settings.s3_bucket,
        presign=presign,
    )


class TwoStores(RoutedStore):
    """Two stores as one: the library `demo` is in the second, everything else in the first."""

    def __init__(self, stores: Mapping[str, ObjectStore]) -> None:
        async def look(library: str) -> Placement:
            return Placement(home="second" if library == "demo" else DEFAULT)

        super().__init__(stores, Placements(look))
        self.first = stores[DEFAULT]


def twin(store: ObjectStore) -> MemoryStore | None:
    """The twin that uploads go to, if it is one."""
    first = store.first if isinstance(store, TwoStores) else store
    return first if isinstance(first, MemoryStore) else None


def open_store(kind: str, request: pytest.FixtureRequest, presign: str = "post") -> ObjectStore:
    """A store of a kind; the stack is asked for only where it is needed."""
    if kind == "memory":
        return MemoryStore(presign=presign)
    if kind == "routed-memory":
        return TwoStores({DEFAULT: MemoryStore(presign=presign), "second": MemoryStore()})
    one = address(request.getfixturevalue("stack_settings"), presign)
    if kind == "s3":
        return S3Store(one)
    return TwoStores({DEFAULT: S3Store(one), "second": S3Store(second_bucket(one))})


def open_store_that_is_down(kind: str) -> ObjectStore:
    """One that answers nothing."""
    if kind.startswith("routed"):
        down = open_store_that_is_down(kind.removeprefix("routed-"))
        return TwoStores({DEFAULT: down, "second": down})
    if kind == "memory":
        memory = MemoryStore()
        memory.failing = True
        return memory
    nowhere = S3Address(
        url="http://127.0.0.1:9", access_key=SecretStr("a"), secret_key=SecretStr("b" * 8), bucket="none"
    )
    return S3Store(nowhere)


def second_bucket(one: S3Address) -> S3Address:
    """Another bucket of the same service, made here."""
    second = one.model_copy(update={"bucket": f"{one.bucket}-second"})
    _ensure(second.bucket, second)
    return second


_made = set[str]()


def _ensure(bucket: str, address: S3Address) -> None:
    if bucket in _made:
        return
    store = S3Store(address)
    with ThreadPoolExecutor(1) as pool:  # a loop may run in this thread already
        pool.submit(lambda: asyncio.run(store.ensure_bucket())).result()
    store.close()
    _made.add(bucket)
