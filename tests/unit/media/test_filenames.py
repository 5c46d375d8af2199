import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediagate.errors import InvalidRequest
from mediagate.media.filenames import MAX_LENGTH, clean_filename


class TestCleanFilename:
    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("photo.jpg", "photo.jpg"),
            ("../../etc/passwd.jpg", "passwd.jpg"),
            ("..\\..\\windows\\photo.jpg", "photo.jpg"),
            ("C:\\fakepath\\photo.jpg", "photo.jpg"),
            ("holiday\u202egpj.exe", "holidaygpj.exe"),
            ("صورة.jpg", "صورة.jpg"),
            ("e\u0301te\u0301.png", "été.png"),
            ("  spaced.png ", "spaced.png"),
            ("<script>alert(1)</script>.jpg", "script>.jpg"),
            ("x" * MAX_LENGTH, "x" * MAX_LENGTH),
        ],
    )
    def test_keeps_the_name_and_nothing_that_misleads(self, sent: str, kept: str) -> None:
        assert clean_filename(sent) == kept

    @pytest.mark.parametrize(
        ("sent", "said"),
        [
            ("", "empty"),
            ("..", "empty"),
            ("folder/", "empty"),
            ("\u202e", "empty"),
            ("nul\x00.jpg", "control"),
            ("line\nbreak.jpg", "control"),
            ("\ud800.jpg", "control"),
            ("x" * 300, "300 characters"),
        ],
    )
    def test_refuses_with_the_reason(self, sent: str, said: str) -> None:
        with pytest.raises(InvalidRequest, match=said):
            clean_filename(sent)

    @given(st.text(max_size=400))
    def test_what_it_keeps_is_one_bounded_path_component(self, sent: str) -> None:
        try:
            kept = clean_filename(sent)
        except InvalidRequest:
            return
        assert 0 < len(kept) <= MAX_LENGTH
        assert "/" not in kept
        assert "\x00" not in kept
        assert clean_filename(kept) == kept
