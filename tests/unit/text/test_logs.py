"""What people wrote never gets into a log."""

import json
import logging
from typing import Any

import pytest
import structlog

from mediagate.settings import Settings
from mediagate.telemetry import WRITTEN_BY_PEOPLE, configure_logging, withhold_texts


class TestWithholding:
    @pytest.mark.parametrize("name", sorted(WRITTEN_BY_PEOPLE))
    def test_a_field_of_that_name(self, name: str) -> None:
        line: dict[str, Any] = {"event": "x", name: "me@example.com", "media_id": "1"}
        assert withhold_texts(None, "info", line) == {
            "event": "x",
            name: "[withheld: 14 characters]",
            "media_id": "1",
        }

    def test_fields_inside_others(self) -> None:
        line: dict[str, Any] = {
            "event": "library.settings_changed",
            "after": {"text": {"allow": ["x"]}, "limits": {"a": 1}},
        }
        assert withhold_texts(None, "info", line)["after"] == {"text": "[withheld]", "limits": {"a": 1}}

    def test_nothing_else_changes(self) -> None:
        line: dict[str, Any] = {"event": "x", "texts": 3, "caption": None, "error": "no"}
        assert withhold_texts(None, "info", dict(line)) == line

    def test_every_process_does_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        configured, root = structlog.get_config(), logging.getLogger()
        handlers, level = root.handlers, root.level
        try:
            configure_logging(Settings(log_format="json"), process="test")
            structlog.get_logger().warning("upload.refused", caption="me@example.com")
        finally:
            structlog.configure(**configured)
            root.handlers, root.level = handlers, level
            structlog.contextvars.clear_contextvars()
        line = json.loads(capsys.readouterr().err.strip().splitlines()[-1])
        assert line["caption"] == "[withheld: 14 characters]"
