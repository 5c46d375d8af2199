"""Logs: JSON lines with ids by default, readable lines on request; the same for every process."""

import logging
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import structlog

from mediagate import tracing
from mediagate.log_files import rotating
from mediagate.settings import Settings

WRITTEN_BY_PEOPLE = frozenset({"caption", "title", "alt_text", "tags", "text", "comment"})
"""Fields that may hold personal data, and whole blocklists."""


def withhold_texts(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: what people wrote never gets into a log, neither as a field nor inside one."""
    return {name: _withheld(name, value, depth=2) for name, value in line.items()}


def _withheld(name: str, value: Any, depth: int) -> Any:
    if name in WRITTEN_BY_PEOPLE and value is not None:
        return f"[withheld: {len(value)} characters]" if isinstance(value, str) else "[withheld]"
    if isinstance(value, Mapping) and depth:
        return {key: _withheld(str(key), inner, depth - 1) for key, inner in value.items()}
    return value


def name_trace(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the trace that a line belongs to."""
    return {**line, **tracing.ids()}


def configure_logging(settings: Settings, *, process: str, also: Sequence[logging.Handler] = ()) -> None:
    """Send structlog and the standard library's loggers through one set of processors to standard error, to the file of
    this process if there is a folder for them, and to `also`, in JSON.

    Raises:
        OSError: the folder cannot be written.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        name_trace,
        withhold_texts,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if settings.log_format == "json" else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level]),
        cache_logger_on_first_use=True,
    )
    plain = structlog.processors.JSONRenderer()
    handlers: list[tuple[logging.Handler, structlog.typing.Processor]] = [(logging.StreamHandler(sys.stderr), renderer)]
    if settings.log_dir:
        kept = rotating(settings.log_dir, process, max_bytes=settings.log_max_bytes, keep=settings.log_keep)
        handlers.append((kept, plain))
    handlers += [(handler, plain) for handler in also]
    for handler, rendered in handlers:
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
                processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, rendered],
            )
        )
    root = logging.getLogger()
    root.handlers = [handler for handler, _ in handlers]
    root.setLevel(settings.log_level)
    # Each request and each failed activity is logged once, by us.
    for chatty in ("httpx", "httpcore", "urllib3", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("temporalio.activity").setLevel(logging.CRITICAL)
    structlog.contextvars.bind_contextvars(process=process)
