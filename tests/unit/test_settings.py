"""Settings: what is read, and what a process refuses to start without."""

import subprocess
import sys

import pytest
from pydantic import SecretStr, ValidationError

from mediagate.media.values import MIB, Limits
from mediagate.settings import Settings

SECRET = SecretStr("s" * 40)


class TestReading:
    def test_lists_are_separated_by_commas(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MEDIAGATE_ADMIN_MAILS", "a@example.test, b@example.test,")
        monkeypatch.setenv("MEDIAGATE_DELIVERY_SECRETS", "new,old")
        settings = Settings()
        assert settings.admin_mails == ("a@example.test", "b@example.test")
        assert [secret.get_secret_value() for secret in settings.delivery_secrets] == ["new", "old"]

    def test_secrets_do_not_show(self) -> None:
        shown = repr(Settings(delivery_secrets=(SECRET,), database_url=SecretStr("postgresql://u:hidden@h/d")))
        assert "hidden" not in shown
        assert SECRET.get_secret_value() not in shown

    @pytest.mark.parametrize(("name", "value"), [("s3_presign", "get"), ("api_port", "70000"), ("cpu_slots", "0")])
    def test_nonsense_is_refused(self, name: str, value: str) -> None:
        with pytest.raises(ValidationError, match=name):
            Settings.model_validate({name: value})


class TestLimits:
    def test_a_library_overrides_what_it_names(self) -> None:
        limits = Settings(max_file_size=5 * MIB, max_pixels=10).limits({"limits": {"max_pixels": 7}})
        assert limits == Limits(max_bytes=5 * MIB, max_pixels=7, max_edge=30_000)


class TestRequiredSecrets:
    @pytest.mark.parametrize("missing", ["delivery_secrets", "vendor_webhook_secrets"])
    def test_a_missing_one_is_named(self, missing: str) -> None:
        given = {"delivery_secrets": (SECRET,), "vendor_webhook_secrets": (SECRET,), missing: ()}
        with pytest.raises(ValueError, match=f"MEDIAGATE_{missing.upper()} is not set"):
            Settings.model_validate(given).require_secrets()

    @pytest.mark.parametrize("program", ["api", "worker"])
    def test_a_process_does_not_start_without(self, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MEDIAGATE_DELIVERY_SECRETS", raising=False)
        ended = subprocess.run([sys.executable, "-m", program], capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 1
        assert ended.stderr.splitlines() == [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        assert "MEDIAGATE_DELIVERY_SECRETS is not set" in ended.stderr
