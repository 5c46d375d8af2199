"""The Containerfile by rule; no container engine is needed for that."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from mediagate.settings import Settings
from tests.unit.deploy.settings_names import SECRETS

ROOT = Path(__file__).parents[3]
FILE = (ROOT / "Containerfile").read_text()
FULL_TAG = re.compile(r":\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?$")


@dataclass(frozen=True)
class Instruction:
    """One instruction of a stage, its lines joined."""

    stage: str
    name: str
    text: str


def instructions() -> list[Instruction]:
    """All of them, without comments."""
    lines = [line for line in FILE.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found, stage = [], ""
    for one in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        name, _, text = one.partition(" ")
        if name == "FROM":
            stage = text.rpartition(" AS ")[2]
        found.append(Instruction(stage, name, text.strip()))
    return found


ALL = instructions()
FINAL = [one for one in ALL if one.stage == "final"]


def named(name: str, among: list[Instruction] = ALL) -> list[str]:
    """The texts of all instructions of that name."""
    return [one.text for one in among if one.name == name]


class TestContainerfile:
    def test_base_images_are_arguments_with_full_versions(self) -> None:
        defaults = dict(text.split("=", 1) for text in named("ARG") if text.partition("=")[0].endswith("_IMAGE"))
        bases = [text.partition(" AS ")[0] for text in named("FROM")]
        assert {base.strip("${}") for base in bases} == defaults.keys()
        assert all(FULL_TAG.search(image) for image in defaults.values())

    def test_uv_is_that_of_the_makefile(self) -> None:
        version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert version
        assert f"UV_IMAGE=ghcr.io/astral-sh/uv:{version[1]}" in named("ARG")

    def test_python_is_the_oldest_that_the_project_supports(self) -> None:
        oldest = re.search(r'^requires-python = ">=(3\.\d+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        assert oldest
        assert any(text.startswith(f"PYTHON_IMAGE=docker.io/library/python:{oldest[1]}.") for text in named("ARG"))

    def test_the_last_user_is_a_number_and_not_root(self) -> None:
        assert named("USER", FINAL)[-1] == "10001:10001"
        after = FINAL[[one.name for one in FINAL].index("USER") :]
        assert not {one.name for one in after} & {"RUN", "COPY"}

    def test_what_is_installed_is_locked_by_hash_and_built_nowhere(self) -> None:
        installs = [text for text in named("RUN") if "uv sync" in text]
        assert len(installs) == 2
        for text in installs:
            assert {"--locked", "--no-default-groups", "--no-build"} <= set(text.split())
        assert "--no-editable" in installs[-1]

    def test_nothing_of_the_build_is_in_the_image(self) -> None:
        assert [text for text in named("COPY", FINAL) if "--from" in text] == [
            "--from=build /opt/mediagate /opt/mediagate"
        ]
        assert not re.search(r"\b(gcc|g\+\+|build-essential|make|-dev)\b", " ".join(named("RUN", FINAL)))

    def test_nothing_is_fetched_from_addresses(self) -> None:
        assert not named("ADD")
        assert not re.search(r"\b(curl|wget)\b|https?://", " ".join(named("RUN")))

    def test_no_secret_is_in_it(self) -> None:
        given = " ".join([*named("ENV"), *named("ARG")]).lower()
        assert not [name for name in SECRETS if f"{name}=" in given]

    def test_its_variables_are_settings(self) -> None:
        names = set(re.findall(r"\bMEDIAGATE_(\w+)=", " ".join(named("ENV"))))
        assert names
        assert names <= {name.upper() for name in Settings.model_fields}

    def test_what_is_written_is_on_volumes_that_belong_to_the_user(self) -> None:
        (volumes,) = named("VOLUME", FINAL)
        written = set(re.findall(r"MEDIAGATE_\w+_DIR=(\S+)", " ".join(named("ENV", FINAL))))
        for folder in written:
            assert any(f'"{folder}"'.startswith(f'"{root}') for root in re.findall(r'"([^"]+)"', volumes))
            assert re.search(rf"install -d -o 10001 -g 10001 [^&]*{folder}\b", " ".join(named("RUN", FINAL)))

    @pytest.mark.parametrize("name", ["title", "description", "licenses", "version", "revision"])
    def test_it_is_labelled(self, name: str) -> None:
        assert f"org.opencontainers.image.{name}=" in " ".join(named("LABEL", FINAL))

    def test_it_drains_on_its_stop_signal(self) -> None:
        assert named("STOPSIGNAL", FINAL) == ["SIGTERM"]
        assert not named("ENTRYPOINT")  # so that every command is the first process, and gets the signal


class TestContext:
    def test_everything_is_left_out_but_the_product(self) -> None:
        lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
        assert lines[0] == "*"
        let_in = {line[1:].rstrip("/") for line in lines if line.startswith("!")}
        wheel = re.search(r"^packages = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        assert wheel
        packages = set(re.findall(r'"(\w+)"', wheel[1]))
        assert let_in == packages | {"pyproject.toml", "uv.lock", "README.md", "LICENSE", "worker.py"}
        assert all((ROOT / name).exists() for name in let_in)
