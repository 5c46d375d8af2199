"""`python -m api`: serve the API on `MEDIAGATE_API_HOST`:`MEDIAGATE_API_PORT`. How it stops: `api/draining.py`."""

import math
import sys

import structlog
import uvicorn

from api.app import create_app
from api.draining import Drain, DrainingServer
from db.log_sink import DatabaseSink
from mediagate.processes import collect_rarely, leave
from mediagate.scratch import discard_abandoned
from mediagate.settings import Settings
from mediagate.telemetry import configure_logging
from mediagate.tracing import open_tracing

log = structlog.get_logger()

KEEP_ALIVE = 75
"""Seconds for which an idle connection is kept: longer than load balancers keep theirs (60 by default in nginx and at
AWS), or now and then one would send a request into a connection that is being closed."""


def main() -> None:
    """Entry point of the process: 0 after SIGTERM or SIGINT."""
    settings = Settings()
    sink = [DatabaseSink(settings.database_url.get_secret_value())] if settings.log_database else []
    configure_logging(settings, process="api", also=sink)
    try:
        settings.require_secrets()
    except ValueError as error:
        sys.exit(f"error: {error}")
    traces = open_tracing(settings, process="api")
    discard_abandoned()
    app = create_app(settings, traces)
    drain = app.state.front = Drain(app)
    collect_rarely()
    config = uvicorn.Config(
        drain,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace),
    )
    DrainingServer(config, drain, delay=settings.drain_delay, grace=settings.shutdown_grace).run()
    if traces:
        traces.shutdown()
    log.info("api.stopped")
    leave(0)


if __name__ == "__main__":
    main()
