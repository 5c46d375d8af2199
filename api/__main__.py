"""`python -m api`: serve the API on `MEDIAGATE_API_HOST`:`MEDIAGATE_API_PORT`."""

import sys

import uvicorn

from api.app import create_app
from mediagate.settings import Settings
from mediagate.telemetry import configure_logging


def main() -> None:
    """Entry point of the process; SIGTERM lets running requests finish."""
    settings = Settings()
    configure_logging(settings, process="api")
    try:
        settings.require_secrets()
    except ValueError as error:
        sys.exit(f"error: {error}")
    uvicorn.run(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.shutdown_grace),
    )


if __name__ == "__main__":
    main()
