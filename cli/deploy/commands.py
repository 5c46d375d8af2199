"""The command `mediagate deploy`."""

import asyncio
import shlex
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.deploy.plan import RELEASE, Plan, filled, load
from cli.deploy.rollout import Outcome, Report, Rollout, StepReport
from cli.output import Json, print_json, print_line, print_table
from mediagate.errors import InvalidRequest
from mediagate.settings import Settings

CODES = {Outcome.DEPLOYED: 0, Outcome.REFUSED: 1, Outcome.ROLLED_BACK: 3, Outcome.STUCK: 4}
"""Exit codes."""
SAID = {
    Outcome.DEPLOYED: "{release} runs.",
    Outcome.REFUSED: "{release} was not deployed; nothing was changed.",
    Outcome.ROLLED_BACK: "{release} was not well; {previous} runs again.",
    Outcome.STUCK: "{release} was not well, and the way back did not succeed: somebody has to look at it.",
}
RUNBOOK = "docs/runbooks/deploy.md"


def deploy(
    plan: Annotated[
        Path, typer.Argument(help="The plan, a TOML file: deploy/compose/deploy.toml, deploy/helm/deploy.toml.")
    ],
    release: Annotated[str, typer.Option(help="The release that is to run: the image's tag.")],
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A variable of the plan; may be repeated.")
    ] = None,
    log_dir: Annotated[
        Path | None, typer.Option(help="Where the log goes; default: deploys in MEDIAGATE_STATE_DIR.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")] = False,
    as_json: Json = False,
) -> None:
    """Bring a release out: checks, backup and migration, API, workers, health; and back if a step fails.

    Every step is a command of the plan. A step that fails before anything was changed ends it; one that fails later
    has the steps before it undone, the last one first. The schema stays: the release before runs on it. Ctrl-C and
    SIGTERM count as a failed step; a second one stops the way back, too.

    Exit codes: 0 it runs, 1 refused and nothing changed, 3 rolled back, 4 neither: somebody has to look.

    Examples:

      mediagate deploy deploy/compose/deploy.toml --release 1.4.0

      mediagate deploy deploy/helm/deploy.toml --release 1.4.0 --set values=values-staging.yaml --yes --json
    """
    loaded = load(plan)
    variables = _variables(loaded, given or [])
    if not RELEASE.fullmatch(release):
        raise InvalidRequest("A release is 1 to 128 letters, digits, dots, hyphens and underscores, as an image's tag.")
    folder = (log_dir or Settings().state_dir / "deploys").absolute()
    log = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{release}.log"
    tell = None if as_json else _tell
    rollout = Rollout(loaded, plan.absolute().parent, release, variables, log, tell)
    if not yes:
        _show(loaded, rollout, asyncio.run(rollout.look()), as_json=as_json)
        return
    report = asyncio.run(rollout.carry_out(lock=folder / f"{_lock_name(plan)}.lock"))
    _print(report, as_json=as_json)
    raise typer.Exit(CODES[report.outcome])


def _lock_name(plan: Path) -> str:
    return plan.absolute().as_posix().strip("/").replace("/", "-")


def _variables(plan: Plan, given: list[str]) -> dict[str, str]:
    own = dict(plan.variables)
    for one in given:
        name, found, value = one.partition("=")
        if not found or name not in own:
            known = ", ".join(sorted(own)) or "none"
            raise InvalidRequest(f"--set {one}: give NAME=VALUE; this plan's variables are: {known}.")
        own[name] = value
    return own


def _show(plan: Plan, rollout: Rollout, previous: str, *, as_json: bool) -> None:
    values = rollout.values(previous)
    steps = [
        {
            "name": step.name,
            "skipped": rollout.is_left_out(step, values),
            "run": [filled(command, values) for command in step.run],
            "undo": [filled(command, values) for command in step.undo],
        }
        for step in plan.steps
    ]
    if as_json:
        print_json({"outcome": "dry_run", "release": rollout.release, "previous": previous, "steps": steps})
        return
    print_line(f"{plan.about}: {previous or 'nothing'} → {rollout.release}")
    rows = [(one["name"], "left out" if one["skipped"] else _lines(one["run"]), _lines(one["undo"])) for one in steps]
    print_table(["step", "runs", "is undone by"], rows)
    print_line("Nothing was changed. Add --yes to do it.")


def _lines(commands: object) -> str:
    return "\n".join(shlex.join(command) for command in commands) if isinstance(commands, list) else ""


def _tell(step: StepReport) -> None:
    tries = f", {step.tries} tries" if step.tries > 1 else ""
    print_line(
        f"{step.state:8} {step.name} ({step.seconds:.1f} s{tries})", style="red" if step.state == "failed" else ""
    )


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(report))
        return
    for step in report.steps:
        if step.state == "failed":
            print_line(f"\n{step.name}: {step.detail}\n{step.output}", stderr=True)
    previous = report.previous or "nothing"
    print_line(SAID[report.outcome].format(release=report.release, previous=previous))
    if report.outcome is not Outcome.DEPLOYED:
        print_line(f"What to do: {RUNBOOK}.")
    print_line(f"Log: {report.log}")
