"""What vendors that answer at once have in common: they are sent pictures, and their answer is all there will be."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from mediagate.errors import BadSignature, InvalidRequest, VendorUnavailable
from mediagate.moderation.findings import VendorEvent, VendorVerdict
from mediagate.vendors.interface import Capabilities, ReadCopy, Submission, SubmissionReceipt

UNSURE_AT = 0.5
"""From this score on, what a vendor saw is among the labels of its word."""

_SEVERITY = (VendorVerdict.SCORED, VendorVerdict.APPROVE, VendorVerdict.REVIEW, VendorVerdict.REJECT)


class Look(NamedTuple):
    """What a vendor says of one picture."""

    verdict: VendorVerdict
    scores: Mapping[str, float]
    """0..1, by the gate's categories."""
    labels: tuple[str, ...]
    """In the vendor's words."""
    model_version: str
    raw: Mapping[str, Any]
    """What it sent."""


class AtOnceVendor(ABC):
    """`ModerationVendor` without its wire format. Of an animation's frames, the worst counts in each category."""

    TITLE: ClassVar[str]
    """What the vendor calls itself."""

    def __init__(self, *, name: str, capabilities: Capabilities) -> None:
        self._name = name
        self._capabilities = capabilities

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def submit(self, submission: Submission, read: ReadCopy) -> SubmissionReceipt:
        """As in the interface; the same pictures seen by the same model make the same event id."""
        if submission.content_type not in ("", *self._capabilities.content_types):
            raise InvalidRequest(f"{self.TITLE} takes {', '.join(self._capabilities.content_types)} only.")
        pictures = [await self._picture(place, read) for place in range(1 + len(submission.frame_urls))]
        looks = await self._look(pictures, submission)
        seen = [*pictures, submission.caption.encode()] if self._capabilities.texts else pictures
        event = VendorEvent(
            event_id=f"{submission.media_id}:{_digest(looks[0].model_version, seen)}",
            vendor=self._name,
            media_id=submission.media_id,
            workflow_id=submission.workflow_id,
            occurred_at=datetime.now(UTC),
            verdict=max((look.verdict for look in looks), key=_SEVERITY.index),
            scores=worst([look.scores for look in looks]),
            labels=tuple(dict.fromkeys(label for look in looks for label in look.labels)),
            reference=submission.media_id,
            model_version=looks[0].model_version,
            raw={"answers": [dict(look.raw) for look in looks]},
        )
        return SubmissionReceipt(reference=submission.media_id, events=(event,), calls=len(pictures))

    async def poll(self, media_id: str, *, reference: str = "") -> list[VendorEvent]:  # noqa: ARG002
        return []

    def parse_callback(
        self,
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes,  # noqa: ARG002
        *,
        now: datetime,  # noqa: ARG002
        query: Mapping[str, str],  # noqa: ARG002
    ) -> list[VendorEvent]:
        raise BadSignature(f"{self.TITLE} sends no webhooks: this is not from it.")

    @abstractmethod
    async def _look(self, pictures: Sequence[bytes], submission: Submission) -> Sequence[Look]:
        """One for each picture, in their order. Raises as `submit` does."""

    async def _picture(self, place: int, read: ReadCopy) -> bytes:
        picture = await read(place)
        if len(picture) > self._capabilities.max_bytes:
            raise InvalidRequest(
                f"Picture {place} has {len(picture)} bytes; {self.TITLE} takes {self._capabilities.max_bytes} at most."
            )
        return picture


Answer = TypeVar("Answer", bound=BaseModel)


def understood(model: type[Answer], answer: object) -> Answer:
    """The answer as this model.

    Raises:
        VendorUnavailable: it is none; the message names the field.
    """
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:100]
        raise not_understood(f"{field}: {first['msg']}") from error


def not_understood(why: str) -> VendorUnavailable:
    """The error for an answer from which nothing may be concluded."""
    return VendorUnavailable(f"The moderation vendor's answer is not understood: {why}.")


def worst(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The highest score of each category."""
    highest: dict[str, float] = {}
    for each in scores:
        for category, score in each.items():
            highest[category] = max(score, highest.get(category, 0.0))
    return highest


def _digest(model_version: str, seen: Sequence[bytes]) -> str:
    each = "".join(hashlib.sha256(part).hexdigest() for part in seen)
    return hashlib.sha256(f"{model_version}\n{each}".encode()).hexdigest()[:32]
