"""Files that rotate, one for each process."""

import json
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from mediagate.log_files import rotating
from mediagate.settings import Settings
from mediagate.telemetry import configure_logging


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Path]:
    """Logging as a process has it, with a folder for its files."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        configure_logging(Settings(log_dir=tmp_path, log_max_bytes=4096, log_keep=2), process="test")
        yield tmp_path
    finally:
        for handler in root.handlers:
            handler.close()
        structlog.configure(**before)
        root.handlers, root.level = handlers, level
        structlog.contextvars.clear_contextvars()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestRotation:
    def test_a_file_is_put_aside_before_it_is_too_large_and_few_are_kept(self, configured: Path) -> None:
        for number in range(200):
            structlog.get_logger().info("numbered", number=number)
        names = sorted(path.name for path in configured.glob("*.log*"))
        assert names == ["test.log", "test.log.1", "test.log.2"]
        assert all(path.stat().st_size <= 4096 for path in configured.glob("*.log*"))
        kept = [line["number"] for name in reversed(names) for line in lines(configured / name)]
        assert kept == list(range(200))[-len(kept) :]

    def test_nobody_else_reads_them(self, configured: Path) -> None:
        structlog.get_logger().info("secret")
        assert stat.S_IMODE((configured / "test.log").stat().st_mode) == 0o600

    def test_processes_of_one_name_have_files_of_their_own_and_a_name_is_free_again(self, tmp_path: Path) -> None:
        first, second = (rotating(tmp_path, "worker", max_bytes=4096, keep=1) for _ in range(2))
        assert [Path(one.baseFilename).name for one in (first, second)] == ["worker.log", "worker-2.log"]  # type: ignore[attr-defined]
        first.close()
        third = rotating(tmp_path, "worker", max_bytes=4096, keep=1)
        assert Path(third.baseFilename).name == "worker.log"  # type: ignore[attr-defined]
        second.close()
        third.close()


class TestIds:
    def test_a_line_names_the_trace_that_it_belongs_to(self, configured: Path) -> None:
        tracer = TracerProvider().get_tracer("test")
        with tracer.start_as_current_span("request") as span:
            structlog.get_logger().info("inside")
        structlog.get_logger().info("outside")
        inside, outside = lines(configured / "test.log")
        assert inside["trace_id"] == f"{span.get_span_context().trace_id:032x}"
        assert "trace_id" not in outside
