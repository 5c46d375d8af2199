"""A whole stack for the tests that kill its parts: one for all of them, apart from the session's services."""

from collections.abc import AsyncIterator

import pytest

from devstack.discard import discard
from tests.chaos.killable import KillableStack

pytest.register_assert_rewrite("tests.chaos.books", "tests.chaos.ledger", "tests.chaos.uploader")

VARIABLES = {
    "MEDIAGATE_VENDOR_WAIT": "2",
    "MEDIAGATE_VENDOR_POLLS": "8",
    "MEDIAGATE_UPLOAD_EXPIRES": "30",
    "MEDIAGATE_CPU_SLOTS": "2",
    "MEDIAGATE_SHUTDOWN_GRACE": "8",
    "MEDIAGATE_VENDOR_HEALTH_EVERY": "0",  # what a check tells of a fault would be news while the books are read
}


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KillableStack]:
    """A running `mediagate dev` with a vendor that answers by itself; a test leaves it running."""
    folder = tmp_path_factory.mktemp("chaos") / "state"
    running = KillableStack(folder, VARIABLES)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()
        discard(folder)
