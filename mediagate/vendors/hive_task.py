"""A task of Hive's, as `mediagate.vendors.hive` gets it: JSON in, scores by the gate's categories out. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mediagate.errors import InvalidWebhook
from mediagate.vendors.at_once import UNSURE_AT, worst
from mediagate.vendors.generic_result import Score
from mediagate.vendors.minors import with_minors

CLASSES: Mapping[str, tuple[str, ...]] = {
    "nudity": (
        "general_nsfw",
        "yes_sexual_activity",
        "yes_realistic_nsfw",
        "yes_sex_toy",
        "yes_female_nudity",
        "yes_male_nudity",
        "yes_undressed",
        "yes_breast",
        "yes_genitals",
        "yes_butt",
        "animal_genitalia_and_human",
        "animated_animal_genitalia",
    ),
    "suggestive": (
        "general_suggestive",
        "yes_sexual_intent",
        "yes_female_underwear",
        "yes_male_underwear",
        "yes_bra",
        "yes_panties",
        "yes_negligee",
        "yes_cleavage",
        "yes_bulge",
        "licking",
    ),
    "sexual_minors": ("yes_child_safety",),
    "minors": ("yes_child_present",),
    "violence": ("yes_fight", "yes_animal_abuse", "hanging"),
    "gore": ("very_bloody", "human_corpse", "animated_corpse", "yes_emaciated_body"),
    "weapons": ("gun_in_hand", "gun_not_in_hand", "animated_gun", "knife_in_hand", "knife_not_in_hand"),
    "self_harm": ("yes_self_harm", "noose"),
    "drugs": ("yes_pills", "illicit_injectables", "yes_marijuana"),
    "tobacco": ("yes_smoking",),
    "alcohol": ("yes_alcohol", "yes_drinking_alcohol", "animated_alcohol"),
    "gambling": ("yes_gambling",),
    "hate": ("yes_nazi", "yes_kkk", "yes_confederate"),
    "terrorism": ("yes_terrorist",),
    "harassment": ("yes_middle_finger",),
}
"""Hive's classes by category. Left out are those that say of nobody's policy that something is wrong."""

_CATEGORY_OF = {name: category for category, names in CLASSES.items() for name in names}

_ALWAYS = "general_nsfw"
"""A class of the first head: an answer without it is not from this model."""

_SUCCESS = frozenset({"0", 0})


class _Class(BaseModel):
    model_config = ConfigDict(strict=True)

    name: str = Field(alias="class", min_length=1, max_length=128)
    score: Score


class _Output(BaseModel):
    classes: list[_Class] = Field(max_length=500)


class _Input(BaseModel):
    model: str = Field("", max_length=128)
    model_version: str | int = ""
    created_on: str = ""


class _Response(BaseModel):
    input: _Input = _Input()
    output: list[_Output] = Field(min_length=1, max_length=500)


class _Outcome(BaseModel):
    code: int | str
    message: str = Field("", max_length=1024)


class _Status(BaseModel):
    status: _Outcome
    response: _Response | None = None


class Task(BaseModel):
    """A task, completed or not."""

    id: str = Field(min_length=1, max_length=255)
    metadata: str | None = None
    status: list[_Status] = Field(default_factory=list, max_length=20)

    @property
    def outputs(self) -> list[_Output]:
        """What succeeded: one for a picture."""
        return [
            output
            for one in self.status
            if one.status.code in _SUCCESS and one.response
            for output in one.response.output
        ]

    @property
    def scores(self) -> dict[str, float]:
        """The highest score of each category."""
        return worst([_scores(output) for output in self.outputs])

    @property
    def labels(self) -> set[str]:
        """The classes that it has likely seen, of those that are known here: no text from outside."""
        likely = {one.name for output in self.outputs for one in output.classes if one.score >= UNSURE_AT}
        return likely & _CATEGORY_OF.keys()

    @property
    def model_version(self) -> str:
        """Model and version; empty if neither is told."""
        asked = self._asked
        return ":".join(str(part) for part in (asked.model, asked.model_version) if part != "")

    def created_at(self, default: datetime) -> datetime:
        """When it was taken, in UTC; `default` if that is not told in RFC 3339."""
        try:
            told = datetime.fromisoformat(self._asked.created_on)
            return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            return default

    @property
    def _asked(self) -> _Input:
        return next((one.response.input for one in self.status if one.response), _Input())


def parse(raw: object, media_id: str) -> Task:
    """The task, which must be about this item.

    Raises:
        InvalidWebhook: naming the field.
    """
    try:
        task = Task.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidWebhook(f"{'.'.join(str(part) for part in first['loc'])[:100]}: {first['msg']}.") from error
    if task.metadata != media_id:
        raise InvalidWebhook(f"metadata: is not {media_id}, the item that was submitted.")
    for output in task.outputs:
        if _ALWAYS not in {one.name for one in output.classes}:
            raise InvalidWebhook(f"status.response.output.classes: {_ALWAYS} is missing.")
    return task


def _scores(output: _Output) -> dict[str, float]:
    known = [{_CATEGORY_OF[one.name]: one.score} for one in output.classes if one.name in _CATEGORY_OF]
    return with_minors(worst(known))
