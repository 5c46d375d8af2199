"""Deploys by a plan of small commands: what runs is a file, and every command leaves a line in another one."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from cli.deploy.plan import load
from cli.deploy.rollout import Outcome, Report, Rollout
from cli.main import app
from deploy.sbom import ROOT
from mediagate.errors import Conflict

PLAN = """
about = "A file"
current = ["cat", "running"]

[variables]
where = ""

[[steps]]
name = "check"
run = [["sh", "-c", "echo check $RELEASE >>done; test ! -e broken-check"]]

[[steps]]
name = "migrate"
changes = true
run = [["sh", "-c", "echo migrate >>done"]]

[[steps]]
name = "api"
run = [["sh", "-c", "echo api $RELEASE >>done; echo $RELEASE >running; test ! -e broken-api"]]
undo = [["sh", "-c", "echo undo api $RELEASE >>done; echo $RELEASE >running; test ! -e broken-undo"]]

[[steps]]
name = "workers"
run = [["sh", "-c", "echo workers $RELEASE >>done"]]
undo = [["sh", "-c", "echo undo workers $RELEASE >>done"]]

[[steps]]
name = "health"
after_undo = true
within = 5
pause = 0.05
run = [["sh", "-c", "echo health >>done; test \\"$(cat running)\\" != bad || { echo it is not well; exit 7; }"]]

[[steps]]
name = "elsewhere"
needs = "where"
run = [["sh", "-c", "for one; do echo \\"$one\\" >>done; done", "sh", "{where}", "{release}", "{previous}", "{.json}"]]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where 1.0 runs."""
    (tmp_path / "deploy.toml").write_text(PLAN.replace("within = 5", "within = 0.1"))
    (tmp_path / "running").write_text("1.0\n")
    return tmp_path


def done(place: Path) -> list[str]:
    """What was done, in order."""
    file = place / "done"
    return file.read_text().splitlines() if file.exists() else []


def rollout(place: Path, release: str, **variables: str) -> Rollout:
    """One by the plan of the place."""
    return Rollout(load(place / "deploy.toml"), place, release, {"where": "", **variables}, place / "log" / "one.log")


async def carry_out(place: Path, release: str, **variables: str) -> Report:
    """Do it."""
    return await rollout(place, release, **variables).carry_out(lock=place / "log" / "lock")


def states(report: Report) -> dict[str, str]:
    """The last state of each step."""
    return {step.name: step.state for step in report.steps}


class TestCarryOut:
    async def test_every_step_in_order(self, place: Path) -> None:
        report = await carry_out(place, "1.1")
        assert (report.outcome, report.previous) == (Outcome.DEPLOYED, "1.0")
        assert done(place) == ["check 1.1", "migrate", "api 1.1", "workers 1.1", "health"]
        assert states(report)["elsewhere"] == "skipped"

    async def test_placeholders_are_filled_in(self, place: Path) -> None:
        await carry_out(place, "1.1", where="moon; rm -rf x")
        assert done(place)[-4:] == ["moon; rm -rf x", "1.1", "1.0", "{.json}"]

    async def test_a_check_that_fails_changes_nothing(self, place: Path) -> None:
        (place / "broken-check").touch()
        report = await carry_out(place, "1.1")
        assert report.outcome is Outcome.REFUSED
        assert done(place) == ["check 1.1"]
        assert (place / "running").read_text() == "1.0\n"

    async def test_what_does_not_say_what_runs_is_refused(self, place: Path) -> None:
        (place / "running").unlink()
        report = await carry_out(place, "1.1")
        assert report.outcome is Outcome.REFUSED
        assert report.steps[0].name == "current"
        assert "No such file" in report.steps[0].output
        assert done(place) == []

    async def test_bad_health_brings_the_last_release_back(self, place: Path) -> None:
        report = await carry_out(place, "bad")
        assert report.outcome is Outcome.ROLLED_BACK
        assert (place / "running").read_text() == "1.0\n"
        after = done(place)[done(place).index("undo workers 1.0") :]
        assert after == ["undo workers 1.0", "undo api 1.0", "health"]  # the last step first, and asked again
        failed = next(step for step in report.steps if step.state == "failed")
        assert failed.name == "health"
        assert failed.output == "it is not well"
        assert failed.detail.endswith("ended with 7")

    async def test_a_step_that_failed_half_way_is_undone_too(self, place: Path) -> None:
        (place / "broken-api").touch()
        report = await carry_out(place, "1.1")
        assert report.outcome is Outcome.ROLLED_BACK
        assert done(place) == ["check 1.1", "migrate", "api 1.1", "undo api 1.0"]

    async def test_a_way_back_that_fails_is_said(self, place: Path) -> None:
        (place / "broken-undo").touch()
        report = await carry_out(place, "bad")
        assert report.outcome is Outcome.STUCK
        assert done(place)[-2:] == ["undo api 1.0", "health"]  # the rest was tried all the same

    async def test_the_first_release_has_nothing_to_go_back_to(self, place: Path) -> None:
        (place / "running").write_text("")
        report = await carry_out(place, "bad")
        assert (report.outcome, report.previous) == (Outcome.STUCK, "")
        assert "undo api" not in " ".join(done(place))

    async def test_health_that_comes_late_is_waited_for(self, place: Path) -> None:
        plan = (place / "deploy.toml").read_text().replace("within = 0.1", "within = 20")
        late = '"echo health >>done; test $(grep -c health done) -ge 3"'
        start = plan.index('run = [["sh", "-c", "echo health')
        end = plan.index("\n", start)
        (place / "deploy.toml").write_text(f'{plan[:start]}run = [["sh", "-c", {late}]]{plan[end:]}')
        report = await carry_out(place, "1.1")
        assert report.outcome is Outcome.DEPLOYED
        assert next(step.tries for step in report.steps if step.name == "health") == 3

    async def test_a_command_that_hangs_is_ended_with_what_it_started(self, place: Path) -> None:
        plan = (place / "deploy.toml").read_text()
        hanging = 'timeout = 0.3\nrun = [["sh", "-c", "sleep 60 & echo $! >child; wait"]]'
        (place / "deploy.toml").write_text(
            plan.replace('run = [["sh", "-c", "echo workers $RELEASE >>done"]]', hanging)
        )
        report = await carry_out(place, "1.1")
        assert report.outcome is Outcome.ROLLED_BACK
        assert next(step.detail for step in report.steps if step.state == "failed") == "it took longer than 0.3 s"
        child = int((place / "child").read_text())
        assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE

    async def test_a_program_that_there_is_not_fails_the_step(self, place: Path) -> None:
        plan = (place / "deploy.toml").read_text().replace('[["sh", "-c", "echo check', '[["shh", "-c", "echo check')
        (place / "deploy.toml").write_text(plan)
        report = await carry_out(place, "1.1")
        assert report.outcome is Outcome.REFUSED
        assert report.steps[-1].detail == "shh cannot be run: No such file or directory"

    async def test_one_at_a_time(self, place: Path) -> None:
        plan = (place / "deploy.toml").read_text()
        (place / "deploy.toml").write_text(
            plan.replace("echo migrate >>done", "touch begun; while test -e begun; do sleep 0.02; done")
        )
        first = asyncio.create_task(carry_out(place, "1.1"))
        while not (place / "begun").exists():
            await asyncio.sleep(0.01)
        with pytest.raises(Conflict):
            await carry_out(place, "1.2")
        (place / "begun").unlink()
        assert (await first).outcome is Outcome.DEPLOYED

    async def test_the_log_has_commands_and_what_they_said_for_its_owner_only(self, place: Path) -> None:
        report = await carry_out(place, "bad")
        log = place / "log" / "one.log"
        assert report.log == str(log)
        assert log.stat().st_mode & 0o077 == 0
        text = log.read_text()
        assert " $ cat running\n1.0\n" in text
        assert "it is not well" in text
        assert text.splitlines()[-1].endswith("# rolled_back: bad, before: 1.0")


class TestCommand:
    def run(self, place: Path, *arguments: str) -> Any:
        """`mediagate deploy` on the plan of the place."""
        own = ["deploy", str(place / "deploy.toml"), "--log-dir", str(place / "log"), *arguments]
        return CliRunner().invoke(app, own, env={"MEDIAGATE_STATE_DIR": str(place / "state")})

    def test_without_yes_it_shows_and_does_nothing(self, place: Path) -> None:
        result = self.run(place, "--release", "1.1")
        assert result.exit_code == 0
        assert "1.0 → 1.1" in result.stdout
        assert "Nothing was changed" in result.stdout
        assert done(place) == []
        assert not (place / "log").exists()

    @pytest.mark.parametrize(
        ("release", "code", "outcome"), [("1.1", 0, "deployed"), ("bad", 3, "rolled_back")], ids=["well", "bad"]
    )
    def test_its_code_says_how_it_ended(self, place: Path, release: str, code: int, outcome: str) -> None:
        result = self.run(place, "--release", release, "--yes", "--json")
        assert result.exit_code == code
        report = json.loads(result.stdout)
        assert (report["outcome"], report["release"], report["previous"]) == (outcome, release, "1.0")

    def test_a_refusal_and_being_stuck_have_codes_of_their_own(self, place: Path) -> None:
        (place / "broken-undo").touch()
        assert self.run(place, "--release", "bad", "--yes").exit_code == 4
        (place / "broken-check").touch()
        refused = self.run(place, "--release", "1.2", "--yes")
        assert refused.exit_code == 1
        assert "nothing was changed" in refused.stdout

    @pytest.mark.parametrize("options", [["--release", "1.1; true"], ["--release", "1.1", "--set", "moon=1"]])
    def test_what_cannot_be_meant_is_refused(self, place: Path, options: list[str]) -> None:
        assert self.run(place, *options, "--yes").exit_code == 1
        assert done(place) == []

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
    def test_a_signal_is_a_failed_step(self, place: Path, number: signal.Signals) -> None:
        plan = (place / "deploy.toml").read_text()
        waiting = "echo workers $RELEASE >>done; exec sleep 60"
        (place / "deploy.toml").write_text(plan.replace("echo workers $RELEASE >>done", waiting, 1))
        command = [sys.executable, "-m", "cli.main", "deploy", "deploy.toml", "--release", "1.1", "--yes", "--json"]
        own = {**os.environ, "MEDIAGATE_STATE_DIR": str(place / "state"), "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=place, env=own, stdout=subprocess.PIPE, text=True)
        while "workers 1.1" not in done(place):
            assert process.poll() is None
        process.send_signal(number)
        said, _ = process.communicate(timeout=20)
        assert process.returncode == 3
        assert json.loads(said)["outcome"] == "rolled_back"
        assert (place / "running").read_text() == "1.0\n"
