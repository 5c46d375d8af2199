"""Hive's visual moderation: pictures are sent as tasks, and scores come by webhook or are asked for by task id.

    POST {url}/api/v2/task/async, multipart: `media` (the picture), `callback_url`, `metadata` (told back as it is)
        authorization: token <API key>  → {"id", "task_id", "message", …}
    POST {url}/api/v2/task/sync, the same without `callback_url`  → the task
    GET  {url}/api/v2/task?task_id=…  → the task; 404 if it is not known
    POST {callback_url}: the task, by Hive
    The task: {"id", "metadata", "status": [{"status": {"code": 0, "message": "SUCCESS"}, "response":
        {"input": {"id", "model", "model_version", "created_on", …}, "output": [{"time", "classes":
        [{"class", "score": 0..1}, …]}]}}], …}

Documented at (docs/decisions/0023-vendor-facts.md says what was read there, in November 2026):

- https://docs.thehive.ai/reference/submit-a-task-asynchronously, …/submit-a-task-synchronously and, for what an earlier
  task said, Get Task Summary in https://docs.thehive.ai/reference: requests, callback
- https://docs.thehive.ai/reference/classification and https://docs.thehive.ai/reference/response-formats: the task
- https://docs.thehive.ai/docs/visual-content-moderation: heads and their classes; the scores of a head sum to 1
- https://thehive.ai/pricing: 3 USD for 1,000 pictures. Rate limits are agreed on per project

No signature of callbacks is documented, so they are known by the token in the URL that we hand out
(`mediagate.vendors.callback_tokens`) and by `metadata`. There is one callback per picture: an animation's frames are
sent to the synchronous endpoint, so that there is one word about all of them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import SecretStr

from mediagate.errors import InvalidWebhook, VendorUnavailable
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.vendors import callback_tokens, generic_result, hive_task, http, signatures
from mediagate.vendors.at_once import not_understood, worst
from mediagate.vendors.hive_task import Task
from mediagate.vendors.interface import Answers, Capabilities, ReadCopy, Submission, SubmissionReceipt

URL = "https://api.thehive.ai"
COST_MICROS = 3_000


class HiveVendor:
    """`ModerationVendor` over Hive's V2 API. The key is that of one project; `models` only names what it runs.

    Raises:
        ValueError: there is no key, or no webhook secret, or one that is not `whsec_` and base64.
    """

    def __init__(
        self,
        *,
        name: str,
        api_key: SecretStr,
        webhook_secrets: Sequence[SecretStr],
        client: httpx.AsyncClient,
        url: str = "",
        models: Sequence[str] = (),
    ) -> None:
        if not api_key.get_secret_value():
            raise ValueError(f"Vendor {name}: hive needs api_key.")
        if not webhook_secrets:
            raise ValueError(f"Vendor {name}: hive needs webhook_secrets, by which its callbacks are known.")
        for secret in webhook_secrets:
            signatures.key(secret)
        self._name = name
        self._capabilities = capabilities(models)
        self._url = f"{(url or URL).rstrip('/')}/api/v2/task"
        self._headers = {"authorization": f"token {api_key.get_secret_value()}"}
        self._secrets = tuple(webhook_secrets)
        self._client = client

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        if submission.frame_urls:
            return await self._submit_frames(submission, read)
        callback_url = callback_tokens.with_token(
            submission.callback_url, self._secrets, vendor=self._name, media_id=submission.media_id
        )
        answer = await self._send("async", submission, await read(0), 0, {"callback_url": callback_url})
        task_id = answer.get("task_id") or answer.get("id")
        if not (isinstance(task_id, str) and task_id):
            raise not_understood("it has no task_id")
        return SubmissionReceipt(reference=task_id)

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:
        if not reference:
            return []
        answer = await http.call(
            self._client, "GET", self._url, missing_ok=True, params={"task_id": reference}, headers=self._headers
        )
        if not answer:
            return []
        task = _answered(answer, media_id)
        if task.id != reference:
            raise not_understood(f"it is about another task than {reference}")
        return [self._event(media_id, [task], [answer], now=datetime.now(UTC))] if task.status else []

    def parse_callback(
        self,
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes,
        *,
        now: datetime,
        query: Mapping[str, str],
    ) -> list[VendorEvent]:
        media_id = callback_tokens.verify(query, self._secrets, vendor=self._name)
        raw = generic_result.read_json(body)
        task = hive_task.parse(raw, media_id)
        if not task.status:
            raise InvalidWebhook("status: empty.")
        return [self._event(media_id, [task], [raw], now=now)]

    async def _submit_frames(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        """All frames, one after the other. No task stands for them together, so there is nothing to poll."""
        tasks, answers = [], []
        for place in range(1 + len(submission.frame_urls)):
            answer = await self._send("sync", submission, await read(place), place, {})
            tasks.append(_answered(answer, submission.media_id))
            answers.append(answer)
            if not tasks[-1].outputs:
                raise VendorUnavailable(f"The moderation vendor said nothing about frame {place}.")
        event = self._event(submission.media_id, tasks, answers, now=datetime.now(UTC))
        return SubmissionReceipt(reference=submission.media_id, events=(event,), calls=len(tasks))

    async def _send(
        self, endpoint: str, submission: Submission, picture: bytes, place: int, form: Mapping[str, str]
    ) -> dict[str, Any]:
        filename = f"{submission.media_id}-{place}.jpg"
        return await http.call(
            self._client,
            "POST",
            f"{self._url}/{endpoint}",
            headers=self._headers,
            data={"metadata": submission.media_id, **form},
            files={"media": (filename, picture, submission.content_type or "image/jpeg")},
        )

    def _event(
        self, media_id: str, tasks: Sequence[Task], raws: Sequence[Mapping[str, Any]], *, now: datetime
    ) -> VendorEvent:
        """The word of these tasks, the worst of all in each category.

        Without any output, which is how Hive says that it failed, a person is asked. The event id is made of what is
        said: a picture that was submitted twice is two tasks and one event.
        """
        scores = worst([task.scores for task in tasks])
        labels = sorted(set().union(*(task.labels for task in tasks))) if scores else ["error"]
        model_version = tasks[0].model_version
        said = json.dumps([self._name, media_id, model_version, scores, labels], sort_keys=True)
        return VendorEvent(
            event_id=f"{media_id}:{hashlib.sha256(said.encode()).hexdigest()[:32]}",
            vendor=self._name,
            media_id=media_id,
            workflow_id=f"media-{media_id}",
            occurred_at=tasks[0].created_at(now),
            verdict=VendorVerdict.SCORED if scores else VendorVerdict.REVIEW,
            scores=scores,
            labels=tuple(labels),
            reference=tasks[0].id,
            model_version=model_version,
            raw=dict(raws[0]) if len(raws) == 1 else {"frames": [dict(raw) for raw in raws]},
        )


def capabilities(models: Sequence[str] = ()) -> Capabilities:
    """As in docs/decisions/0023-vendor-facts.md."""
    return Capabilities(
        answers=Answers.LATER,
        model_version=",".join(models) or "visual-moderation",
        content_types=("image/jpeg", "image/png", "image/webp", "image/gif"),
        polls=True,
        cost_micros=COST_MICROS,
        categories=tuple(sorted(hive_task.CLASSES)),
    )


def _answered(answer: Mapping[str, Any], media_id: str) -> Task:
    """As `hive_task.parse`, of an answer to a call of ours: what is wrong with it is the vendor's trouble."""
    try:
        return hive_task.parse(answer, media_id)
    except InvalidWebhook as error:
        raise not_understood(str(error).rstrip(".")) from error
