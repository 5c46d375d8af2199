"""The gate end to end: uploads per second, CPU seconds per upload by process, and how long its two waits take.

    python -m bench.uploads [--files 150] [--at-once 12] [--unloaded 30] [--rounds 3] [--only gate,in-process,…]

Files of 2 megapixels go in, the simulated vendor approves each at once, and an upload counts when it is filed.
Unloaded, one upload is sent after another has ended. Under load they go in by presigned URLs, and by forms of
several files; then the same API and steps are led by something else than Temporal (`bench.peers.orchestration`).
All contenders take turns in each round; the medians of the rounds are printed.
"""

import argparse
import asyncio
import io
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import cast

import httpx
from PIL import Image

from bench import cpu
from bench.peers import orchestration
from bench.pictures import QUALITY, SIZES, photograph
from bench.stack import Bench, own_stack, quantile
from cli.demo.files import DemoFile, Route
from cli.demo.public_api import PublicApi
from cli.provision import library_and_key
from devstack.environment import whole_environment
from devstack.ports import LOOPBACK

Files = Sequence[DemoFile]

LIBRARY = "bench"
FORM = 10
WARM = 16
"""Uploads before a peer is measured."""
SCENES = 6
"""Different photographs; each file differs from all others by its comment."""

_FILED = "SELECT count(*) FROM media WHERE filed_at IS NOT NULL AND id = ANY(%s)"
_TIMES = """
    SELECT m.id::text, m.filed_at, m.created_at,
           (SELECT min(e.at) FROM media_event e WHERE e.media_id = m.id AND e.kind = 'submitted'),
           (SELECT min(i.received_at) FROM inbox i WHERE i.media_id = m.id)
    FROM media m WHERE m.id = ANY(%s)
"""


@dataclass(frozen=True)
class Sent:
    """An upload, and when its `complete` was sent (Unix time)."""

    media_id: str
    completed: float


@dataclass(frozen=True)
class Outcome:
    """What a load took."""

    files: int
    seconds: float
    cpu: dict[str, float]

    @property
    def rate(self) -> float:
        """Uploads per second."""
        return self.files / self.seconds

    @property
    def cpu_per_upload(self) -> float:
        """Seconds, of everything but the bench itself."""
        return sum(used for part, used in self.cpu.items() if part != cpu.BENCH) / self.files


async def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.uploads", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--files", type=int, default=150)
    parser.add_argument("--at-once", type=int, default=12, help="uploads being sent at the same time")
    parser.add_argument("--unloaded", type=int, default=30, help="uploads one after another")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(CONTENDERS), help=f"of {', '.join(CONTENDERS)}")
    asked = parser.parse_args()
    chosen = asked.only.split(",")
    files = photographs(asked.unloaded + 10 + asked.rounds * len(chosen) * (asked.files + WARM))
    async with own_stack() as bench, bench.library(LIBRARY) as api:
        await unloaded(bench, api, list(islice(files, 10)))  # caches, connections, picture processes
        show_waits(bench, await unloaded(bench, api, list(islice(files, asked.unloaded))))
        outcomes: dict[str, list[Outcome]] = {name: [] for name in chosen}
        for _ in range(asked.rounds):
            for name in chosen:
                taken = list(islice(files, WARM)), list(islice(files, asked.files))
                outcomes[name].append(await CONTENDERS[name](bench, *taken, asked.at_once))
        for name, found in outcomes.items():
            show(name, found)
        compare({name: median(found) for name, found in outcomes.items()})


async def by_presigned_urls(bench: Bench, warm: Files, files: Files, at_once: int) -> Outcome:
    """The whole gate, each file announced, stored and completed."""
    async with bench.library(LIBRARY) as api:
        await loaded(bench, api, warm, at_once)
        return await loaded(bench, api, files, at_once)


async def by_forms(bench: Bench, warm: Files, files: Files, at_once: int) -> Outcome:
    """The whole gate, several files in each request."""
    async with bench.library(LIBRARY) as api:
        await loaded(bench, api, warm, at_once)
        return await loaded(bench, api, files, max(2, at_once // FORM), form=FORM)


async def in_process(bench: Bench, warm: Files, files: Files, at_once: int) -> Outcome:
    """The same work with nothing that survives a crash."""
    return await _peer(bench, ["in-process"], warm, files, at_once)


async def by_procrastinate(bench: Bench, warm: Files, files: Files, at_once: int) -> Outcome:
    """The same steps as jobs of a queue in Postgres."""
    await orchestration.prepare(bench.stack.settings)
    return await _peer(bench, ["procrastinate-api", "procrastinate-worker"], warm, files, at_once)


async def _peer(bench: Bench, kinds: Sequence[str], warm: Files, files: Files, at_once: int) -> Outcome:
    url, key = f"http://{LOOPBACK}:{_free_port()}", await library_and_key(bench.stack.settings, LIBRARY)
    running = _started(bench, kinds, url)
    try:
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=60
        ) as http:
            await _until_live(http)
            api = PublicApi(http, LIBRARY, patience=600)
            await loaded(bench, api, warm, at_once)
            return await loaded(bench, api, files, at_once, others={name: one.pid for name, one in running.items()})
    finally:
        for one in running.values():
            one.terminate()
        for one in running.values():
            await asyncio.to_thread(one.wait, 30)


def _started(bench: Bench, kinds: Sequence[str], url: str) -> dict[str, subprocess.Popen[bytes]]:
    """The processes of a peer, in the stack's environment; the API, and the vendor's way back, at `url`."""
    environment = whole_environment(bench.stack.environment) | {"MEDIAGATE_PUBLIC_URL": url}
    environment.pop("MEDIAGATE_METRICS_ADDRESS", None)
    command = [sys.executable, "-m", "bench.peers.orchestration", "--port", url.rpartition(":")[2]]
    with (bench.stack.state.logs / "peers.log").open("ab") as log:
        return {kind: subprocess.Popen([*command, kind], env=environment, stdout=log, stderr=log) for kind in kinds}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


async def _until_live(http: httpx.AsyncClient) -> None:
    for _ in range(300):
        try:
            (await http.get("/health/live")).raise_for_status()
        except httpx.TransportError:
            await asyncio.sleep(0.1)
        else:
            return
    raise SystemExit("The peer did not start: see peers.log.")


CONTENDERS = {
    "gate": by_presigned_urls,
    "gate-forms": by_forms,
    "in-process": in_process,
    "procrastinate": by_procrastinate,
}


def photographs(count: int) -> Iterator[DemoFile]:
    """That many different files of 2 megapixels."""
    scenes = [photograph(SIZES["2MP"], seed=seed) for seed in range(1, SCENES + 1)]
    return (_file(scenes[number % SCENES], number) for number in range(count))


def _file(scene: Image.Image, number: int) -> DemoFile:
    data = io.BytesIO()
    scene.save(data, "JPEG", quality=QUALITY, subsampling="4:2:0", comment=f"number {number}".encode())
    name = f"picture-{number}.jpg"
    return DemoFile(
        label=name,
        filename=name,
        content_type="image/jpeg",
        size=len(data.getvalue()),
        route=Route.PRESIGNED,
        caption="Bench [sim:approve]",
        data=data.getvalue(),
    )


async def send(api: PublicApi, file: DemoFile) -> Sent:
    """Announce, store, complete."""
    announced = await api.announce(file)
    await api.store(announced, file.data or b"")
    began = time.time()
    await api.complete(announced, file.data or b"")
    api.exchanges.clear()
    return Sent(announced["media_id"], began)


async def send_form(api: PublicApi, files: Files) -> list[Sent]:
    """In one request."""
    began = time.time()
    items = await api.send(files)
    api.exchanges.clear()
    return [Sent(item["media_id"], began) for item in items]


async def unloaded(bench: Bench, api: PublicApi, files: Sequence[DemoFile]) -> list[Sent]:
    """One after another; each when the one before is filed and at rest."""
    sent = []
    for file in files:
        sent.append(await send(api, file))
        await until_filed(bench, sent[-1:])
        await asyncio.sleep(0.4)  # notification, and the last workflow task
    return sent


async def loaded(
    bench: Bench,
    api: PublicApi,
    files: Files,
    at_once: int,
    *,
    form: int = 0,
    others: Mapping[str, int] | None = None,
) -> Outcome:
    """All of them, so many requests at a time; measured until the last one is filed. `form`: files of one request."""
    slots = asyncio.Semaphore(at_once)

    async def one(few: Files) -> list[Sent]:
        async with slots:
            return await send_form(api, few) if form else [await send(api, few[0])]

    parcels = [files[start : start + max(form, 1)] for start in range(0, len(files), max(form, 1))]
    before, began = cpu.by_part(bench.stack.state, others), time.time()
    sent = list(chain.from_iterable(await asyncio.gather(*map(one, parcels))))
    await until_filed(bench, sent)
    seconds = max(filed.timestamp() for filed, *_ in times(bench, sent).values()) - began
    return Outcome(len(files), seconds, cpu.spent(before, cpu.by_part(bench.stack.state, others)))


async def until_filed(bench: Bench, sent: Sequence[Sent], *, patience: float = 600) -> None:
    """Return when all of them are."""
    ids, give_up = [one.media_id for one in sent], time.monotonic() + patience
    while int(cast("int", bench.rows(_FILED, ids)[0][0])) < len(ids):
        if time.monotonic() > give_up:
            raise SystemExit(f"Not all of {len(ids)} uploads were filed in {patience:.0f} s.")
        await asyncio.sleep(0.1 if len(ids) == 1 else 0.5)


def times(bench: Bench, sent: Sequence[Sent]) -> dict[str, tuple[datetime, datetime, datetime, datetime]]:
    """By media id: filed, created, submitted, webhook received."""
    rows = bench.rows(_TIMES, [one.media_id for one in sent])
    return {str(row[0]): cast("tuple[datetime, datetime, datetime, datetime]", tuple(row[1:])) for row in rows}


def show_waits(bench: Bench, sent: Sequence[Sent]) -> None:
    """Medians and slow ends of the two waits that people and vendors notice."""
    found = times(bench, sent)
    awaiting = [found[one.media_id][2].timestamp() - one.completed for one in sent]
    filing = [found[one.media_id][0].timestamp() - found[one.media_id][3].timestamp() for one in sent]
    for name, values in (("complete → awaiting moderation", awaiting), ("webhook → filed", filing)):
        print(
            f"{name:>32}: p50 {statistics.median(values) * 1000:4.0f} ms, p95 {quantile(values, 0.95) * 1000:4.0f} ms"
        )


def median(outcomes: Sequence[Outcome]) -> Outcome:
    """The round in the middle by its rate."""
    return sorted(outcomes, key=lambda one: one.rate)[len(outcomes) // 2]


def show(name: str, outcomes: Sequence[Outcome]) -> None:
    """Rate and CPU of the median round."""
    middle, rates = median(outcomes), ", ".join(f"{one.rate:.2f}" for one in outcomes)
    print(f"\n{name}: {middle.rate:.2f} uploads/s (rounds of {middle.files}: {rates})")
    for part, used in middle.cpu.items():
        if used / middle.files > 0.0005:
            print(f"{part:>22}: {used / middle.files * 1000:5.0f} ms of CPU per upload")
    print(f"{'all but bench':>22}: {middle.cpu_per_upload * 1000:5.0f} ms")


def compare(medians: Mapping[str, Outcome]) -> None:
    """What orchestration costs: CPU seconds against the same work in one process."""
    if floor := medians.get("in-process"):
        print("\nCPU per upload against in-process:")
        for name, one in medians.items():
            print(f"{name:>22}: {one.cpu_per_upload / floor.cpu_per_upload:.2f} ×, rate {one.rate / floor.rate:.2f} ×")


if __name__ == "__main__":
    asyncio.run(main())
