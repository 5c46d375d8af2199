"""Which declared types are taken, and that there is a decoder for each."""

import pytest

from mediagate.imaging.formats import FORMATS
from mediagate.media.content_types import REGISTERED, registered


class TestRegistered:
    @pytest.mark.parametrize("name", REGISTERED)
    def test_a_registered_name_is_itself(self, name: str) -> None:
        assert registered(name) == name

    @pytest.mark.parametrize(
        ("declared", "name"),
        [
            ("image/jpg", "image/jpeg"),
            (" IMAGE/PNG ; charset=binary", "image/png"),
            ("image/heif", "image/heic"),
            ("image/tif", "image/tiff"),
            ("image/apng", "image/png"),
        ],
    )
    def test_what_browsers_and_phones_say_instead(self, declared: str, name: str) -> None:
        assert registered(declared) == name

    @pytest.mark.parametrize("declared", ["", "image/svg+xml", "application/pdf", "video/mp4", "image"])
    def test_the_rest_is_not_taken(self, declared: str) -> None:
        assert registered(declared) is None

    def test_every_type_has_its_format(self) -> None:
        assert {form.content_type for form in FORMATS} == set(REGISTERED)
