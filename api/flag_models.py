"""Feature flags as they go over the wire; fields are only ever added."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from api.models import Text
from mediagate.flags import Attribute, FlagKind, FlagTerms, Reason, Value

Key = Annotated[Text, Field(max_length=200)]


class FlagPut(FlagTerms):
    """What a flag is to say from now on, all of it."""

    version: int = Field(0, ge=0, description="of the flag as you looked at it; 0: there is none, or nobody touched it")
    reason: Annotated[Text, Field(max_length=500)] = Field("", description="for the audit trail")


class FlagRead(BaseModel):
    """A flag."""

    name: str
    description: str
    kind: FlagKind
    enabled: bool
    variants: dict[str, Any]
    default: str = Field(description="variant for those whom no rule matches")
    off: str = Field(description="variant while the flag is not enabled")
    rules: list[dict[str, Any]]
    salt: str
    version: int = Field(description="0: a kill switch that nobody has touched")
    built_in: bool = Field(description="a kill switch of the gate's own: it is on unless a flag says otherwise")
    updated_at: datetime | None
    updated_by: str


class FlagPage(BaseModel):
    """A page of flags, by name."""

    items: list[FlagRead]
    next_cursor: str | None


class FlagCountRead(BaseModel):
    """How often a variant was served on a day (UTC)."""

    day: date
    variant: str = Field(description="empty: the code's default")
    reason: str
    count: int


class FlagDetail(FlagRead):
    """A flag with what it served."""

    counts: list[FlagCountRead] = Field(description="of the last 30 days, counted every minute")


class FlagEvaluate(BaseModel):
    """For whom."""

    model_config = ConfigDict(extra="forbid")

    targeting_key: Key = Field("", description="decides who is in a percentage: id of an item, a key, a person")
    attributes: dict[Attribute, Value] = Field({}, description="`environment` is that of this deployment by default")


class FlagEvaluated(BaseModel):
    """What is served, and why."""

    name: str
    version: int
    variant: str
    value: bool | int | str
    reason: Reason
    rule: int | None = Field(description="place of the rule that matched, from 0")
    bucket: int | None = Field(description="0 to 9999; a rule of p % takes those below 100 p")
    passed: list[str] = Field(description="why each rule before that one did not match")
