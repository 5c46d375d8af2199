"""What a label map may say, and how it is told what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest

from mediagate.classifier.config import MAX_LABEL_MAP, Bounds, LabelMap, read_label_map
from mediagate.errors import ClassifierUnusable
from mediagate.moderation.policy import Policy
from tests.unit.classifier.models import label_map

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbooks" / "classifier.md"


def read(folder: Path, text: str) -> LabelMap:
    (folder / "labels.json").write_text(text)
    return read_label_map(folder / "labels.json")


class TestReading:
    def test_the_least_that_is_needed(self, tmp_path: Path) -> None:
        labels = read(tmp_path, json.dumps(label_map()))
        assert labels.categories == {"nudity": [0], "gore": [1]}
        assert (labels.input.channels, labels.input.resize, labels.input.scale) == ("rgb", "stretch", 1 / 255)

    def test_the_example_of_the_runbook(self, tmp_path: Path) -> None:
        example = RUNBOOK.read_text().split("```json\n")[1].split("```")[0]
        labels = read(tmp_path, example)
        assert labels.categories == {"nudity": [1, 3], "suggestive": [4]}
        assert labels.bounds("suggestive") == Bounds(review=0.8, reject=None)
        assert set(json.loads(example)) == set(LabelMap.model_fields)
        assert set(json.loads(example)["input"]) == set(type(labels.input).model_fields)

    def test_its_thresholds_are_by_default_those_of_the_policy(self, tmp_path: Path) -> None:
        policy = Policy().default
        assert read(tmp_path, json.dumps(label_map())).bounds("nudity") == Bounds(
            review=policy.review_at, reject=policy.reject_at
        )


class TestRefusing:
    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"labels": []}, "labels: "),
            ({"labels": [{"name": "a"}] * 10_001}, "labels: "),
            ({"labels": [{"name": "a", "category": None}]}, "labels name 0 categories"),
            ({"labels": [{"name": f"n{i}", "category": f"c{i}"} for i in range(501)]}, "labels name 501 categories"),
            ({"labels": [{"name": "a", "category": "Not A Name"}]}, "labels.0.category: "),
            ({"labels": [{"name": "a\x00", "category": "a"}]}, "labels.0.name: "),
            ({"labels": [{"name": "a", "category": "a"}], "activation": "softmax"}, "use sigmoid"),
            ({"activation": "relu"}, "activation: "),
            ({"activations": "none"}, "activations: "),
            ({"thresholds": {"fun": {}}}, "thresholds name fun"),
            ({"thresholds": {"gore": {"review": 0.9, "reject": 0.2}}}, "thresholds.gore: "),
            ({"thresholds": {"gore": {"review": 1.5}}}, "thresholds.gore.review: "),
            ({"input": {"layout": "hwc"}}, "input.layout: "),
            ({"input": {"std": [1, 0, 1]}}, "input: "),
            ({"input": {"mean": [1, 2]}}, "input.mean"),
            ({"input": {"scale": 0}}, "input.scale: "),
            ({"input": {"resize": "letterbox"}}, "input.resize: "),
        ],
    )
    def test_the_field_is_named(self, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
        with pytest.raises(ClassifierUnusable, match="is wrong") as refused:
            read(tmp_path, json.dumps(label_map(**changes)))
        assert told in refused.value.message

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"model": NaN}'])
    def test_what_is_no_json_object(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ClassifierUnusable, match="is wrong"):
            read(tmp_path, text)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(ClassifierUnusable, match="cannot be read: No such file"):
            read_label_map(tmp_path / "labels.json")

    def test_a_file_without_end(self, tmp_path: Path) -> None:
        with pytest.raises(ClassifierUnusable, match="is larger than 4 MiB"):
            read(tmp_path, " " * (MAX_LABEL_MAP + 1))
