"""Which model, and what its outputs mean: the label map, a JSON file that is written by people.

An example with every field is in `docs/runbooks/classifier.md`. What a map does not say has the defaults below; what it
says and nobody here knows is an error.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mediagate.errors import ClassifierUnusable
from mediagate.media.values import MIB, Value

MOST_LABELS = 10_000
MOST_CATEGORIES = 500
"""As many scores as an event of any vendor may have."""
MAX_LABEL_MAP = 4 * MIB

Name = Annotated[str, Field(pattern=r"^[^\p{C}]{1,128}$")]
Category = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_.-]{0,63}$")]
Score = Annotated[float, Field(ge=0, le=1)]
Channels = tuple[float, float, float]


class ClassifierConfig(Value):
    """Where the model and its label map stand. Can be sent to another process, and be a key of a cache."""

    model: Path
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of the model's bytes")
    labels: Path


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Label(_Strict):
    """One output of the model."""

    name: Name
    category: Category | None = Field(None, description="what policies know it as; null: it is ignored")


class Preprocessing(_Strict):
    """From pixels 0..255 to what the model was trained on: `(pixel × scale - mean) ÷ std`, per channel."""

    layout: Literal["nchw", "nhwc"] | None = Field(None, description="null: seen from the model's input shape")
    channels: Literal["rgb", "bgr"] = "rgb"
    resize: Literal["stretch", "center_crop"] = Field(
        "stretch",
        description="stretch: all of the picture; center_crop: its shape is kept, what stands out is not seen",
    )
    scale: float = Field(1 / 255, gt=0)
    mean: Channels = Field((0, 0, 0), description="in the model's order of channels, as is std")
    std: Channels = (1, 1, 1)

    @model_validator(mode="after")
    def _divisible(self) -> "Preprocessing":
        if min(self.std) <= 0:
            raise ValueError("std must be greater than 0")
        return self


class Bounds(_Strict):
    """From which score on the classifier says review or reject; null: never. The defaults are those of the policy."""

    review: Score | None = 0.5
    reject: Score | None = 0.85

    @model_validator(mode="after")
    def _ordered(self) -> "Bounds":
        if self.review is not None and self.reject is not None and self.review > self.reject:
            raise ValueError("review must not be greater than reject")
        return self


class LabelMap(_Strict):
    """What goes into a model and what comes out of it."""

    model: Name = Field(description="name and version, as findings and the timeline show it")
    input: Preprocessing = Preprocessing()
    activation: Literal["none", "softmax", "sigmoid"] = Field(
        description="what makes probabilities of the outputs; none: the model does that itself"
    )
    labels: tuple[Label, ...] = Field(min_length=1, max_length=MOST_LABELS, description="in the order of the outputs")
    thresholds: dict[Category, Bounds] = Field(
        default_factory=dict, description="by category; the others: the defaults"
    )

    @property
    def categories(self) -> dict[str, list[int]]:
        """Which outputs make up each category."""
        found: dict[str, list[int]] = {}
        for index, label in enumerate(self.labels):
            if label.category is not None:
                found.setdefault(label.category, []).append(index)
        return found

    def bounds(self, category: str) -> Bounds:
        """The thresholds that hold for a category."""
        return self.thresholds.get(category, Bounds())

    @model_validator(mode="after")
    def _coherent(self) -> "LabelMap":
        categories = self.categories
        if not 1 <= len(categories) <= MOST_CATEGORIES:
            raise ValueError(f"labels name {len(categories)} categories; 1 to {MOST_CATEGORIES} are needed")
        if unknown := sorted(self.thresholds.keys() - categories.keys()):
            raise ValueError(f"thresholds name {unknown[0]}, which is no label's category")
        if self.activation == "softmax" and len(self.labels) == 1:
            raise ValueError("softmax over one label is always 1: use sigmoid")
        return self


def read_bounded(path: Path, most: int) -> bytes:
    """A file's bytes.

    Raises:
        ClassifierUnusable: it cannot be read, or is larger than `most` bytes.
    """
    try:
        with path.open("rb") as file:
            large = os.fstat(file.fileno()).st_size > most
            data = b"" if large else file.read(most + 1)
    except OSError as error:
        raise ClassifierUnusable(f"{path} cannot be read: {error.strerror}.") from error
    if large or len(data) > most:
        raise ClassifierUnusable(f"{path} is larger than {most // MIB} MiB.")
    return data


def read_label_map(path: Path) -> LabelMap:
    """The label map in a file.

    Raises:
        ClassifierUnusable: naming the field that is wrong.
    """
    try:
        return LabelMap.model_validate_json(read_bounded(path, MAX_LABEL_MAP))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ClassifierUnusable(
            f"The label map {path} is wrong: {field + ': ' if field else ''}{first['msg']}."
        ) from error
