"""From the moderation copy to scores, and from those to an event like any vendor's."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic import Field

from mediagate.classifier.config import ClassifierConfig, LabelMap, read_label_map
from mediagate.classifier.model import Model, load_model
from mediagate.classifier.pixels import pixels
from mediagate.errors import ClassifierUnusable
from mediagate.media.values import Value
from mediagate.moderation.findings import LOCAL_VENDOR, VendorEvent, VendorVerdict

if TYPE_CHECKING:
    from numpy import float32, float64
    from numpy.typing import NDArray

_DECIMALS = 6
_TOLERANCE = 1e-3
"""By which a model that gives probabilities may leave 0..1, as the rounding of small floats does."""


class Classification(Value):
    """What a model says of one upload."""

    scores: dict[str, float] = Field(description="probability 0..1 by category; the worst of several pictures")
    labels: tuple[str, ...] = Field((), description="the strongest label of each category that reached a threshold")
    verdict: VendorVerdict
    model: str = Field(description="its name in the label map")
    sha256: str = Field(description="of the model")


class LocalClassifier:
    """A model and its label map. Deterministic: the same bytes give the same numbers, in any process of a machine."""

    def __init__(self, labels: LabelMap, model: Model, sha256: str) -> None:
        self.labels = labels
        self.sha256 = sha256
        self._model = model
        self._categories = labels.categories

    @classmethod
    def load(cls, config: ClassifierConfig) -> "LocalClassifier":
        """Loaded and tried once, so that what does not fit shows here.

        Raises:
            ClassifierUnusable: the model or its label map is missing, another one, or they do not fit each other.
        """
        labels = read_label_map(config.labels)
        loaded = cls(labels, load_model(config.model, config.sha256, labels.input.layout), config.sha256)
        loaded._try()
        return loaded

    @property
    def description(self) -> str:
        """For people: what is loaded."""
        width, height, layout = self._model.geometry
        names = ", ".join(sorted(self._categories))
        return f"{self.labels.model}: {width}×{height} {layout}, {len(self.labels.labels)} labels for {names}"

    def classify(self, *jpegs: bytes) -> Classification:
        """What one upload shows: its moderation copy, and further frames of an animation.

        Raises:
            ClassifierUnusable: the model fails.
            BrokenInvariant: these are not JPEGs that we rendered.
        """
        import numpy as np

        rows = [self._probabilities(pixels(jpeg, self._model.geometry, self.labels.input)) for jpeg in jpegs]
        frames: NDArray[float64] = np.stack(rows)
        scores = {name: self._score(frames, outputs) for name, outputs in sorted(self._categories.items())}
        raised = {name: verdict for name, score in scores.items() if (verdict := self._verdict(name, score))}
        worst = VendorVerdict.REJECT if VendorVerdict.REJECT in raised.values() else VendorVerdict.REVIEW
        return Classification(
            scores=scores,
            labels=tuple(self._strongest(frames, self._categories[name]) for name in raised),
            verdict=worst if raised else VendorVerdict.APPROVE,
            model=self.labels.model,
            sha256=self.sha256,
        )

    def _score(self, frames: "NDArray[float64]", outputs: list[int]) -> float:
        # Labels of softmax exclude each other, so that their probabilities add up; others may hold together.
        rows = frames[:, outputs]
        each = rows.sum(axis=1) if self.labels.activation == "softmax" else rows.max(axis=1)
        return round(min(float(each.max()), 1.0), _DECIMALS)

    def _strongest(self, frames: "NDArray[float64]", outputs: list[int]) -> str:
        return self.labels.labels[outputs[int(frames[:, outputs].max(axis=0).argmax())]].name

    def _verdict(self, category: str, score: float) -> VendorVerdict | None:
        bounds = self.labels.bounds(category)
        if bounds.reject is not None and score >= bounds.reject:
            return VendorVerdict.REJECT
        return VendorVerdict.REVIEW if bounds.review is not None and score >= bounds.review else None

    def _probabilities(self, picture: "NDArray[float32]") -> "NDArray[float64]":
        import numpy as np

        outputs = self._model.run(picture)
        if outputs.size != len(self.labels.labels):
            raise ClassifierUnusable(
                f"The model gives {outputs.size} outputs, and the label map names {len(self.labels.labels)}."
            )
        if self.labels.activation == "sigmoid":
            return 0.5 * (1 + np.tanh(outputs / 2))  # the form that does not overflow
        if self.labels.activation == "softmax":
            powers = np.exp(outputs - outputs.max())
            found: NDArray[float64] = powers / powers.sum()
            return found
        if outputs.min() < -_TOLERANCE or outputs.max() > 1 + _TOLERANCE:
            raise ClassifierUnusable(
                "The model's outputs are not within 0..1: name the activation in the label map that makes them so."
            )
        return outputs.clip(0, 1)

    def _try(self) -> None:
        import numpy as np

        width, height, _ = self._model.geometry
        self._probabilities(np.zeros((height, width, 3), dtype=np.float32))


@lru_cache(maxsize=1)
def _loaded(config: ClassifierConfig) -> LocalClassifier:
    return LocalClassifier.load(config)


def classify(config: ClassifierConfig, jpegs: Sequence[bytes]) -> Classification:
    """`LocalClassifier.classify` for a process pool: each of its processes loads the model once."""
    return _loaded(config).classify(*jpegs)


def check(config: ClassifierConfig) -> str:
    """Load the model, for the first time in this process; what it is, for people. Raises ClassifierUnusable."""
    return _loaded(config).description


def event(media_id: str, said: Classification, *, at: datetime) -> VendorEvent:
    """The classifier's one word about an item. Doing it again with the same model is the same event."""
    return VendorEvent(
        event_id=f"{LOCAL_VENDOR}:{media_id}:{said.sha256[:12]}",
        vendor=LOCAL_VENDOR,
        media_id=media_id,
        occurred_at=at,
        verdict=said.verdict,
        scores=said.scores,
        labels=said.labels,
        raw={"model": said.model, "sha256": said.sha256},
    )
