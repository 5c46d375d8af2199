"""The vendor simulator on loopback for tests: every wire format, with settings of vendors that speak to it."""

import base64
import io
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from pydantic import SecretStr

from devstack.vendor import create_app
from devstack.wires.looks import Colour
from devstack.wires.wire import Counts
from mediagate.settings import Settings, VendorKind, VendorSettings
from tests.contracts.loopback import served

WEBHOOK_SECRET = SecretStr("whsec_" + base64.b64encode(b"wire secret with 28 bytes!!!").decode())

_RGB = {
    Colour.RED: (230, 20, 20),
    Colour.BLUE: (20, 20, 230),
    Colour.YELLOW: (230, 230, 20),
    Colour.GREEN: (20, 230, 20),
    Colour.NONE: (128, 128, 128),
}


def coloured(colour: Colour, *, seed: int = 0, kind: str = "JPEG") -> bytes:
    """A picture in which every vendor sees what `devstack.wires.looks` says of the colour; another one by its seed."""
    image = Image.new("RGB", (640, 480), _RGB[colour])
    image.paste((seed % 256, (seed // 256) % 256, 90), (10, 10, 90, 90))
    target = io.BytesIO()
    image.save(target, kind)
    return target.getvalue()


class Wires:
    """A running simulator. Vendors are named as their kinds; `vendors` is what `MEDIAGATE_VENDORS` would be."""

    def __init__(self, url: str, vendors: Mapping[str, VendorSettings], client: httpx.AsyncClient) -> None:
        self.url = url
        self.vendors = dict(vendors)
        self._client = client

    async def faults(self, kind: str, **faults: Any) -> None:
        """Misbehave from now on like this (`devstack.wires.faults.Faults`), in place of former faults."""
        answer = await self._client.put(f"{self.url}/control/{kind}", json=faults)
        assert answer.status_code == 200, answer.text

    async def clear(self, kind: str) -> None:
        """Behave, and count from nothing."""
        answer = await self._client.delete(f"{self.url}/control/{kind}")
        assert answer.status_code == 200, answer.text

    async def counts(self, kind: str) -> Counts:
        """What the wire did since it was cleared."""
        answer = await self._client.get(f"{self.url}/control/{kind}")
        return Counts.model_validate(answer.json())


@asynccontextmanager
async def serving_wires(
    state_dir: Path, kinds: Iterable[VendorKind] = VendorKind, **overrides: Any
) -> AsyncIterator[Wires]:
    """The simulator while the context lasts. `state_dir` is for what the generic vendor remembers.

    `overrides`: of every vendor's `VendorSettings`, such as `timeout`. Afterwards no call is left waiting.
    """
    wanted = tuple(kinds)
    credentials = {
        "api_key": SecretStr("wire-key"),
        "api_secret": SecretStr("wire-secret"),
        "webhook_secrets": (WEBHOOK_SECRET,),
    }
    knows = {kind.value: VendorSettings(kind=kind, **credentials) for kind in wanted}
    settings = Settings(
        state_dir=state_dir,
        vendors=knows,
        vendor_api_key=credentials["api_key"],
        vendor_webhook_secrets=(WEBHOOK_SECRET,),
    )
    async with (
        served(create_app(settings, "simulated", pause=0.02)) as url,
        httpx.AsyncClient(trust_env=False, timeout=30) as client,
    ):
        vendors = {
            kind.value: VendorSettings(
                kind=kind,
                url=url if kind is VendorKind.GENERIC else f"{url}/{kind.value}",
                **{**credentials, **overrides},
            )
            for kind in wanted
        }
        wires = Wires(url, vendors, client)
        yield wires
        for kind in wanted:
            await wires.clear(kind.value)
