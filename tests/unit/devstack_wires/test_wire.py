"""A wire's faults, and its calls, over real HTTP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response

from devstack.wires import control
from devstack.wires.faults import ABSURD, Faults, Wrong, huge, spoilt
from devstack.wires.wire import Callback, Counts, Wire
from mediagate.media.values import MIB
from tests.contracts.loopback import served
from tests.wires import serving_wires

ANSWER = {"name": "x", "scores": [{"a": 0.5, "b": 1}], "deep": {"c": 0.25}}


class Bench:
    """A wire with one route, and somebody who is called back."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.url = ""
        self.heard: list[bytes] = []
        self.status = [200]
        self.app = FastAPI()
        routes = APIRouter(dependencies=[Depends(wire.admit)])
        routes.get("/answer")(self.answer)
        self.app.include_router(routes)
        self.app.include_router(control.router({"one": wire}))
        self.app.post("/hook")(self.hook)
        self.app.get("/picture")(self.picture)

    async def answer(self) -> Response:
        return self.wire.answer(ANSWER, other={"name": "y"})

    async def hook(self, request: Request) -> Response:
        self.heard.append(await request.body())
        return Response(status_code=self.status.pop(0) if len(self.status) > 1 else self.status[0])

    async def picture(self) -> Response:
        return Response(b"picture", status_code=self.status.pop(0) if len(self.status) > 1 else self.status[0])

    def callback(self, body: bytes = b"true") -> Callback:
        return Callback(f"{self.url}/hook", body)


async def refused(wire: Wire) -> bool:
    """Whether a call is answered 500."""
    try:
        await wire.admit()
    except HTTPException as refusal:
        return refusal.status_code == 500
    return False


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    wire = Wire("one", pause=0)
    made = Bench(wire)
    async with served(made.app) as made.url:
        yield made
        wire.clear()
    await wire.close()


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, base_url=bench.url) as one:
        yield one


class TestSpoilt:
    @pytest.mark.parametrize(
        ("wrong", "text"), [(Wrong.BROKEN, b'{"name": "x"'), (Wrong.EMPTY, b"{}"), (Wrong.LIST, b"[]")]
    )
    def test_says_no_result(self, wrong: Wrong, text: bytes) -> None:
        assert spoilt({"name": "x", "score": 1}, wrong) == text

    def test_scores_are_out_of_every_scale(self) -> None:
        expected = {"name": "x", "scores": [{"a": ABSURD, "b": 1}], "deep": {"c": ABSURD}}
        assert json.loads(spoilt(ANSWER, Wrong.SCORES)) == expected

    def test_the_wire_may_say_what_a_score_is(self) -> None:
        found = json.loads(spoilt({"a": "LIKELY", "b": 0.5}, Wrong.SCORES, lambda value: value == "LIKELY"))
        assert found == {"a": ABSURD, "b": 0.5}

    def test_nan_is_written_as_python_does(self) -> None:
        assert spoilt({"a": 0.5}, Wrong.NAN) == b'{"a": NaN}'

    def test_huge_is_more_than_anybody_reads(self) -> None:
        assert len(huge(ANSWER)) > 1.9 * MIB
        assert json.loads(huge(ANSWER))["name"] == "x"


class TestAdmit:
    async def test_without_faults_it_answers(self, bench: Bench, client: httpx.AsyncClient) -> None:
        assert (await client.get("/answer")).json() == ANSWER
        assert bench.wire.counts == Counts(calls=1)

    async def test_down(self, bench: Bench, client: httpx.AsyncClient) -> None:
        bench.wire.set(Faults(down=True))
        assert (await client.get("/answer")).status_code == 503

    async def test_the_next_calls_are_limited(self, bench: Bench, client: httpx.AsyncClient) -> None:
        bench.wire.set(Faults(limited=2, retry_after=3))
        answers = [await client.get("/answer") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [429, 429, 200]
        assert [answer.headers.get("Retry-After") for answer in answers] == ["3", "3", None]
        assert bench.wire.counts == Counts(calls=3, refused=2)

    async def test_the_same_calls_fail_each_time(self, bench: Bench) -> None:
        rounds = []
        for seed in (1, 1, 2):
            bench.wire.set(Faults(error_rate=0.3, seed=seed))
            rounds.append([await refused(bench.wire) for _ in range(1000)])
        assert rounds[0] == rounds[1] != rounds[2]
        assert 250 <= sum(rounds[0]) <= 350
        assert bench.wire.counts == Counts(calls=3000, refused=sum(map(sum, rounds)))

    async def test_slow_calls_end_when_the_faults_do(self, bench: Bench, client: httpx.AsyncClient) -> None:
        bench.wire.set(Faults(slow=60))
        began = time.monotonic()
        calling = asyncio.create_task(client.get("/answer"))
        while not bench.wire.counts.calls:
            await asyncio.sleep(0)
        bench.wire.clear()
        assert (await calling).status_code == 200
        assert time.monotonic() - began < 10

    async def test_slow_calls_take_their_time(self, bench: Bench, client: httpx.AsyncClient) -> None:
        bench.wire.set(Faults(slow=0.1))
        began = time.monotonic()
        await client.get("/answer")
        assert time.monotonic() - began >= 0.1

    async def test_malicious_answers_are_another_items(self, bench: Bench, client: httpx.AsyncClient) -> None:
        bench.wire.set(Faults(malicious=True))
        assert (await client.get("/answer")).json() == {"name": "y"}


class TestControl:
    async def test_sets_tells_and_clears(self, bench: Bench, client: httpx.AsyncClient) -> None:
        assert (await client.put("/control/one", json={"down": True})).json()["faults"]["down"] is True
        assert (await client.get("/answer")).status_code == 503
        told = (await client.get("/control/one")).json()
        assert (told["faults"]["down"], told["calls"], told["refused"]) == (True, 1, 1)
        cleared = (await client.delete("/control/one")).json()
        assert (cleared["faults"], cleared["calls"]) == (Faults().model_dump(mode="json"), 0)
        assert (await client.get("/answer")).status_code == 200

    async def test_knows_its_wires_and_faults_only(self, client: httpx.AsyncClient) -> None:
        assert (await client.put("/control/two", json={})).status_code == 404
        for faults in ({"slowly": 1}, {"error_rate": 2}, {"wrong": "very"}, {"slow": -1}):
            assert (await client.put("/control/one", json=faults)).status_code == 422


class TestDeliver:
    @pytest.mark.parametrize(
        ("faults", "heard"),
        [
            ({}, [b"true"]),
            ({"duplicated": True}, [b"true", b"true"]),
            ({"lost": True}, []),
            ({"malicious": True}, [b"lie", b"true"]),
        ],
        ids=["none", "duplicated", "lost", "malicious"],
    )
    async def test_as_the_faults_say(self, bench: Bench, faults: dict[str, Any], heard: list[bytes]) -> None:
        bench.wire.set(Faults(**faults))
        taken = await bench.wire.deliver(bench.callback(), forged=[bench.callback(b"lie")])
        assert (bench.heard, taken) == (heard, bool(heard))
        assert bench.wire.counts == Counts(callbacks=len(heard), forged=heard.count(b"lie"))

    async def test_is_repeated_until_it_is_taken(self, bench: Bench) -> None:
        bench.status = [503, 500, 200]
        assert await bench.wire.deliver(bench.callback()) is True
        assert bench.heard == [b"true"] * 3

    async def test_is_given_up_when_nobody_wants_it(self, bench: Bench) -> None:
        bench.status = [410]
        assert await bench.wire.deliver(bench.callback()) is False
        assert bench.heard == [b"true"]

    async def test_forged_ones_are_not_repeated(self, bench: Bench) -> None:
        bench.wire.set(Faults(malicious=True))
        bench.status = [401, 200]
        assert await bench.wire.deliver(bench.callback(), forged=[bench.callback(b"lie")]) is True
        assert bench.heard == [b"lie", b"true"]

    async def test_is_spoilt_as_long_as_the_fault_lasts(self, bench: Bench) -> None:
        bench.wire.set(Faults(wrong=Wrong.SCORES))
        signed: list[bytes] = []

        def sign(body: bytes) -> dict[str, str]:
            signed.append(body)
            bench.wire.clear()
            return {}

        bench.status = [400, 200]
        assert await bench.wire.deliver(Callback(f"{bench.url}/hook", {"score": 0.5}, sign)) is True
        assert bench.heard == signed == [b'{"score": 700.0}', b'{"score": 0.5}']

    async def test_reordered_it_comes_before_the_answer(self, bench: Bench) -> None:
        bench.wire.set(Faults(reordered=True))
        await bench.wire.call_back(bench.callback())
        assert bench.heard == [b"true"]

    async def test_calls_this_machine_only(self, bench: Bench) -> None:
        elsewhere = Callback("https://example.com/hook", b"true")
        assert await bench.wire.deliver(elsewhere) is False
        assert await bench.wire.fetch("https://example.com/picture") is None
        assert bench.wire.counts == Counts()


class TestFetch:
    async def test_is_repeated_until_it_is_there(self, bench: Bench) -> None:
        bench.status = [404, 500, 200]
        assert await bench.wire.fetch(f"{bench.url}/picture") == b"picture"

    async def test_is_given_up(self, bench: Bench) -> None:
        bench.status = [404]
        assert await bench.wire.fetch(f"{bench.url}/picture") is None


async def test_every_wire_is_served_and_knows_its_key(tmp_path: Path) -> None:
    async with serving_wires(tmp_path) as wires, httpx.AsyncClient(trust_env=False, base_url=wires.url) as client:
        for kind in wires.vendors:
            assert (await wires.counts(kind)) == Counts()
        unknown = await client.get("/hive/api/v2/task", params={"task_id": "x"})
        assert unknown.status_code == 403
        known = {"authorization": "Token wire-key"}
        assert (await client.get("/hive/api/v2/task", params={"task_id": "x"}, headers=known)).status_code == 404
