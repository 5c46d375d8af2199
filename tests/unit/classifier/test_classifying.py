"""Scores of real JPEGs by real models; verdicts and events made of them."""

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pebble import ProcessPool

from mediagate.classifier import Classification, LocalClassifier, classify, event
from mediagate.errors import BrokenInvariant, ClassifierUnusable
from mediagate.moderation.findings import VendorVerdict
from tests.unit.classifier.models import BLUE, EDGE, GREEN, RED, colour_model, jpeg, label_map, write

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MEDIA = str(UUID(int=7))
PASSED_ON = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
"""Weights of a model that gives the mean of each channel as it is."""


def loaded(
    folder: Path, *, layout: str = "nchw", weights: Any = None, bias: float = -6, **labels: Any
) -> LocalClassifier:
    more = {"weights": weights} if weights else {}
    return LocalClassifier.load(write(folder, colour_model(layout=layout, bias=bias, **more), label_map(**labels)))


class TestScores:
    @pytest.mark.parametrize("layout", ["nchw", "nhwc"])
    @pytest.mark.parametrize(
        ("picture", "nudity", "gore"),
        [(jpeg(RED), 0.995, 0.005), (jpeg(GREEN), 0.005, 0.995), (jpeg(BLUE), 0.005, 0.005)],
    )
    def test_are_what_the_model_says_of_the_picture(
        self, tmp_path: Path, layout: str, picture: bytes, nudity: float, gore: float
    ) -> None:
        found = loaded(tmp_path, layout=layout).classify(picture)
        assert found.scores == {"nudity": pytest.approx(nudity, abs=1e-3), "gore": pytest.approx(gore, abs=1e-3)}

    def test_a_model_for_batches_gets_one_picture_at_a_time(self, tmp_path: Path) -> None:
        config = write(tmp_path, colour_model(shape=["pictures", 3, EDGE, EDGE]))
        found = LocalClassifier.load(config).classify(jpeg(RED), jpeg(RED))
        assert found.scores["nudity"] == pytest.approx(0.995, abs=1e-3)

    def test_the_order_of_the_channels_is_the_models(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, input={"channels": "bgr"}).classify(jpeg(BLUE))
        assert found.scores["nudity"] > 0.99

    def test_scale_mean_and_std_are_in_the_models_order(self, tmp_path: Path) -> None:
        wanted = {"channels": "bgr", "scale": 1, "mean": [40, 16, 0], "std": [400, 1000, 1000]}
        found = loaded(tmp_path, weights=PASSED_ON, bias=0, activation="none", input=wanted).classify(jpeg(BLUE))
        assert found.scores == {"nudity": pytest.approx(0.5, abs=0.01), "gore": pytest.approx(0, abs=0.01)}

    def test_softmax_labels_of_a_category_add_up(self, tmp_path: Path) -> None:
        labels = [{"name": n, "category": c} for n, c in (("red", "warm"), ("green", "warm"), ("blue", None))]
        kept: dict[str, Any] = {"labels": labels, "weights": ((0, 0, 0),) * 3, "bias": 0.0}
        assert loaded(tmp_path, activation="softmax", **kept).classify(jpeg(RED)).scores == {"warm": 0.666667}
        assert loaded(tmp_path, activation="sigmoid", **kept).classify(jpeg(RED)).scores == {"warm": 0.5}

    def test_large_outputs_do_not_overflow(self, tmp_path: Path) -> None:
        weights = ((1e6, 0, 0), (0, 1e6, 0), (-1e6, 0, 0))
        for activation in ("softmax", "sigmoid"):
            found = loaded(tmp_path, weights=weights, bias=-5e5, activation=activation).classify(jpeg(RED))
            assert found.scores == {"nudity": 1.0, "gore": 0.0}

    def test_a_model_may_be_a_little_beyond_one(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, weights=PASSED_ON, bias=6e-4, activation="none").classify(jpeg((255, 0, 0)))
        assert found.scores["nudity"] == pytest.approx(1.0, abs=0.005)
        assert found.scores["nudity"] <= 1

    def test_a_model_that_leaves_its_range_later_is_unusable(self, tmp_path: Path) -> None:
        model = loaded(tmp_path, weights=((3, 0, 0), (0, 1, 0), (0, 0, 1)), bias=0, activation="none")
        with pytest.raises(ClassifierUnusable, match=r"not within 0\.\.1"):
            model.classify(jpeg(RED))


class TestWhatIsSeen:
    def test_stretched_all_of_it(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, weights=PASSED_ON, bias=0, activation="none")
        scores = found.classify(jpeg(RED, GREEN, GREEN, RED, width=400, height=100)).scores
        assert scores == {"nudity": pytest.approx(0.5, abs=0.02), "gore": pytest.approx(0.5, abs=0.02)}

    def test_cropped_its_middle(self, tmp_path: Path) -> None:
        found = loaded(tmp_path, weights=PASSED_ON, bias=0, activation="none", input={"resize": "center_crop"})
        scores = found.classify(jpeg(RED, GREEN, GREEN, RED, width=400, height=100)).scores
        assert scores["gore"] > 0.9
        assert scores["nudity"] < 0.1

    @pytest.mark.parametrize("size", [(2048, 1365), (1, 1), (EDGE, EDGE), (2048, 3)])
    def test_of_any_size(self, tmp_path: Path, size: tuple[int, int]) -> None:
        width, height = size
        assert loaded(tmp_path).classify(jpeg(RED, width=width, height=height)).scores["nudity"] > 0.98

    def test_the_worst_of_several_frames(self, tmp_path: Path) -> None:
        found = loaded(tmp_path).classify(jpeg(BLUE), jpeg(GREEN), jpeg(RED), jpeg(BLUE))
        assert min(found.scores.values()) > 0.99
        assert found.labels == ("green", "red")

    @pytest.mark.parametrize("data", [b"", b"GIF89a", jpeg(RED)[:400], jpeg(RED, width=4200, height=4200)])
    def test_nothing_that_is_not_ours(self, tmp_path: Path, data: bytes) -> None:
        with pytest.raises(BrokenInvariant, match="moderation copy"):
            loaded(tmp_path).classify(data)


class TestVerdicts:
    @pytest.mark.parametrize(
        ("red", "thresholds", "verdict", "labels"),
        [
            (30, {}, VendorVerdict.APPROVE, ()),
            (150, {}, VendorVerdict.REVIEW, ("red",)),
            (230, {}, VendorVerdict.REJECT, ("red",)),
            (230, {"reject": None}, VendorVerdict.REVIEW, ("red",)),
            (230, {"review": None, "reject": None}, VendorVerdict.APPROVE, ()),
            (230, {"review": None, "reject": 0.95}, VendorVerdict.APPROVE, ()),
            (30, {"review": 0.05}, VendorVerdict.REVIEW, ("red",)),
        ],
    )
    def test_follow_from_the_thresholds(
        self, tmp_path: Path, red: int, thresholds: dict[str, Any], verdict: VendorVerdict, labels: tuple[str, ...]
    ) -> None:
        bounds: dict[str, Any] = {"thresholds": {"nudity": thresholds}}
        found = loaded(tmp_path, weights=PASSED_ON, bias=0, activation="none", **bounds).classify(jpeg((red, 0, 0)))
        assert (found.verdict, found.labels) == (verdict, labels)


class TestEvent:
    SAID = Classification(
        scores={"gore": 0.9}, labels=("green",), verdict=VendorVerdict.REJECT, model="m-1", sha256="ab" * 32
    )

    def test_is_final_and_known_by_the_item_and_the_model(self) -> None:
        made = event(MEDIA, self.SAID, at=NOON)
        assert (made.vendor, made.event_id) == ("onnx", f"onnx:{MEDIA}:abababababab")
        assert made.settles
        assert (made.media_id, made.occurred_at) == (MEDIA, NOON)
        assert (made.scores, made.labels, made.verdict) == ({"gore": 0.9}, ("green",), VendorVerdict.REJECT)
        assert made.raw == {"model": "m-1", "sha256": "ab" * 32}


class TestOtherProcesses:
    def test_say_the_same(self, tmp_path: Path) -> None:
        config = write(tmp_path, colour_model(weights=((3.1, 0.7, -1), (0.3, 2.9, -2), (1, 1, 1)), bias=-2))
        pictures = [jpeg(RED, GREEN), jpeg(BLUE, RED, GREEN)]
        here = classify(config, pictures)
        for _ in range(2):
            with ProcessPool(1, context=multiprocessing.get_context("forkserver")) as pool:
                assert pool.schedule(classify, args=(config, pictures)).result() == here

    def test_hand_back_what_is_wrong(self, tmp_path: Path) -> None:
        config = write(tmp_path, b"no model")
        with (
            ProcessPool(1, context=multiprocessing.get_context("forkserver")) as pool,
            pytest.raises(ClassifierUnusable, match="cannot be loaded"),
        ):
            pool.schedule(classify, args=(config, [jpeg(RED)])).result()
