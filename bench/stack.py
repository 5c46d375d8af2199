"""A whole stack of a benchmark's own: real Postgres, S3, Temporal, API and worker processes on loopback."""

import asyncio
import io
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
from PIL import Image

from cli.demo.files import DemoFile, Route
from cli.demo.public_api import PublicApi
from cli.provision import library_and_key, provision
from devstack.discard import discard
from devstack.stack import Options, Stack, running_stack


@dataclass(frozen=True)
class Bench:
    """A running stack."""

    stack: Stack

    @asynccontextmanager
    async def library(self, slug: str) -> AsyncIterator[PublicApi]:
        """A library that is made if it does not exist, as its uploader sees it."""
        key = await library_and_key(self.stack.settings, slug)
        base, headers = str(self.stack.addresses["api_url"]), {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False, timeout=60) as http:
            yield PublicApi(http, slug, patience=600)

    async def vendor(self, method: str, path: str, **request: object) -> httpx.Response:
        """A call to the simulated vendor."""
        async with httpx.AsyncClient(base_url=self.stack.addresses["vendor"]["url"], trust_env=False) as http:
            answer = await http.request(method, path, **request)  # type: ignore[arg-type]
        return answer.raise_for_status()

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """The rows of a query to the gate's database."""
        with psycopg.connect(str(self.stack.addresses["database_url"])) as connection:
            return connection.execute(query.encode(), values).fetchall()


def photographs(count: int, *, edge: int, vendor: str = "approve", start: int = 0) -> list[DemoFile]:
    """Distinct small pictures of `edge` × ¾ `edge` pixels. `vendor`: what the simulated one is to answer."""
    files = []
    for number in range(start, start + count):
        image = Image.linear_gradient("L").resize((edge, edge * 3 // 4)).convert("RGB")
        image.paste((number % 256, number // 256 % 256, 90), (10, 10, edge // 2, edge // 3))
        data = io.BytesIO()
        image.save(data, "JPEG", quality=85, comment=f"number {number}".encode())
        name = f"picture-{number}.jpg"
        files.append(
            DemoFile(
                label=name,
                filename=name,
                content_type="image/jpeg",
                size=len(data.getvalue()),
                route=Route.MULTIPART,
                caption=f"Bench [sim:{vendor}]",
                data=data.getvalue(),
            )
        )
    return files


@asynccontextmanager
async def own_stack() -> AsyncIterator[Bench]:
    """Everything of it is gone at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="mediagate-bench-"))
    try:
        async with running_stack(folder, Options(provision=provision)) as stack:
            yield Bench(stack)
    finally:
        discard(folder)


async def until_decided(api: PublicApi, media_id: str, *, patience: float = 600) -> str:
    """The status of an item once it is decided and filed."""
    give_up = time.monotonic() + patience
    ends = {"approved", "rejected", "quarantined", "failed"}
    while (status := str((await api.media(media_id))["status"])) not in ends:
        if time.monotonic() > give_up:
            return status
        await asyncio.sleep(0.05)
    return status


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share lies; NaN of nothing."""
    if not values:
        return float("nan")
    return (
        statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]
        if len(values) > 1
        else values[0]
    )
