"""Every error of the tree as a caller sees it."""

import json

import pytest
from structlog.testing import capture_logs

from api.problems import problem_of, told
from mediagate.errors import MediagateError, NotAuthenticated, ObjectMissing, StorageUnavailable, WorkflowsUnavailable

INSIDE = "http://10.0.0.7:9000 refused 'library/media/originals/x/source'"


def tree(cls: type[MediagateError] = MediagateError) -> list[type[MediagateError]]:
    children = [child for child in cls.__subclasses__() if child.__module__ == MediagateError.__module__]
    return [cls, *(found for child in children for found in tree(child))]


class TestProblems:
    @pytest.mark.parametrize("cls", tree())
    def test_every_error_has_a_document(self, cls: type[MediagateError]) -> None:
        with capture_logs() as logs:
            response = problem_of(cls(), tracking_id="12345678")
        document = json.loads(bytes(response.body))
        assert document["status"] == response.status_code == cls.status
        assert document["code"] == cls().code
        assert ("Retry-After" in response.headers) == (cls.status == 503)
        assert ("WWW-Authenticate" in response.headers) == issubclass(cls, NotAuthenticated)
        assert len(logs) == (1 if cls.status >= 500 else 0)

    @pytest.mark.parametrize("cls", [cls for cls in tree() if cls.status == 500] + [StorageUnavailable, ObjectMissing])
    def test_what_is_inside_stays_inside(self, cls: type[MediagateError]) -> None:
        assert "10.0.0.7" not in told(cls(INSIDE))

    def test_the_log_knows(self) -> None:
        with capture_logs() as logs:
            problem_of(StorageUnavailable(INSIDE), tracking_id="12345678")
        assert [line["detail"] for line in logs] == [INSIDE]

    def test_what_the_caller_can_use_is_told(self) -> None:
        assert told(WorkflowsUnavailable("Look at the status again.")) == "Look at the status again."

    @pytest.mark.parametrize(("seconds", "header"), [(None, "5"), (0.01, "1"), (2.6, "3"), (30, "30")])
    def test_when_to_try_again(self, seconds: float | None, header: str) -> None:
        with capture_logs():
            response = problem_of(StorageUnavailable(retry_after=seconds), tracking_id="12345678")
        assert response.headers["Retry-After"] == header
