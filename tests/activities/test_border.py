"""The project's errors as Temporal's retry policies see them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from activities._border import translated
from mediagate import errors
from mediagate.errors import MediagateError, Unavailable


def tree(root: type[MediagateError] = MediagateError) -> Iterator[type[MediagateError]]:
    """Every class of the product's error tree."""
    yield root
    for branch in [branch for branch in root.__subclasses__() if branch.__module__ == errors.__name__]:
        yield from tree(branch)


class TestTranslation:
    @pytest.mark.parametrize("kind", list(tree()), ids=lambda kind: kind.__name__)
    def test_only_what_is_unavailable_is_tried_again(self, kind: type[MediagateError]) -> None:
        translation = translated(kind("Because."))
        assert translation.type == kind.__name__
        assert translation.message == "Because."
        assert translation.non_retryable is not issubclass(kind, Unavailable)
        assert translation.next_retry_delay is None

    @pytest.mark.parametrize("kind", [k for k in tree() if issubclass(k, Unavailable)], ids=lambda kind: kind.__name__)
    def test_what_the_other_side_asked_for_becomes_the_next_delay(self, kind: type[MediagateError]) -> None:
        assert translated(kind(retry_after=7.5)).next_retry_delay == timedelta(seconds=7.5)

    def test_no_cause_travels_into_the_history(self) -> None:
        error = errors.StorageUnavailable()
        error.__cause__ = OSError("a path of this machine")
        assert translated(error).__cause__ is None
