"""What the processes of a stack are told, and what the user's own variables change."""

import os
from pathlib import Path

import pytest

from devstack.environment import Given, app_environment, applied, settings_from
from devstack.ports import USUAL
from devstack.state import Secrets, StateDir
from mediagate import wiring


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.open(tmp_path / "state")


def environment(state: StateDir, **variables: str) -> dict[str, str]:
    return app_environment(state, Secrets.load(state), USUAL, Given.of(variables), vendor_mode="simulated")


class TestAppEnvironment:
    def test_settings_read_from_it_are_the_stacks(self, state: StateDir) -> None:
        settings = settings_from(environment(state))
        secrets = Secrets.load(state)
        assert settings.database_url.get_secret_value().endswith("@127.0.0.1:54320/mediagate")
        assert settings.s3_secret_key.get_secret_value() == secrets.s3_secret_key
        assert [one.get_secret_value() for one in settings.vendor_webhook_secrets] == [secrets.vendor_webhook_secret]
        assert settings.admin_mails == ("admin@example.test",)
        assert wiring.open_vault(settings) is not None
        assert (settings.smtp_port, settings.vendor_wait, settings.state_dir) == (1025, 10, state.path)

    def test_what_the_user_set_wins(self, state: StateDir) -> None:
        variables = environment(state, MEDIAGATE_VENDOR_WAIT="3", MEDIAGATE_ADMIN_MAILS="me@example.test")
        assert (variables["MEDIAGATE_VENDOR_WAIT"], variables["MEDIAGATE_ADMIN_MAILS"]) == ("3", "me@example.test")

    def test_a_store_of_the_users_gets_none_of_our_keys(self, state: StateDir) -> None:
        variables = environment(state, MEDIAGATE_S3_URL="https://s3.example.test")
        assert {name for name in variables if name.startswith("MEDIAGATE_S3_")} == {"MEDIAGATE_S3_URL"}
        assert "MEDIAGATE_EVIDENCE_KEYS" not in variables

    def test_an_empty_variable_counts_as_unset(self, state: StateDir) -> None:
        variables = environment(state, MEDIAGATE_DATABASE_URL="", TEMPORAL_ADDRESS="")
        assert "54320" in variables["MEDIAGATE_DATABASE_URL"]
        assert variables["TEMPORAL_ADDRESS"] == "127.0.0.1:7233"

    def test_a_key_for_another_temporal_is_not_sent_to_ours(self, state: StateDir) -> None:
        ours = environment(state, TEMPORAL_API_KEY="k", TEMPORAL_PROFILE="cloud")
        theirs = environment(state, TEMPORAL_API_KEY="k", TEMPORAL_ADDRESS="t.example.test:7233")
        assert (ours["TEMPORAL_API_KEY"], ours["TEMPORAL_PROFILE"]) == ("", "")
        assert (theirs["TEMPORAL_API_KEY"], theirs["TEMPORAL_ADDRESS"]) == ("k", "t.example.test:7233")

    def test_applied_for_a_block_and_taken_back(self, state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TEMPORAL_API_KEY", "k")
        with applied(environment(state, TEMPORAL_API_KEY="k")):
            during = (os.environ.get("TEMPORAL_API_KEY"), os.environ["TEMPORAL_ADDRESS"])
        assert during == (None, "127.0.0.1:7233")
        assert os.environ["TEMPORAL_API_KEY"] == "k"
