"""What goes over the wire about a library's settings and its rules for texts; fields are only ever added."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.models import LanguageTag, Text
from mediagate.media.renditions import ImagePolicy
from mediagate.media.retention import Retention
from mediagate.media.values import Limits, VariantName, Verdict, WatermarkSpec
from mediagate.text.findings import FoundLink, TextFinding
from mediagate.text.normalise import MOST_CHARACTERS
from mediagate.text.policy import TextPolicy


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
