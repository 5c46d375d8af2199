"""The plans that are shipped: complete, and made of commands that there are."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cli.deploy.plan import Command, Plan, load
from cli.main import MOUNTS, app
from deploy.sbom import ROOT
from mediagate.errors import InvalidRequest

COMPOSE = ROOT / "deploy" / "compose" / "deploy.toml"
HELM = ROOT / "deploy" / "helm" / "deploy.toml"
STEP = 'about="x"\ncurrent=["true"]\n[[steps]]\nname="a"\n'


def commands(plan: Plan) -> Iterator[Command]:
    """Every command of a plan."""
    yield plan.current
    for step in plan.steps:
        yield from (*step.run, *step.undo)


def gate_commands() -> Iterator[list[str]]:
    """Every command line of `mediagate` in the artifacts, without what is filled in."""
    for path in (COMPOSE, HELM):
        for command in commands(load(path)):
            if "mediagate" in command[:7] and command[0] != "helm":
                yield list(command[command.index("mediagate") + 1 :])
    services = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text())["services"]
    for service in services.values():
        if service.get("command", [""])[0] == "mediagate":
            yield service["command"][1:]
    for file in sorted((ROOT / "deploy" / "helm" / "mediagate" / "templates").glob("*.yaml")):
        for found in re.findall(r"command: \[mediagate, ([^\]]*)\]", file.read_text()):
            plain = re.sub(r"\{\{.*?\}\}", "x", re.sub(r"\{\{ if [^}]*\}\}|\{\{ end \}\}", "", found))
            yield [part.strip().strip('"') for part in plain.split(",")]


class TestShippedPlans:
    @pytest.mark.parametrize("path", [COMPOSE, HELM], ids=["compose", "helm"])
    def test_what_changes_something_comes_after_the_checks(self, path: Path) -> None:
        steps = load(path).steps
        first = next(index for index, step in enumerate(steps) if step.is_change)
        assert {step.name for step in steps[:first]} >= {"configuration"}
        assert all(not step.is_change for step in steps[:first])

    @pytest.mark.parametrize("path", [COMPOSE, HELM], ids=["compose", "helm"])
    def test_what_is_rolled_out_can_be_rolled_back_and_is_asked_again(self, path: Path) -> None:
        steps = load(path).steps
        assert [step.name for step in steps if step.undo]
        assert [step.name for step in steps if step.after_undo]
        assert [step.name for step in steps if step.is_change and not step.undo] == (
            ["migrate"] if path == COMPOSE else []
        )

    def test_every_service_of_ours_is_rolled(self) -> None:
        services = yaml.safe_load((COMPOSE.parent / "compose.yaml").read_text())["services"]
        rolled = {part for command in commands(load(COMPOSE)) for part in command}
        assert services.keys() - rolled == {"temporal-schema"}  # what `temporal` waits for

    @pytest.mark.parametrize("line", list(gate_commands()), ids=lambda line: "-".join(line)[:40])
    def test_every_command_of_the_gate_exists(self, line: list[str]) -> None:
        assert line[0] in MOUNTS
        named = [part for part in line[1:] if part.startswith("--")]
        group = line[:2] if MOUNTS[line[0]].attribute == "app" else line[:1]
        help_text = CliRunner().invoke(app, [*group, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
        assert help_text.exit_code == 0
        assert [option for option in named if option not in help_text.stdout] == []

    def test_files_that_are_named_are_there(self) -> None:
        for path in (COMPOSE, HELM):
            plan = load(path)
            for value in plan.variables.values():
                if value.endswith(".yaml"):
                    assert (path.parent / value).is_file()
            for command in commands(plan):
                for part in command:
                    if found := re.search(r"=(\S+\.yaml)$", part):
                        assert (path.parent / found[1]).resolve().is_relative_to(ROOT / "deploy"), shlex.join(command)


class TestPlan:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("about = ", "is no TOML"),
            ('about = "x"', "current: Field required"),
            (STEP + 'run=[["echo","{where}"]]', "no variable has the name where"),
            (STEP + "run=[]", "steps.0.run"),
            (STEP + 'run=[["b"]]\nshell="c"', "steps.0.shell"),
            (STEP + 'run=[["b"]]\n[[steps]]\nname="a"\nrun=[["b"]]', "several steps a"),
            (STEP + 'run=[["b"]]\n[variables]\nrelease="1"', "release cannot be a variable"),
        ],
        ids=["toml", "missing", "placeholder", "empty", "unknown", "twice", "reserved"],
    )
    def test_what_is_none_is_refused_with_the_place(self, tmp_path: Path, text: str, said: str) -> None:
        (tmp_path / "plan.toml").write_text(text)
        with pytest.raises(InvalidRequest, match=said):
            load(tmp_path / "plan.toml")

    def test_one_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequest, match="No such file"):
            load(tmp_path / "plan.toml")
