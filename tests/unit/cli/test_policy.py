"""`mediagate policy` without any service: checking documents, and what the help says."""

import json
from pathlib import Path

import pytest
from typer.main import get_group
from typer.testing import CliRunner

from cli.policy import app
from mediagate.errors import InvalidRequest, TooLarge
from mediagate.moderation.policy_text import MAX_BYTES


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No local stack, and one vendor besides the deployment's own."""
    monkeypatch.setenv("MEDIAGATE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("MEDIAGATE_VENDORS", '{"hive": {"kind": "generic"}}')


def document(folder: Path, text: str) -> str:
    """A file with that text."""
    file = folder / "policy.yaml"
    file.write_text(text)
    return str(file)


class TestValidate:
    def test_a_valid_one(self, tmp_path: Path) -> None:
        file = document(tmp_path, "name: strict\nask: [hive]\n")
        result = CliRunner().invoke(app, ["validate", file])
        assert (result.exit_code, result.stdout) == (0, f"{file}: valid.\n")

    def test_a_warning_does_not_make_it_invalid(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(app, ["validate", document(tmp_path, "categories: {nuditty: {}}\n")])
        assert result.exit_code == 0
        assert "warning: categories.nuditty (line 1): nuditty is no category" in result.stdout

    def test_every_error_is_told_with_its_line(self, tmp_path: Path) -> None:
        file = document(tmp_path, "default: {review_at: 2}\nask: [nobody]\nafter_deadlin: reject\n")
        result = CliRunner().invoke(app, ["validate", file])
        assert result.exit_code == 1
        told = result.stdout.splitlines()
        assert [line.split(":")[0] for line in told[:-1]] == ["error"] * 2
        assert "after_deadlin (line 3)" in result.stdout
        assert "default.review_at (line 1)" in result.stdout

    def test_as_json(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(app, ["validate", document(tmp_path, "ask: [nobody]\n"), "--json"])
        assert result.exit_code == 1
        shown = json.loads(result.stdout)
        assert shown["valid"] is False
        (problem,) = shown["problems"]
        assert (problem["path"], problem["line"], problem["warning"]) == ("ask[0]", 1, False)

    def test_vendors_of_elsewhere(self, tmp_path: Path) -> None:
        file = document(tmp_path, "ask: [nobody]\n")
        assert CliRunner().invoke(app, ["validate", file, "--any-vendor"]).exit_code == 0

    def test_what_is_no_document(self, tmp_path: Path) -> None:
        large = document(tmp_path, "#" * (MAX_BYTES + 1))
        assert isinstance(CliRunner().invoke(app, ["validate", large]).exception, InvalidRequest | TooLarge)
        binary = tmp_path / "picture"
        binary.write_bytes(b"\xff\xd8")
        assert isinstance(CliRunner().invoke(app, ["validate", str(binary)]).exception, InvalidRequest)
        assert CliRunner().invoke(app, ["validate", str(tmp_path / "missing")]).exit_code == 2


COMMANDS = sorted(get_group(app).commands)


class TestHelp:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_has_an_example_and_json(self, name: str) -> None:
        told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
        assert f"mediagate policy {name} " in told
        assert "--json" in told

    @pytest.mark.parametrize("name", ["activate", "run", "confirm", "undo"])
    def test_what_changes_something_needs_a_yes(self, name: str) -> None:
        told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout
        assert "--yes" in told
