"""Hive's side of its format; documents: `mediagate.vendors.hive`. Tasks are kept in memory."""

import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid1, uuid4

from fastapi import APIRouter, Depends, File, Form, Header, HTTPException, Response, UploadFile

from devstack.wires.faults import ABSURD, HOSTILE, huge
from devstack.wires.looks import look
from devstack.wires.wire import Callback, Wire, on_loopback

UNSEEN = 0.01

HEADS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("general_not_nsfw_not_suggestive", {"general_nsfw": "nudity", "general_suggestive": "suggestive"}),
    ("no_sexual_activity", {"yes_sexual_activity": "nudity"}),
    ("no_child_safety", {"yes_child_safety": "sexual_minors"}),
    ("no_child_present", {"yes_child_present": "minors"}),
    ("no_gun", {"gun_in_hand": "weapons", "gun_not_in_hand": "", "animated_gun": ""}),
    ("no_knife", {"knife_in_hand": "", "knife_not_in_hand": "", "culinary_knife_in_hand": ""}),
    ("no_blood", {"very_bloody": "gore", "a_little_bloody": "", "other_blood": ""}),
    ("no_fight", {"yes_fight": "violence"}),
    ("no_hanging_no_noose", {"hanging": "", "noose": "self_harm"}),
    ("no_self_harm", {"yes_self_harm": "self_harm"}),
    ("no_pills", {"yes_pills": "drugs"}),
    ("no_smoking", {"yes_smoking": "tobacco"}),
    ("no_alcohol", {"yes_alcohol": "alcohol", "yes_drinking_alcohol": "", "animated_alcohol": ""}),
    ("no_gambling", {"yes_gambling": "gambling"}),
    ("no_nazi", {"yes_nazi": "hate"}),
    ("no_terrorist", {"yes_terrorist": "terrorism"}),
    ("no_middle_finger", {"yes_middle_finger": "harassment"}),
)
"""Each head's negative class, and its positive ones with what is seen as them; without a category: never seen."""


class _Asked:
    """The form of a task, of which a dependency is made for both endpoints."""

    def __init__(
        self,
        media: Annotated[UploadFile | None, File()] = None,
        url: Annotated[str, Form()] = "",
        metadata: Annotated[str | None, Form()] = None,
        callback_url: Annotated[str, Form()] = "",
    ) -> None:
        self.media = media
        self.url = url
        self.metadata = metadata
        self.callback_url = callback_url

    async def picture(self, wire: Wire) -> bytes:
        """The bytes; empty if they cannot be had."""
        return await self.media.read() if self.media else await wire.fetch(self.url) or b""


Asked = Annotated[_Asked, Depends()]


def router(wire: Wire) -> APIRouter:
    """The paths under `/api/v2`."""

    def authorized(authorization: Annotated[str, Header()] = "") -> None:
        scheme, _, key = authorization.partition(" ")
        if wire.key and not (scheme.lower() == "token" and hmac.compare_digest(key.encode(), wire.key.encode())):
            raise HTTPException(403, "Invalid API key.")

    routes = APIRouter(prefix="/api/v2", dependencies=[Depends(wire.admit), Depends(authorized)])
    tasks: dict[str, dict[str, Any]] = {}

    async def look_at(asked: _Asked) -> dict[str, Any]:
        if bool(asked.media) == bool(asked.url):
            raise HTTPException(400, "Exactly one of media, url and text_data is needed.")
        task = _task(await asked.picture(wire), asked.metadata)
        tasks[task["id"]] = task
        return task

    @routes.post("/task/async")
    async def submit(asked: Asked) -> Response:
        if asked.callback_url and not on_loopback(asked.callback_url):
            raise HTTPException(400, "This vendor knows loopback addresses only.")
        task = await look_at(asked)
        if asked.callback_url:
            await wire.call_back(Callback(asked.callback_url, task), forged=_forged(asked.callback_url, task))
        receipt = {"id": task["id"], "task_id": task["id"], "message": "We received your task.", "project_id": 1}
        return Response(wire.said(receipt), media_type="application/json")

    @routes.post("/task/sync")
    async def answer(asked: Asked) -> Response:
        task = await look_at(asked)
        return wire.answer(task, other=task | {"metadata": str(uuid4())})

    @routes.get("/task")
    async def summary(task_id: str) -> Response:
        if task_id not in tasks:
            raise HTTPException(404, "No such task.")
        task = tasks[task_id]
        return wire.answer(task, other=task | {"metadata": str(uuid4())})

    return routes


def _task(picture: bytes, metadata: str | None) -> dict[str, Any]:
    """The completed task; one of an unreadable picture failed."""
    task_id, seen = str(uuid1()), look(picture)
    about = {
        "id": task_id,
        "model": "visual_moderation_simulated",
        "model_version": 1,
        "model_type": "CATEGORIZATION",
        "created_on": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "media": {"type": "PHOTO", "mimetype": "jpeg", "filename": None},
    }
    done: dict[str, Any] = {"status": {"code": "1", "message": "Media could not be read"}}
    if seen is not None:
        output = [{"time": 0, "classes": _classes(seen)}]
        done = {"status": {"code": "0", "message": "SUCCESS"}, "response": {"input": about, "output": output}}
    return {"id": task_id, "code": 200, "project_id": 1, "metadata": metadata, "status": [done], "from_cache": False}


def _classes(seen: Mapping[str, float]) -> list[dict[str, Any]]:
    classes = []
    for negative, positives in HEADS:
        scores = {name: seen.get(category, UNSEEN) for name, category in positives.items()}
        classes += [{"class": name, "score": score} for name, score in scores.items()]
        classes.append({"class": negative, "score": max(0.0, round(1 - sum(scores.values()), 6))})
    return classes


def _forged(url: str, task: Mapping[str, Any]) -> list[Callback]:
    """Without a token, with a wrong one, at another item's URL; another item, nonsense, too much at the right URL."""
    clean = {"status": [{"status": {"code": "0"}, "response": {"output": [{"time": 0, "classes": _classes({})}]}}]}
    approved = json.dumps({**task, **clean}).encode()
    split = urlsplit(url)
    query = dict(parse_qsl(split.query))

    def called(**changed: str) -> str:
        return urlunsplit(split._replace(query=urlencode(query | changed)))

    absurd = {"time": 0, "classes": [{"class": HOSTILE, "score": ABSURD}, {"class": "general_nsfw", "score": ABSURD}]}
    nonsense = {"status": [{"status": {"code": "0"}, "response": {"output": [absurd]}}]}
    return [
        Callback(urlunsplit(split._replace(query="")), approved),
        Callback(called(token="0" * 64), approved),
        Callback(called(media_id=str(uuid4())), approved),
        Callback(url, json.dumps({**task, **clean, "metadata": str(uuid4())}).encode()),
        Callback(url, json.dumps({**task, **nonsense}).encode()),
        Callback(url, huge(task)),
    ]
