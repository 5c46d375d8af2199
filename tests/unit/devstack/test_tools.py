"""Which Go builds the tools, and where they are kept."""

from pathlib import Path

import pytest

from devstack import tools
from devstack.errors import StackFailed
from devstack.folders import cache_dir


def program(folder: Path, version: str) -> Path:
    """A `go` that only says its version."""
    folder.mkdir(parents=True)
    path = folder / "go"
    path.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    path.chmod(0o755)
    return path


class TestFindGo:
    def test_a_new_enough_one_on_path_is_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = program(tmp_path / "bin", "1.99.1")
        monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
        assert tools.find_go() == tools.Go(path, "1.99.1")

    def test_an_older_one_gives_way_to_the_wheels(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = program(tmp_path / "bin", "1.26.9")
        monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
        assert tools.find_go().path == tools.go_from_wheel()

    @pytest.mark.parametrize(
        ("version", "enough"),
        [("1.26.9", False), ("1.26.10", True), ("1.27", True), ("1.9.99", False), ("2.0.0", True)],
    )
    def test_versions_are_compared_as_numbers(self, version: str, enough: bool) -> None:
        assert tools.new_enough(version) is enough

    def test_the_oldest_is_that_of_the_module(self) -> None:
        line = next(line for line in (tools.STACK.module / "go.mod").read_text().splitlines() if line.startswith("go "))
        assert line == "go " + ".".join(map(str, tools.OLDEST_GO))


class TestCache:
    def test_another_toolchain_has_a_folder_of_its_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        first, second = (tools.tools_dir(tools.Go(Path("go"), version)) for version in ("1.27.3", "1.27.4"))
        assert first != second
        assert first.is_relative_to(tmp_path / "mediagate" / "tools")

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        with pytest.raises(StackFailed, match="set XDG_CACHE_HOME"):
            cache_dir()
