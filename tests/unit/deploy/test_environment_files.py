"""The environment files of the stages against the settings."""

import re

import pytest

from deploy.sbom import ROOT
from mediagate.settings import Settings
from tests.unit.deploy.settings_names import SECRETS, unknown

FOLDER = ROOT / "deploy" / "env"
STAGES = ("development", "staging", "production")


def assignments(stage: str, *, commented: bool = True) -> dict[str, str]:
    """What the file sets, and what it proposes in comments."""
    text = (FOLDER / f"{stage}.env.example").read_text()
    return dict(re.findall(rf"^{'#?' if commented else ''}([A-Z_0-9]+)=(.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("stage", STAGES)
class TestStage:
    def test_every_variable_is_read_by_something(self, stage: str) -> None:
        assert not unknown(assignments(stage))

    def test_its_values_are_valid(self, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in assignments(stage).items():
            monkeypatch.setenv(name, value)
        assert Settings().environment == stage

    def test_no_secret_is_in_it(self, stage: str) -> None:
        assert not {name.lower() for name in assignments(stage)} & SECRETS


class TestStages:
    def test_each_has_a_file(self) -> None:
        assert {path.name for path in FOLDER.iterdir()} == {f"{stage}.env.example" for stage in STAGES}

    def test_staging_says_what_production_says(self) -> None:
        assert assignments("staging").keys() == assignments("production").keys()

    def test_staging_touches_nothing_of_production(self) -> None:
        staging, production = assignments("staging"), assignments("production")
        for name in ("MEDIAGATE_PUBLIC_URL", "MEDIAGATE_S3_BUCKET", "TEMPORAL_NAMESPACE", "MEDIAGATE_VENDOR_URL"):
            assert staging[name] != production[name]
