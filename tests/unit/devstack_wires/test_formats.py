"""Sightengine's and Hive's sides, where the contract does not reach: their refusals, and what adapters do not ask."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devstack.wires.looks import Colour
from mediagate.settings import VendorKind
from tests.wires import Wires, coloured, serving_wires

USER = {"api_user": "wire-key", "api_secret": "wire-secret"}
TOKEN = {"authorization": "token wire-key"}
PICTURE = {"media": ("x.jpg", coloured(Colour.RED), "image/jpeg")}


@pytest.fixture(scope="module")
async def wires(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wires]:
    folder: Path = tmp_path_factory.mktemp("formats")
    async with serving_wires(folder, [VendorKind.GENERIC, VendorKind.SIGHTENGINE, VendorKind.HIVE]) as running:
        yield running


@pytest.fixture
async def client(wires: Wires) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False, base_url=wires.url) as one:
        yield one


async def check(client: httpx.AsyncClient, files: Any = PICTURE, **form: str) -> httpx.Response:
    data = {"models": "nudity-2.1,face-attributes", **USER, **form}
    return await client.post("/sightengine/1.0/check.json", data=data, files=files)


async def task(client: httpx.AsyncClient, endpoint: str = "sync", **sent: Any) -> httpx.Response:
    return await client.post(f"/hive/api/v2/task/{endpoint}", headers=TOKEN, **sent)


class TestSightengine:
    async def test_answers_the_models_that_were_asked_for(self, client: httpx.AsyncClient) -> None:
        answer = (await check(client)).json()
        assert set(answer) == {"status", "request", "nudity", "faces", "media"}
        assert (answer["request"]["operations"], answer["media"]["uri"]) == (2, "x.jpg")

    async def test_sees_a_face_of_a_minor(self, client: httpx.AsyncClient) -> None:
        answer = await check(client, {"media": ("x.jpg", coloured(Colour.YELLOW), "image/jpeg")})
        assert [face["attributes"]["minor"] for face in answer.json()["faces"]] == [0.97]

    @pytest.mark.parametrize(
        ("form", "files", "kind"),
        [
            ({"api_user": "x"}, PICTURE, "argument_error"),
            ({"api_secret": "x"}, PICTURE, "argument_error"),
            ({"models": "nudity-9"}, PICTURE, "argument_error"),
            ({}, {"media": ("x.jpg", b"GIF89a", "image/jpeg")}, "media_error"),
        ],
        ids=["user", "secret", "model", "picture"],
    )
    async def test_refuses_in_its_own_format(
        self, client: httpx.AsyncClient, form: dict[str, str], files: Any, kind: str
    ) -> None:
        answer = await check(client, files, **form)
        assert (answer.status_code, answer.json()["status"], answer.json()["error"]["type"]) == (400, "failure", kind)

    async def test_faults_are_in_its_format_too(self, client: httpx.AsyncClient, wires: Wires) -> None:
        await wires.faults("sightengine", limited=1, retry_after=4)
        answer = await check(client)
        await wires.clear("sightengine")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "4")
        assert answer.json()["error"]["type"] == "usage_limit"


class TestHive:
    async def test_the_scores_of_a_head_sum_to_one(self, client: httpx.AsyncClient) -> None:
        answer = (await task(client, files=PICTURE)).json()
        classes = answer["status"][0]["response"]["output"][0]["classes"]
        gun = {one["class"]: one["score"] for one in classes if "gun" in one["class"]}
        assert set(gun) == {"gun_in_hand", "gun_not_in_hand", "animated_gun", "no_gun"}
        assert sum(gun.values()) == pytest.approx(1)

    async def test_a_task_is_known_afterwards(self, client: httpx.AsyncClient) -> None:
        done = (await task(client, files=PICTURE, data={"metadata": "mine"})).json()
        again = await client.get("/hive/api/v2/task", params={"task_id": done["id"]}, headers=TOKEN)
        assert (again.json(), done["metadata"]) == (done, "mine")

    async def test_without_a_callback_url_nobody_is_called(self, client: httpx.AsyncClient, wires: Wires) -> None:
        receipt = (await task(client, "async", files=PICTURE)).json()
        assert receipt["id"] == receipt["task_id"]
        assert (await wires.counts("hive")).callbacks == 0

    async def test_a_picture_that_cannot_be_read_fails(self, client: httpx.AsyncClient) -> None:
        answer = (await task(client, files={"media": ("x.jpg", b"GIF89a", "image/jpeg")})).json()
        assert answer["status"] == [{"status": {"code": "1", "message": "Media could not be read"}}]

    @pytest.mark.parametrize(
        "sent",
        [
            {},
            {"data": {"url": "http://127.0.0.1:9/x"}, "files": PICTURE},
            {"data": {"callback_url": "https://example.com/hook"}, "files": PICTURE},
        ],
        ids=["nothing", "twice", "elsewhere"],
    )
    async def test_what_it_does_not_take(self, client: httpx.AsyncClient, sent: dict[str, Any]) -> None:
        assert (await task(client, "async", **sent)).status_code == 400
