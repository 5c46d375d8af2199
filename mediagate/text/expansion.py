"""Where short links lead, asked of the shorteners themselves without being led into the own network.

An address is resolved here, every answer must be public, and the connection goes to the very address that was checked:
a name that resolves to something else a moment later (DNS rebinding) gains nothing. Each hop is checked anew.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urljoin

import httpx

from mediagate.text.urls import Url, normalised, parsed_address

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

MOST_HOPS = 5
DEADLINE = 3.0
"""Seconds for all hops of all links of a text."""
MOST_EXPANDED = 10
"""Short links of one text that are followed."""
_NO_HEAD = frozenset({400, 403, 404, 405, 501})
_LONGEST_LOCATION = 2_000
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""https://www.rfc-editor.org/rfc/rfc6052"""


def is_public(address: Address) -> bool:
    """True of addresses of the public internet, by the registries of special-purpose addresses (RFC 6890).

    An IPv6 address that carries an IPv4 address is judged by that one as well: mapped, 6to4, Teredo, NAT64.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if any(one is not None and not is_public(one) for one in inner):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


async def system_resolver(host: str, port: int) -> Sequence[Address]:
    """What the operating system says. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(entry[4][0]) for entry in found]


class Expander:
    """Follows redirections; sends no cookies, reads no bodies, uses no proxy."""

    def __init__(
        self,
        *,
        resolve: Resolve = system_resolver,
        permitted: Callable[[Address], bool] = is_public,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`permitted`: which addresses may be connected to."""
        self._resolve, self._permitted, self._transport = resolve, permitted, transport

    async def expand(self, urls: Sequence[str]) -> dict[str, str]:
        """Where each of the first ten leads, by URL; those that did not tell within three seconds are left out."""
        wanted = list(dict.fromkeys(urls))[:MOST_EXPANDED]
        ends: dict[str, str] = {}
        async with httpx.AsyncClient(
            transport=self._transport, trust_env=False, follow_redirects=False, timeout=httpx.Timeout(DEADLINE)
        ) as client:
            client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

            async def follow(url: str) -> None:
                end = await self._end_of(client, url)
                if end and end != url:
                    ends[url] = end

            try:
                async with asyncio.timeout(DEADLINE):
                    await asyncio.gather(*map(follow, wanted))
            except TimeoutError:
                pass  # what is known by now
        return ends

    async def _end_of(self, client: httpx.AsyncClient, start: str) -> str:
        """The last address of the chain; that where it broke, if it broke; empty if even the first did not answer."""
        reached = ""
        upcoming: str | None = start
        for _ in range(MOST_HOPS + 1):
            url = normalised(upcoming, strip_tracking=False) if upcoming else None
            if url is None or url.scheme not in {"http", "https"}:
                break
            reached = str(url)
            try:
                location = await self._location(client, url)
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
                break
            if location is None:
                break
            upcoming = urljoin(reached, location[:_LONGEST_LOCATION])
        return reached

    async def _location(self, client: httpx.AsyncClient, url: Url) -> str | None:
        """Where the address redirects to; None if it does not. Raises OSError if it may not be connected to."""
        address = await self._checked(url)
        for method in ("HEAD", "GET"):
            request = _pinned(client, method, url, address)
            response = await client.send(request, stream=True)
            await response.aclose()
            if response.is_redirect:
                location: str | None = response.headers.get("location")
                return location
            if response.status_code not in _NO_HEAD:
                break
        return None

    async def _checked(self, url: Url) -> Address:
        port = int(url.port or (443 if url.scheme == "https" else 80))
        literal = parsed_address(url.host)
        addresses = [literal] if literal else list(await self._resolve(url.host, port))
        if not addresses or not all(map(self._permitted, addresses)):
            raise OSError(f"{url.host} has no address that may be connected to.")
        return addresses[0]


def _pinned(client: httpx.AsyncClient, method: str, url: Url, address: Address) -> httpx.Request:
    """A request to that address; the certificate, if any, must still be that of the host's name."""
    place = f"[{address}]" if address.version == 6 else str(address)
    tail = url.path + (f"?{url.query}" if url.query else "")
    port = f":{url.port}" if url.port else ""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return client.build_request(
        method,
        f"{url.scheme}://{place}{port}{tail}",
        headers={"Host": f"{host}{port}", "User-Agent": "mediagate-link-check", "Accept": "*/*"},
        extensions={"sni_hostname": url.host},
    )
