"""Settings: what is read, and what a process refuses to start without."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from mediagate import wiring
from mediagate.classifier import ClassifierConfig
from mediagate.media.values import MIB, Limits
from mediagate.settings import Settings
from mediagate.vendors.local import LocalVendor

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


class TestLocalClassifier:
    GIVEN: Mapping[str, object] = {
        "delivery_secrets": (SECRET,),
        "vendor_webhook_secrets": (SECRET,),
        "onnx_model": "model.onnx",
        "onnx_sha256": "AB" * 32,
        "onnx_labels": "labels.json",
    }

    def test_alone_needs_no_secret_of_a_vendor(self) -> None:
        given = {**self.GIVEN, "vendor_name": "onnx", "vendor_webhook_secrets": ()}
        settings = Settings.model_validate(given)
        settings.require_secrets()
        config = wiring.classifier_config(settings)
        assert config == ClassifierConfig(model=Path("model.onnx"), sha256="ab" * 32, labels=Path("labels.json"))

    def test_is_optional_beside_a_vendor(self) -> None:
        settings = Settings(delivery_secrets=(SECRET,), vendor_webhook_secrets=(SECRET,))
        settings.require_secrets()
        assert wiring.classifier_config(settings) is None

    @pytest.mark.parametrize("missing", ["onnx_model", "onnx_sha256", "onnx_labels"])
    def test_is_configured_as_a_whole(self, missing: str) -> None:
        with pytest.raises(ValueError, match=f"MEDIAGATE_{missing.upper()} is not set"):
            Settings.model_validate({**self.GIVEN, missing: None}).require_secrets()

    def test_cannot_be_alone_without_a_model(self) -> None:
        with pytest.raises(ValueError, match="set MEDIAGATE_ONNX_MODEL, or name a vendor"):
            Settings(delivery_secrets=(SECRET,), vendor_name="onnx").require_secrets()

    @pytest.mark.parametrize("value", ["", "ab", "g" * 64, "ab" * 33])
    def test_a_checksum_is_a_sha256(self, value: str) -> None:
        with pytest.raises(ValidationError, match="onnx_sha256"):
            Settings.model_validate({**self.GIVEN, "onnx_sha256": value})

    async def test_is_the_vendor_where_there_is_no_other(self) -> None:
        async with wiring.open_vendors(Settings.model_validate({**self.GIVEN, "vendor_name": "onnx"})) as vendors:
            assert {name: type(vendor) for name, vendor in vendors.items()} == {"onnx": LocalVendor}


class TestCaches:
    HOOK: Mapping[str, object] = {"purge_url": "http://cdn.test/purge", "purge_secret": SecretStr("whsec_c2VjcmV0")}

    def settings(self, **given: object) -> Settings:
        secrets = {"delivery_secrets": (SECRET,), "vendor_webhook_secrets": (SECRET,)}
        return Settings.model_validate({**secrets, **given})

    def test_may_keep_pictures_where_a_takedown_reaches_them(self) -> None:
        for age, given in ((0, {}), (0, self.HOOK), (86_400, {**self.HOOK, "delivery_max_age": 86_400})):
            settings = self.settings(**given)
            settings.require_secrets()
            assert settings.delivery_max_age == age

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"delivery_max_age": 1}, "set MEDIAGATE_PURGE_URL, or leave the age at 0"),
            ({**HOOK, "delivery_max_age": 86_401}, "MEDIAGATE_DELIVERY_MAX_AGE may be at most 86400"),
            ({**HOOK, "purge_secret": None}, "MEDIAGATE_PURGE_SECRET is not set"),
            ({**HOOK, "purge_secret": ""}, "MEDIAGATE_PURGE_SECRET is not set"),
        ],
    )
    def test_may_not_otherwise(self, given: dict[str, object], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            self.settings(**given).require_secrets()

    def test_public_pictures_are_where_the_cdn_is(self) -> None:
        assert self.settings(public_url="https://api.test").delivery_base == "https://api.test"
        both = self.settings(public_url="https://api.test", delivery_url="https://cdn.test")
        assert both.delivery_base == "https://cdn.test"


class TestStores:
    def test_what_is_left_out_is_as_for_the_default_store(self) -> None:
        given = {"bucket": "b-two"}, {"bucket": "gate", "url": "https://s3.example", "region": "eu", "access_key": "k"}
        settings = Settings.model_validate(
            {"stores": {"two": given[0], "far": given[1]}, "s3_public_url": "https://uploads.example"}
        )
        default, two, far = wiring.store_addresses(settings).values()
        assert two == default.model_copy(update={"bucket": "b-two"})
        assert (far.url, far.public_url, far.bucket, far.region) == ("https://s3.example", None, "gate", "eu")
        assert (far.access_key, far.secret_key) == (SecretStr("k"), default.secret_key)

    @pytest.mark.parametrize(
        ("stores", "says"),
        [
            ({"default": {"bucket": "two"}}, "no name of a store"),
            ({"Archive": {"bucket": "two"}}, "no name of a store"),
            ({"two": {"bucket": "mediagate"}}, "in use already"),
            ({"two": {"bucket": "mediagate-evidence"}}, "in use already"),
            ({"two": {"bucket": "two"}, "three": {"bucket": "two"}}, "in use already"),
            ({"two": {"bucket": "two", "public": True}}, "Extra inputs"),
            ({"two": {}}, "Field required"),
        ],
        ids=["default", "capital", "default bucket", "evidence", "twice", "unknown field", "no bucket"],
    )
    def test_each_has_a_name_and_a_bucket_of_its_own(self, stores: dict[str, object], says: str) -> None:
        with pytest.raises(ValidationError, match=says):
            Settings.model_validate({"stores": stores})

    def test_the_same_bucket_name_elsewhere_is_another_bucket(self) -> None:
        settings = Settings.model_validate({"stores": {"far": {"bucket": "mediagate", "url": "https://s3.example"}}})
        assert [*wiring.store_addresses(settings)] == ["default", "far"]
