"""What `mediagate doctor` says of the local model."""

from pathlib import Path

from cli.doctor import classifier_check
from mediagate.settings import Settings
from tests.unit.classifier.models import colour_model, write


class TestClassifier:
    def test_none_is_no_fault(self) -> None:
        assert classifier_check(Settings()).result == "ok"

    def test_shows_what_a_worker_would_load(self, tmp_path: Path) -> None:
        config = write(tmp_path, colour_model())
        settings = Settings(onnx_model=config.model, onnx_sha256=config.sha256.upper(), onnx_labels=config.labels)
        check = classifier_check(settings)
        assert (check.result, check.detail) == ("ok", "colours-1: 32×32 nchw, 3 labels for gore, nudity")

    def test_shows_why_a_worker_would_not_start(self, tmp_path: Path) -> None:
        config = write(tmp_path, b"no model")
        settings = Settings(onnx_model=config.model, onnx_sha256=config.sha256, onnx_labels=config.labels)
        check = classifier_check(settings)
        assert check.result == "fail"
        assert "cannot be loaded" in check.detail
        assert "docs/runbooks/classifier.md" in check.advice

    def test_shows_what_is_not_set(self, tmp_path: Path) -> None:
        check = classifier_check(Settings(onnx_model=tmp_path / "model.onnx"))
        assert (check.result, check.detail.partition(" ")[0]) == ("fail", "MEDIAGATE_ONNX_SHA256")
