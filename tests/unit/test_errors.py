import pytest

from mediagate import errors
from mediagate.errors import BrokenInvariant, CallerError, MediagateError, Unavailable


def tree(cls: type[MediagateError] = MediagateError) -> list[type[MediagateError]]:
    """The classes of the module; programs around the product may have children of their own."""
    children = [child for child in cls.__subclasses__() if child.__module__ == errors.__name__]
    return [cls, *(found for child in children for found in tree(child))]


class TestErrorTree:
    @pytest.mark.parametrize("cls", tree())
    def test_the_docstring_is_the_message(self, cls: type[MediagateError]) -> None:
        assert cls().message == (cls.__doc__ or "").strip().splitlines()[0]
        assert cls().message.endswith((".", "`", "again.", "first."))

    def test_codes_are_unique(self) -> None:
        codes = [cls().code for cls in tree()]
        assert len(codes) == len(set(codes))

    @pytest.mark.parametrize("cls", tree()[1:])
    def test_only_unavailable_things_are_tried_again(self, cls: type[MediagateError]) -> None:
        assert cls.retryable == issubclass(cls, Unavailable)

    @pytest.mark.parametrize("cls", tree()[1:])
    def test_the_status_says_whose_turn_it_is(self, cls: type[MediagateError]) -> None:
        hundreds = {CallerError: 4, Unavailable: 5, BrokenInvariant: 5}
        [expected] = [n for base, n in hundreds.items() if issubclass(cls, base)]
        assert cls.status // 100 == expected

    def test_the_drawing_names_every_class(self) -> None:
        drawing = errors.__doc__ or ""
        assert [cls.__name__ for cls in tree() if cls.__name__ not in drawing] == []
