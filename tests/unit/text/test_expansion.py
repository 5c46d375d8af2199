"""Where short links lead, over real HTTP on loopback, and what is never connected to."""

import ipaddress
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from mediagate.text.expansion import MOST_EXPANDED, MOST_HOPS, Address, Expander, is_public
from tests.contracts.loopback import served

LOOPBACK = ipaddress.ip_address("127.0.0.1")


class Shortener:
    """A server of short links, and who asked it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.cookies: list[str] = []
        self.app = FastAPI()
        self.app.add_api_route("/{path:path}", self.answer, methods=["GET", "HEAD"])
        self.base = ""

    async def answer(self, request: Request, path: str) -> Response:
        self.seen.append((request.method, request.headers["host"].partition(":")[0], f"/{path}"))
        self.cookies.append(request.headers.get("cookie", ""))
        kind, _, rest = path.partition("/")
        if kind == "to":
            answer = RedirectResponse(f"http://{rest}", 302)
            answer.set_cookie("who", "you")
            return answer
        if kind == "loop":
            return RedirectResponse(f"/loop/{int(rest) + 1}", 301)
        if kind == "nohead":
            return PlainTextResponse("", 405) if request.method == "HEAD" else RedirectResponse("/end", 307)
        if kind == "scheme":
            return RedirectResponse("file:///etc/passwd", 302)
        return PlainTextResponse("x" * 100_000)

    def url(self, path: str, host: str = "short.test") -> str:
        return f"http://{host}:{self.base.rpartition(':')[2]}{path}"

    def place(self, host: str) -> str:
        return f"{host}:{self.base.rpartition(':')[2]}"


class Resolver:
    """Names and their addresses; a name that is asked for twice may have moved."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self._answers = {name.replace("_", "."): list(answer) for name, answer in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        if host not in self._answers:
            raise OSError(f"no such host: {host}")
        return [ipaddress.ip_address(answer) for answer in self._answers[host]]


@pytest.fixture
async def shortener() -> AsyncIterator[Shortener]:
    one = Shortener()
    async with served(one.app) as base:
        one.base = base
        yield one


def expander(resolver: Resolver) -> Expander:
    """One that may reach this machine, and nothing else."""
    return Expander(resolve=resolver, permitted=lambda address: address == LOOPBACK)


class TestFollowing:
    async def test_from_host_to_host_without_cookies(self, shortener: Shortener) -> None:
        start = shortener.url(f"/to/{shortener.place('other.test')}/to/{shortener.place('end.test')}/here")
        resolver = Resolver(short_test=["127.0.0.1"], other_test=["127.0.0.1"], end_test=["127.0.0.1"])
        assert await expander(resolver).expand([start]) == {start: shortener.url("/here", "end.test")}
        assert [(method, host) for method, host, _ in shortener.seen] == [
            *(("HEAD", "short.test"), ("HEAD", "other.test"), ("HEAD", "end.test"))
        ]
        assert set(shortener.cookies) == {""}
        assert resolver.asked == ["short.test", "other.test", "end.test"]

    async def test_a_server_that_knows_no_head(self, shortener: Shortener) -> None:
        start = shortener.url("/nohead")
        assert await expander(Resolver(short_test=["127.0.0.1"])).expand([start]) == {start: shortener.url("/end")}
        assert [method for method, *_ in shortener.seen] == ["HEAD", "GET", "HEAD"]

    async def test_a_loop_ends(self, shortener: Shortener) -> None:
        start = shortener.url("/loop/0")
        ends = await expander(Resolver(short_test=["127.0.0.1"])).expand([start])
        assert len(shortener.seen) == MOST_HOPS + 1
        assert ends == {start: shortener.url(f"/loop/{MOST_HOPS}")}

    async def test_what_is_no_redirection_is_left_out(self, shortener: Shortener) -> None:
        assert await expander(Resolver(short_test=["127.0.0.1"])).expand([shortener.url("/page")]) == {}

    async def test_only_so_many(self, shortener: Shortener) -> None:
        many = [shortener.url(f"/to/gone.test/{number}") for number in range(MOST_EXPANDED + 5)]
        ends = await expander(Resolver(short_test=["127.0.0.1"])).expand(many)
        assert len(ends) == MOST_EXPANDED


class TestRefusing:
    @pytest.mark.parametrize(
        ("target", "told"),
        [
            ("10.0.0.1/x", "http://10.0.0.1/x"),
            ("169.254.169.254/latest/meta-data", "http://169.254.169.254/latest/meta-data"),
            ("[::ffff:10.0.0.1]/", "http://[::ffff:a00:1]/"),
            ("2130706434/", "http://127.0.0.2/"),
            ("inside.test/", "http://inside.test/"),
            ("mixed.test/", "http://mixed.test/"),
        ],
    )
    async def test_a_way_inside_is_named_and_not_taken(self, shortener: Shortener, target: str, told: str) -> None:
        resolver = Resolver(short_test=["127.0.0.1"], inside_test=["192.168.1.1"], mixed_test=["127.0.0.1", "10.0.0.1"])
        start = shortener.url(f"/to/{target}")
        assert await expander(resolver).expand([start]) == {start: told}
        assert len(shortener.seen) == 1

    async def test_other_schemes_end_the_way(self, shortener: Shortener) -> None:
        start = shortener.url("/scheme")
        assert await expander(Resolver(short_test=["127.0.0.1"])).expand([start]) == {}

    async def test_by_default_nothing_here_is_reached(self, shortener: Shortener) -> None:
        resolver = Resolver(short_test=["127.0.0.1"])
        assert await Expander(resolve=resolver).expand([shortener.url("/to/end.test/")]) == {}
        assert await Expander().expand([shortener.base + "/to/end.test/"]) == {}
        assert shortener.seen == []

    async def test_the_address_that_was_checked_is_the_one_that_is_called(self) -> None:
        """Whatever the name resolves to a moment later."""
        called: list[tuple[str, str, Any]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            called.append((request.url.host, request.headers["host"], request.extensions["sni_hostname"]))
            return httpx.Response(302, headers={"location": "https://end.test:8443/x"})

        resolver = Resolver(short_test=["93.184.216.34"], end_test=["2606:2800:220:1::1"])
        transport = httpx.MockTransport(answer)
        await Expander(resolve=resolver, transport=transport).expand(["https://short.test/"])
        assert called[:2] == [
            ("93.184.216.34", "short.test", "short.test"),
            ("2606:2800:220:1::1", "end.test:8443", "end.test"),
        ]


class TestAddresses:
    @pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
    def test_public_ones(self, address: str) -> None:
        assert is_public(ipaddress.ip_address(address))

    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
            *("192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
            *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
            *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::a00:1", "64:ff9b::7f00:1"),
            "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        ],
    )
    def test_all_others(self, address: str) -> None:
        assert not is_public(ipaddress.ip_address(address))
