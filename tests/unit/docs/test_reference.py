import pytest

from docs import reference


class TestReference:
    @pytest.mark.parametrize("name", list(reference.PAGES))
    def test_the_page_is_up_to_date(self, name: str) -> None:
        assert (reference.HERE / name).read_text() == reference.PAGES[name](), "run `make docs`"
