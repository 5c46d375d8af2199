"""What goes over the wire; fields are only ever added."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mediagate.evidence.bundle import Opening
from mediagate.media.fingerprints import Form
from mediagate.media.renditions import ImagePolicy
from mediagate.media.retention import Retention
from mediagate.media.values import Limits, Status, VariantName, Verdict, WatermarkSpec
from mediagate.text.findings import FoundLink, TextFinding
from mediagate.text.normalise import MOST_CHARACTERS
from mediagate.text.policy import LANGUAGE_TAG, TextPolicy
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


class LibrarySettings(BaseModel):
    """What holds for a library: its own settings, and the defaults where it has none."""

    watermark: WatermarkSpec
    images: ImagePolicy
    limits: Limits
    text: TextPolicy
    retention: Retention


class LibrarySettingsPatch(BaseModel):
    """A JSON merge patch (RFC 7396): what is named changes, null brings a default back."""

    model_config = ConfigDict(extra="forbid")

    watermark: dict[str, Any] | None = Field(None, description="keys of `WatermarkSpec`")
    images: dict[str, Any] | None = Field(None, description="keys of `ImagePolicy`")
    limits: dict[str, Any] | None = Field(None, description="keys of `LimitOverrides`")
    text: dict[str, Any] | None = Field(None, description="keys of `TextPolicy`")
    retention: dict[str, Any] | None = Field(None, description="keys of `Retention`: days")


class PreviewCreate(BaseModel):
    """Show a watermark on a picture."""

    model_config = ConfigDict(extra="forbid")

    watermark: dict[str, Any] | None = Field(None, description="a `WatermarkSpec`; by default the library's")
    media_id: UUID | None = Field(None, description="an item of the library; by default a neutral picture")
    variant: VariantName = VariantName.ORIGINAL


class TextCheck(BaseModel):
    """A text to be looked at."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[Text, Field(max_length=MOST_CHARACTERS)]
    kind: Literal["caption", "title", "comment"] = "comment"
    language: LanguageTag = ""


class TextChecked(BaseModel):
    """What a library's rules say of a text. Places are characters of the text as it was sent."""

    verdict: Verdict
    reasons: list[dict[str, Any]]
    policy_version: str
    scores: dict[str, float] = Field(description="the highest by category")
    findings: list[TextFinding]
    links: list[FoundLink]
    language: str = Field(description="declared or detected; empty: the text does not tell")
    redacted: str = Field(description="the text with [mail], [phone], … in place of personal data")


class EvidenceRead(BaseModel):
    """The record of one restriction's evidence; `mediagate.evidence.chain` says what `hash` is made of."""

    id: UUID
    seq: int
    media_id: UUID
    library_id: UUID
    round: int
    verdict: Verdict
    reason: str
    object_key: str
    object_version: str
    size: int = Field(description="bytes of what is sealed")
    sha256: str = Field(description="of what is sealed")
    sealed_sha256: str = Field(description="of the sealed object")
    key_id: str
    sealed_at: datetime
    retain_until: datetime
    prev_hash: str
    hash: str
    legal_hold: bool = False


class EvidencePage(BaseModel):
    """A page of records, newest first."""

    items: list[EvidenceRead]
    next_cursor: str | None


Why = Annotated[Text, Field(min_length=1, max_length=2000, pattern=r"\S", description="why; it is kept")]


class EvidenceOpen(BaseModel):
    """Open evidence."""

    reason: Why
    what: Opening = Field(Opening.BUNDLE, description="bundle: the tar archive; record: only the JSON record in it")


class EvidenceAccessRead(BaseModel):
    """Who opened it, when and why."""

    id: UUID
    seq: int
    evidence_id: UUID
    what: Opening
    actor: str
    via: str
    reason: str
    tracking_id: str
    at: datetime
    prev_hash: str
    hash: str


class EvidenceAccessPage(BaseModel):
    """A page of accesses, newest first."""

    items: list[EvidenceAccessRead]
    next_cursor: str | None


class HoldChange(BaseModel):
    """Put an item on legal hold, or release it."""

    reason: Why


class HoldRead(BaseModel):
    """A legal hold; released if `released_at` is set."""

    id: UUID
    media_id: UUID
    reason: str
    placed_by: str
    placed_at: datetime
    released_by: str
    release_reason: str
    released_at: datetime | None


class WebhookStored(BaseModel):
    """How many events were stored, were known already, and belong to nothing known."""

    stored: int
    duplicates: int
    unmatched: int
