"""Kills, cuts and stops while a library moves to another store, hundreds of objects are imported, scrubs repair what
was broken, and retention erases; then the books are checked.

Uploads, deliveries, a pause and a resumption go on beside. The order follows from `MEDIAGATE_CHAOS_SEED`;
`MEDIAGATE_CHAOS_OBJECTS` says how many objects are imported, `MEDIAGATE_CHAOS_SOAK` goes on for that many seconds with
fresh stacks and following seeds.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from random import Random
from uuid import UUID

import httpx
import pytest

from db.session import Database
from devstack.discard import discard
from devstack.folders import write_json
from devstack.ports import LOOPBACK
from mediagate import wiring
from mediagate.access.delivery import DeliverySigner, Purpose, file_url
from mediagate.media.values import Status
from tests.chaos import care_books, ledger
from tests.chaos.care import IMPORTING, OTHER, SOURCE, Care, admin_key, prepare_libraries
from tests.chaos.conftest import VARIABLES
from tests.chaos.faults import FAULTS, Fault, cut_off, killed
from tests.chaos.killable import KillableStack, until
from tests.chaos.load import Shipment, shipment
from tests.chaos.manifests import manifest
from tests.chaos.network import Network, cuttable
from tests.chaos.test_kill_everything import SEED, SETTLE_SECONDS, Load
from tests.chaos.test_storm import SOAK
from tests.chaos.uploader import Uploader
from tests.chaos.waits import Waits

OBJECTS = int(os.environ.get("MEDIAGATE_CHAOS_OBJECTS", "120"))
KEPT = 26
"""Items that are there before; four of them are withheld."""
WITHHELD = 4
MORE: dict[str, Fault] = {
    **{f"SIGKILL {part}": partial(killed, part) for part in ("api", "temporal", "s3", "postgres")},
    f"cut off {OTHER}": partial(cut_off, OTHER),
}
"""Faults that the storm does not have."""
ALWAYS = ("SIGKILL worker", "SIGKILL worker", "SIGKILL s3", "SIGKILL postgres", f"cut off {OTHER}")
DRAWN = 5

Act = Callable[[], Awaitable[object]]


def schedule(random: Random) -> list[str]:
    """The faults that long work must survive whatever the seed, and some of the others, in some order."""
    faults = [*ALWAYS, *random.sample(sorted({*FAULTS, *MORE} - {*ALWAYS}), DRAWN)]
    random.shuffle(faults)
    return faults


@asynccontextmanager
async def cared_for(folder: Path) -> AsyncIterator[tuple[Care, Network]]:
    """A running stack with a second store, a source of imports, and a trash that keeps nothing."""
    async with cuttable(folder, **{OTHER: "s3"}) as network:
        second = {"bucket": "mediagate-archive", "url": f"http://{LOOPBACK}:{network.beside[OTHER]}"}
        care = {
            "MEDIAGATE_STORES": json.dumps({OTHER: second}),
            "MEDIAGATE_IMPORT_SOURCES": json.dumps({SOURCE: {"libraries": [IMPORTING], "bucket": "camera"}}),
            "MEDIAGATE_TRASH_DAYS": "0",
            "MEDIAGATE_SCRUB_RATE": "400000",
        }
        stack = KillableStack(folder / "state", VARIABLES | network.variables | care)
        write_json(stack.state.ports_file, network.ports)
        stores = {}
        try:
            await stack.start()
            stores = wiring.open_stores(stack.settings)
            async with opened_database(stack) as db, stack.http() as http:
                http.headers["Authorization"] = f"Bearer {await admin_key(db)}"
                yield Care(stack, http, stores, db), network
        finally:
            for store in stores.values():
                store.close()
            await stack.stop()
            discard(folder / "state")


@asynccontextmanager
async def opened_database(stack: KillableStack) -> AsyncIterator[Database]:
    """The stack's own one."""
    db = Database(stack.addresses["database_url"], pool_size=2)
    try:
        yield db
    finally:
        await db.close()


@pytest.mark.timeout(max(600, SOAK + 600))
async def test_long_work_survives_whatever_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    for seed in count(SEED):
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            async with cared_for(folder) as (care, network):
                said = await _told(care, _storm(care, network, seed))
        except BaseException as error:
            error.add_note(f"Repeat it with MEDIAGATE_CHAOS_SEED={seed}")
            raise
        with capsys.disabled():
            sys.stdout.write(f"\n  seed {seed}: {said}\n")
        if time.monotonic() - began >= SOAK:
            return


async def _told(care: Care, storm: Awaitable[str]) -> str:
    """As the storm; a failure says what is still open."""
    try:
        return await storm
    except Exception as error:
        error.add_note("\n".join(f"{one}: {why}" for one, why in (await care.open_runs()).items()))
        raise


async def _storm(care: Care, network: Network, seed: int) -> str:
    random, faults = Random(seed), {**FAULTS, **MORE}
    names, stack = schedule(random), care.stack
    await prepare_libraries(care)
    await care.stock(manifest(random, OBJECTS))
    async with stack.http() as http:
        uploader = Uploader(http, stack.addresses["library"], Random(seed))
        items = await _stocked(care, uploader, random)
        shown, acts = items.pop(), _acts(care, items, random, len(names))
        load, began = Load(uploader), time.monotonic()
        async with stack.frequent_sweeps(), _read(stack, shown) as wrong:
            for number, name in enumerate(names):
                load.send(list(islice(_files(random, number), 2)))
                for act in acts[number]:
                    await act()
                await asyncio.sleep(random.uniform(0.2, 1.0))
                async with faults[name](stack, network):
                    await asyncio.sleep(random.uniform(1.0, 3.0))
            stormed, waits = time.monotonic() - began, Waits(stack)
            await load.answered()
            await _ended(care, waits)
            await ledger.settled(stack, seconds=SETTLE_SECONDS, waits=waits)
        assert wrong == []
        settled = time.monotonic() - began
        objects, longest = await _assert_in_order(care, uploader)
    done = Counter({name.partition("-")[2]: asked for name, asked in care.started.items()})
    return (
        f"{len(names)} faults ({', '.join(names)}); {OBJECTS} objects imported, {care.waiting} of them after a pause;"
        f" {len(care.broken)} broken, {len(care.aged)} outdated; asked for: {dict(done)}; {objects} objects in the end;"
        f" storm {stormed:.0f} s, settled after {settled:.0f} s; sent again: {dict(uploader.retries)}; longest history"
        f" {longest} events; waited at the end for: {waits.longest()}"
    )


async def _stocked(care: Care, uploader: Uploader, random: Random) -> list[UUID]:
    """Items that are filed before: approved ones, of which the last is only read, and withheld ones in front."""
    behaviours = ["reject"] * WITHHELD + ["approve"] * (KEPT - WITHHELD)
    files = [shipment(f"kept-{number:02}.jpg", what, random) for number, what in enumerate(behaviours)]
    for start in range(0, KEPT, 5):
        await asyncio.gather(*(uploader.send(file) for file in files[start : start + 5]))
    rows = await ledger.settled(care.stack, seconds=SETTLE_SECONDS)
    return sorted(rows.media, key=lambda key: str(rows.media[key]["filename"]))


def _acts(care: Care, items: list[UUID], random: Random, steps: int) -> list[list[Act]]:
    """What is ordered before each fault: everything begins early, scrubs and retention come in waves.

    `items`: the withheld ones first.
    """
    withheld, approved = items[:WITHHELD], items[WITHHELD:]
    random.shuffle(approved)
    held, outdated, losing = approved[:2], approved[2:9], approved[9:]
    acts: list[list[Act]] = [[] for _ in range(steps)]
    acts[0] = [care.begin_import, care.move]
    acts[0] += [partial(care.hold, one) for one in held]
    acts[0] += [partial(care.age, held), partial(care.age, withheld[:1])]
    acts[4].append(care.pause)
    acts[6].append(care.resume)
    for wave, step in enumerate((1, 4, 7)):
        acts[step] += [partial(_break, care, random, losing[wave::3], withheld[wave + 1], held[wave % 2]), care.scrub]
        acts[step + 1] += [partial(care.age, outdated[wave::3]), care.retain]
    return acts


async def _break(care: Care, random: Random, approved: list[UUID], withheld: UUID, held: UUID) -> None:
    """Lose and alter objects: pictures, one of the two copies of a withheld file, and what cannot be put back: the only
    copy of a master, and a picture that a hold protects."""
    for number, media_id in enumerate(approved):
        keys = await care.keys_of(media_id)
        if number == 0:
            await care.damage(keys["master"], alter=False)
        else:
            await care.damage(keys["medium"], alter=False)
            await care.damage(keys["thumb"], alter=True)
    copy = (await care.keys_of(withheld))[random.choice(("backup", "master"))]
    await care.damage(copy, alter=random.random() < 0.5)
    await care.damage((await care.keys_of(held))["original"], alter=True)


def _files(random: Random, number: int) -> Iterator[Shipment]:
    for nth in count():
        behaviour = random.choice(("approve", "reject", "lost", "early"))
        yield shipment(f"{number:02}-{nth}-{behaviour}.jpg", behaviour, random)


@asynccontextmanager
async def _read(stack: KillableStack, media_id: UUID) -> AsyncIterator[list[object]]:
    """Read a public picture all the time while the block runs; every answer that is wrong."""
    signer, wrong = DeliverySigner(stack.settings.delivery_secrets), list[object]()
    options = {"library": stack.addresses["library"], "purpose": Purpose.PUBLIC, "expires_at": int(time.time()) + 3600}
    query = signer.query(str(media_id), "thumb", **options)
    url = file_url(stack.settings.public_url, str(media_id), "thumb", query)

    async def read(right: str) -> None:
        while True:
            answer = await _answer(public, url)
            if answer is not None and sha256(answer.content).hexdigest() != right:
                wrong.append((answer.status_code, answer.text[:200]))
            await asyncio.sleep(0.1)

    async with httpx.AsyncClient(trust_env=False, timeout=30) as public:
        right = (await public.get(url)).raise_for_status().content
        reading = asyncio.create_task(read(sha256(right).hexdigest()))
        try:
            yield wrong
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _answer(public: httpx.AsyncClient, url: str) -> httpx.Response | None:
    """None while a part is away."""
    try:
        answer = await public.get(url)
    except httpx.TransportError:
        return None
    return None if answer.status_code in {500, 502, 503} else answer


async def _ended(care: Care, waits: Waits) -> None:
    """Return when the import and every other run that was asked for has ended."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while open_ := await care.open_runs():
        await waits.look(open_)
        assert time.monotonic() < deadline, f"still open: {open_}; {waits.longest(12)}"
        await asyncio.sleep(0.5)


async def _assert_in_order(care: Care, uploader: Uploader) -> tuple[int, int]:
    """Everything that was promised, and nothing else. The number of objects, and the length of the longest history."""
    await care.finished(await care.retain())
    for choices in ({}, {"repair": False, "grace": -60}):  # the first may repair what was broken behind a scrub's back
        await care.finished(await care.scrub(bytes_per_second=0, **choices))
    stack = care.stack
    await until(lambda: not care.open_sessions(), seconds=60, what="sessions that were given up run out")
    first, second = [await stack.sweep(f"care-{number}") for number in (1, 2)]
    assert (first.started, first.delivered) == (0, 0)
    assert (second.started, second.delivered, second.mailed, second.cleared) == (0, 0, 0, 0)
    rows = await asyncio.to_thread(ledger.read, stack.addresses["database_url"])
    own = {key: sent for key, sent in uploader.promised.items() if UUID(key) not in care.aged}
    ledger.assert_promises_kept(rows, own)
    assert {row["status"] for key, row in rows.media.items() if key not in rows.accepted} <= {Status.EXPIRED}
    ledger.assert_once(rows)
    await care_books.assert_imported(care, rows)
    await care_books.assert_scrubbed(care, rows)
    care_books.assert_erased(care, rows)
    longest = await ledger.assert_runs_completed(stack, rows.accepted)
    await ledger.assert_only_approved_is_public(stack, rows)
    await ledger.assert_chains_whole(stack)
    return await care_books.assert_placed(care, rows), longest
