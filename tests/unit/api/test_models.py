"""Texts that could be taken but not kept are refused at the door."""

import pytest
from pydantic import BaseModel, ValidationError

from api.models import AbortCreate, DecisionCreate, UploadCreate

UPLOAD = {"filename": "a.jpg", "content_type": "image/jpeg", "file_size": 1}


class TestTexts:
    @pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800", "\udfff end"])
    @pytest.mark.parametrize(
        ("model", "valid", "field"),
        [
            (UploadCreate, UPLOAD, "caption"),
            (DecisionCreate, {"verdict": "approve"}, "note"),
            (DecisionCreate, {"verdict": "approve"}, "reason"),
            (AbortCreate, {}, "reason"),
        ],
    )
    def test_that_postgres_refuses(self, model: type[BaseModel], valid: dict[str, str], field: str, text: str) -> None:
        with pytest.raises(ValidationError):
            model.model_validate(valid | {field: text})

    @pytest.mark.parametrize("caption", ["", "\n\t", "☃ 🎈 \u202e", "x" * 2000])
    def test_others_are_kept_as_they_are(self, caption: str) -> None:
        assert UploadCreate.model_validate(UPLOAD | {"caption": caption}).caption == caption
