"""The generic vendor result: JSON in, `VendorEvent`s out.

    {"event_id", "workflow_id" or "media_id", "vendor", "occurred_at", "verdict": "approve|reject|review",
     "scores": {"nudity": 0..1, …}, "labels": […], "final": true}

as one object, a JSON list, or `{"events": [...]}`. Strict in what it knows and additive in what it does not: unknown
fields are kept in `raw`. The verdict `pending` is taken too, for vendors that report progress. Pure.
"""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mediagate.errors import InvalidWebhook
from mediagate.media.values import MIB
from mediagate.moderation.findings import VendorEvent, VendorVerdict

MAX_BODY = MIB
MAX_EVENTS = 500
MAX_DEPTH = 32

_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"  # pydantic's regexes: $ is the very end
_PREFIX = "media-"


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _moment(value: object) -> datetime | None:
    """RFC 3339; without an offset it is taken as UTC."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError("not a text")
    moment = datetime.fromisoformat(value)
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("out of range") from None


MediaId = Annotated[str, BeforeValidator(_lower), Field(pattern=_UUID)]
WorkflowId = Annotated[str, BeforeValidator(_lower), Field(pattern=_UUID.replace("^", f"^{_PREFIX}"))]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Result(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    event_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    media_id: MediaId | None = None
    workflow_id: WorkflowId | None = None
    vendor: str | None = None
    occurred_at: Annotated[datetime | None, BeforeValidator(_moment)] = None
    verdict: Literal["pending", "approve", "review", "reject"]
    scores: dict[Name, Score] = Field(default_factory=dict, max_length=500)
    labels: list[Name] = Field(default_factory=list, max_length=500)
    final: bool = True


def parse_body(body: bytes, *, vendor: str, webhook_id: str, sent_at: datetime) -> list[VendorEvent]:
    """Events of a webhook body. `webhook_id` and `sent_at` stand in for a missing `event_id` and `occurred_at`; in a
    batch the event's index is added to the first.

    Raises:
        InvalidWebhook: naming the field.
    """
    parsed = read_json(body)
    batch = parsed.get("events") if isinstance(parsed, dict) and "events" in parsed else parsed
    if isinstance(batch, dict) and batch is parsed:
        return [event(parsed, vendor=vendor, default_id=webhook_id, default_time=sent_at)]
    if not isinstance(batch, list):
        raise InvalidWebhook("events: a JSON object, or a list of them, is needed.")
    if not 1 <= len(batch) <= MAX_EVENTS:
        raise InvalidWebhook(f"events: 1 to {MAX_EVENTS} are taken at once, not {len(batch)}.")
    return [
        event(raw, vendor=vendor, default_id=f"{webhook_id}:{index}", default_time=sent_at, at=f"events.{index}.")
        for index, raw in enumerate(batch)
    ]


def event(raw: object, *, vendor: str, default_id: str, default_time: datetime, at: str = "") -> VendorEvent:
    """One event; `at` says where it stood, for the error message.

    Raises:
        InvalidWebhook: naming the field.
    """
    if not isinstance(raw, dict):
        raise InvalidWebhook(f"{at or 'body'}: not a JSON object.")
    try:
        result = _Result.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidWebhook(f"{at}{field}: {first['msg']}.") from error
    media_id = result.media_id or (result.workflow_id or "").removeprefix(_PREFIX)
    if not media_id:
        raise InvalidWebhook(f"{at}media_id: media_id or workflow_id is needed.")
    if result.workflow_id not in (None, _PREFIX + media_id):
        raise InvalidWebhook(f"{at}workflow_id: does not belong to media_id.")
    return VendorEvent(
        event_id=result.event_id or default_id,
        vendor=vendor,
        media_id=media_id,
        workflow_id=_PREFIX + media_id,
        occurred_at=result.occurred_at or default_time,
        verdict=VendorVerdict(result.verdict),
        scores=result.scores,
        labels=tuple(result.labels),
        final=result.final,
        raw=raw,
    )


def read_json(body: bytes) -> Any:
    """JSON that can be stored anywhere: finite numbers, no NUL, no lone surrogates, at most `MAX_DEPTH` levels.

    Postgres refuses NUL and lone surrogates in JSON, and NaN is no JSON: what passed here can be kept as it came.

    Raises:
        InvalidWebhook: it is none.
    """
    if len(body) > MAX_BODY:
        raise InvalidWebhook(f"body: larger than {MAX_BODY} bytes.")
    try:
        parsed = json.loads(body.decode(), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InvalidWebhook(f"body: not JSON: {error}") from error
    _check(parsed, 1)
    return parsed


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


_UNSTORABLE: Callable[[str], object] = re.compile("[\x00\ud800-\udfff]").search


def _check(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidWebhook(f"body: nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, str) and _UNSTORABLE(value):
        raise InvalidWebhook("body: a text contains NUL or a lone surrogate.")
    if isinstance(value, dict):
        for name, item in value.items():
            _check(name, depth)
            _check(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
