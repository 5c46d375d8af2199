"""`mediagate vendors` and `mediagate inbox`: what is refused before anything is asked."""

import pytest
import typer
from typer.testing import CliRunner

from cli import inbox, vendors


class TestUsage:
    @pytest.mark.parametrize(
        ("app", "arguments"),
        [
            pytest.param(inbox.app, ["list", "--state", "delivered"], id="delivered events are not listed"),
            pytest.param(inbox.app, ["list", "--limit", "0"], id="no events"),
            pytest.param(inbox.app, ["show", "x"], id="no id"),
            pytest.param(inbox.app, ["redeliver"], id="nothing named"),
            pytest.param(inbox.app, ["redeliver", "--media", f"{0:032x}"], id="an item without an event"),
            pytest.param(inbox.app, ["redeliver", f"{1:032x}", "--all"], id="one, and all"),
            pytest.param(inbox.app, ["redeliver", "--all", "--media", f"{0:032x}"], id="all to one item"),
            pytest.param(
                inbox.app, ["redeliver", f"{1:032x}", f"{2:032x}", "--media", f"{0:032x}"], id="several to one item"
            ),
            pytest.param(vendors.app, ["show"], id="no vendor"),
            pytest.param(vendors.app, ["usage", "--days", "0"], id="no days"),
        ],
    )
    def test_wrong_usage_ends_with_2(self, app: typer.Typer, arguments: list[str]) -> None:
        assert CliRunner().invoke(app, arguments).exit_code == 2
