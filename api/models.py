"""What goes over the wire; fields are only ever added."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from mediagate.media.fingerprints import Form
from mediagate.media.values import Status, Verdict
from mediagate.text.policy import LANGUAGE_TAG
from mediagate.text.tags import normalised_tag, normalised_tags

MAX_CAPTION = 2000


def storable(text: str) -> str:
    """Postgres keeps neither in a text, and a run that cannot record what it was told would try for ever."""
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("a text contains NUL or a lone surrogate")
    return text


Text = Annotated[str, AfterValidator(storable)]
Caption = Annotated[Text, Field(max_length=MAX_CAPTION)]
LanguageTag = Annotated[
    str, Field(max_length=35, pattern=f"^({LANGUAGE_TAG.pattern})?$", description="BCP 47: de, pt-BR")
]


def _normalised_category(written: str) -> str:
    return normalised_tag(written) if written else ""


Sha256 = Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$"), AfterValidator(str.lower)]


class UploadTexts(BaseModel):
    """Words that come with a file; all but `category` and `language` are looked at by the library's text rules."""

    caption: Caption = ""
    title: Annotated[Text, Field(max_length=200)] = ""
    alt_text: Annotated[Text, Field(max_length=1000, description="says what is to be seen")] = ""
    tags: Annotated[list[Text], Field(max_length=100), AfterValidator(normalised_tags)] = []
    category: Annotated[Text, AfterValidator(_normalised_category)] = ""
    language: LanguageTag = ""


class UploadCreate(UploadTexts):
    """Announce an upload."""

    filename: str
    content_type: str
    file_size: int
    sha256: Sha256 | None = None


class UploadCreated(BaseModel):
    """Where to send the bytes."""

    media_id: UUID
    upload_token: str
    method: str
    url: str
    headers: dict[str, str]
    fields: dict[str, str]
    expires_in: int = Field(description="seconds")


class UploadComplete(BaseModel):
    """The bytes are there: check and accept them."""

    upload_token: str
    file_hash: Sha256
    file_size: int


class UploadAccepted(BaseModel):
    """Accepted: from here on nothing is lost."""

    media_id: UUID
    status: Status
    workflow_id: str


class BatchItem(BaseModel):
    """What became of one file of a request."""

    filename: str
    media_id: UUID | None = None
    status: Status | None = None
    error: dict[str, str] | None = None


class BatchAccepted(BaseModel):
    """What became of the files of a request, in their order."""

    batch_id: UUID
    items: list[BatchItem]


class VariantRead(BaseModel):
    """A picture made of the upload; `frame` counts further frames of an animation's moderation copy."""

    name: str
    format: str
    frame: int = 0
    width: int
    height: int
    bytes: int
    quality: int
    sha256: str
    engine: str
    trade: str
    url: str


class RenditionRead(BaseModel):
    """A picture that is made when its URL is first asked for; until then another stands in for it."""

    name: str
    format: str
    url: str


class DecisionRead(BaseModel):
    """What was decided, by whom and why."""

    round: int = Field(0, description="0: the upload's own; a later one took its place")
    verdict: Verdict
    policy_version: str
    reasons: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    risk: float = Field(0.0, description="0..1, by the policy that was in force, whoever decided")
    rule: str = Field("", description="what of the policy decided; empty: somebody or something else did")
    decided_by: str
    final: bool
    decided_at: datetime


class WorkflowRead(BaseModel):
    """The run behind the item."""

    id: str
    run_id: str | None
    url: str | None


class MediaSummary(BaseModel):
    """An item in a list."""

    id: UUID
    library: str
    status: Status
    reason: str
    filename: str
    content_type: str
    caption: str
    title: str = ""
    alt_text: str = ""
    tags: list[str] = []
    category: str = ""
    language: str = ""
    width: int | None
    height: int | None
    bytes: int | None
    sha256: str | None
    batch_id: UUID | None
    tracking_id: str
    created_at: datetime
    updated_at: datetime


class MediaRead(MediaSummary):
    """An item with everything that is known about it."""

    detail: str
    facts: dict[str, Any]
    variants: list[VariantRead]
    renditions: list[RenditionRead]
    decision: DecisionRead | None
    workflow: WorkflowRead
    accepted_at: datetime | None
    filed_at: datetime | None


class MediaPage(BaseModel):
    """A page of items, newest first."""

    items: list[MediaSummary]
    next_cursor: str | None


class DuplicateRead(BaseModel):
    """Another item of the same library."""

    media_id: UUID
    status: Status
    filename: str
    created_at: datetime


class NearDuplicateRead(DuplicateRead):
    """An item that looks the same."""

    distance: int = Field(description="bits of the fingerprint that differ, 0 to 8")
    form: Form = Field(description="what turns the asked picture into this one; turns are clockwise")


class Duplicates(BaseModel):
    """The same file, and the same picture."""

    exact: list[DuplicateRead]
    near: list[NearDuplicateRead]
    near_searched: bool = Field(True, description="false: the search is switched off, and `near` is empty")


class TimelineEvent(BaseModel):
    """A step, event, decision or notification."""

    kind: str
    at: datetime
    data: dict[str, Any]


class Timeline(BaseModel):
    """Everything that happened to an item, in order."""

    media_id: UUID
    items: list[TimelineEvent]


class NotificationRead(BaseModel):
    """What the admins of a library are told."""

    id: UUID
    media_id: UUID | None
    kind: str
    subject: str
    body: str
    tracking_id: str
    created_at: datetime
    by_mail: bool
    mailed_at: datetime | None
    mail_error: str


class NotificationPage(BaseModel):
    """A page of notifications, newest first."""

    items: list[NotificationRead]
    next_cursor: str | None


class DecisionCreate(BaseModel):
    """A person's verdict on an item in review."""

    verdict: Verdict
    reason: str = Field("", max_length=64, pattern="^[a-z0-9:_-]*$", description="a code, e.g. policy:nudity")
    note: Text = Field("", max_length=2000)


class AbortCreate(BaseModel):
    """Stop an upload that is not decided yet."""

    reason: Text = Field("", max_length=500)


class TakedownCreate(BaseModel):
    """Withdraw an approved item from the public."""

    reason: str = Field(min_length=1, max_length=64, pattern="^[a-z0-9:_-]+$", description="a code, e.g. copyright")
    note: Text = Field("", max_length=2000)
    verdict: Literal[Verdict.QUARANTINE, Verdict.REJECT] = Verdict.QUARANTINE


class DecisionStands(BaseModel):
    """The decision that stands now."""

    media_id: UUID
    verdict: Verdict
    policy_version: str
    decided_by: str
    reasons: list[dict[str, Any]]


class WebhookStored(BaseModel):
    """How many events were stored, were known already, and belong to nothing known."""

    stored: int
    duplicates: int
    unmatched: int
