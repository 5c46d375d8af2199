"""Import sources in the settings: nothing of the gate's own can be one."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from mediagate import wiring
from mediagate.settings import Settings

KEYS = {"access_key": "id", "secret_key": "secret"}


def settings(**source: Any) -> Settings:
    """With one source, as the environment would name it."""
    sources = json.dumps({"archive": {"libraries": ["photos"], **source}})
    return Settings.model_validate({"import_sources": sources, "stores": {"cold": {"bucket": "cold-store"}}})


class TestSources:
    @pytest.mark.parametrize(
        "source",
        [
            {"bucket": "archive"},
            {"bucket": "archive", "prefix": "a/b/"},
            {"bucket": "archive", "url": "http://127.0.0.1:9", **KEYS},
            {"bucket": "mediagate", "prefix": "imports/"},
            {"prefix": "imports/photos/"},
        ],
    )
    def test_are_taken(self, source: dict[str, str]) -> None:
        found = settings(**source)
        assert found.import_sources["archive"].serves("photos")
        assert not found.import_sources["archive"].serves("other")
        for store in wiring.open_import_sources(found).values():
            store.close()

    @pytest.mark.parametrize(
        "source",
        [
            {"bucket": "mediagate"},
            {},
            {"bucket": "mediagate", "prefix": "photos/"},
            {"bucket": "mediagate", "url": "http://localhost:9000", **KEYS},
            {"bucket": "mediagate-evidence"},
            {"bucket": "cold-store"},
            {"bucket": "archive", "prefix": "a"},
            {"bucket": "archive", "prefix": "/a/"},
            {"bucket": "archive", "url": "http://127.0.0.1:9"},
            {"bucket": "archive", "access_key": "id"},
            {"bucket": "archive", "libraries": []},
            {"bucket": "archive", "sekret_key": "x"},
        ],
    )
    def test_are_refused(self, source: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            settings(**source)

    def test_all_libraries_are_a_star(self) -> None:
        assert settings(bucket="archive", libraries=["*"]).import_sources["archive"].serves("any")

    def test_names_are_plain(self) -> None:
        with pytest.raises(ValidationError, match="no name of an import source"):
            Settings.model_validate({"import_sources": {"My Archive": {"libraries": ["*"], "bucket": "archive"}}})
