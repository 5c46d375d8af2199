"""The network between the gate and its services, through Toxiproxy (https://github.com/Shopify/toxiproxy): it can be
cut, slowed and made to break connections."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from devstack.environment import DETOURS
from devstack.ports import LOOPBACK
from devstack.tools import TESTS, ensure_tools

SERVICES = ("postgres", "s3", "temporal")


class Network:
    """Ways to the services. `ports`: those that the services are to have; `beside`: those of further ways;
    `variables`: what `dev` is started with."""

    def __init__(self, api_port: int, ports: dict[str, int], detours: dict[str, int], beside: dict[str, int]) -> None:
        self.ports = ports
        self.beside = beside
        self.variables = {DETOURS: json.dumps(detours)}
        self._api = f"http://{LOOPBACK}:{api_port}"

    async def cut(self, service: str) -> None:
        """Close every connection to it, and take no new one."""
        await self._post(f"/proxies/{service}", {"enabled": False})

    async def slow(self, service: str, *, milliseconds: int) -> None:
        """Answers take that long, half of it more or less."""
        await self._toxic(service, "latency", latency=milliseconds, jitter=milliseconds // 2)

    async def break_off(self, service: str, *, share: float) -> None:
        """That share of the connections is reset."""
        await self._toxic(service, "reset_peer", toxicity=share, timeout=0)

    async def mend(self) -> None:
        """As if nothing had been."""
        await self._post("/reset", {})

    async def _toxic(self, service: str, kind: str, *, toxicity: float = 1.0, **attributes: int) -> None:
        document = {"name": kind, "type": kind, "stream": "downstream", "toxicity": toxicity, "attributes": attributes}
        await self._post(f"/proxies/{service}/toxics", document)

    async def _post(self, path: str, document: dict[str, Any]) -> None:
        async with httpx.AsyncClient(base_url=self._api, trust_env=False) as http:
            (await http.post(path, json=document)).raise_for_status()

    async def ready(self) -> None:
        """Return when the proxy answers."""
        async with asyncio.timeout(20), httpx.AsyncClient(base_url=self._api, trust_env=False) as http:
            while True:
                try:
                    (await http.get("/version")).raise_for_status()
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                else:
                    return


@asynccontextmanager
async def cuttable(folder: Path, **beside: str) -> AsyncIterator[Network]:
    """A proxy in front of every service, for the time of the block; `folder`: for its configuration; `beside`: names
    of further ways, each to one of the services."""
    tools = await ensure_tools(lambda _: None, ["toxiproxy"], tools=TESTS)
    ways = dict(zip(SERVICES, SERVICES, strict=True)) | beside
    api, *others = _free_ports(1 + len(SERVICES) + len(ways))
    ports = dict(zip(SERVICES, others, strict=False))
    detours = dict(zip(ways, others[len(SERVICES) :], strict=True))
    proxies = [
        {
            "name": name,
            "listen": f"{LOOPBACK}:{detours[name]}",
            "upstream": f"{LOOPBACK}:{ports[service]}",
            "enabled": True,
        }
        for name, service in ways.items()
    ]
    (folder / "toxiproxy.json").write_text(json.dumps(proxies))
    process = await asyncio.create_subprocess_exec(
        *(str(tools / "toxiproxy"), "-port", str(api), "-config", str(folder / "toxiproxy.json")),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    own = {name: detours[name] for name in SERVICES}
    network = Network(api, ports, own, {name: detours[name] for name in beside})
    try:
        await network.ready()
        yield network
    finally:
        process.kill()
        await process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
