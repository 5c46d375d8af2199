"""Runs on a terminal: a table of them, or the story of one."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.text import Text

from cli.output import print_line, print_table
from cli.runs.access import Shown
from cli.runs.times import ago, span
from mediagate.media.values import Status
from workflows.operations.history import Outcome, Step
from workflows.operations.resetting import short
from workflows.operations.runs import Pending, Run
from workflows.operations.visibility import BROKE, RunStatus

STATUS_COLOURS = {"running": "cyan", "completed": "green", "failed": "red", "timed_out": "red"}
COLOURS = {Outcome.DONE: "green", Outcome.FAILED: "red", Outcome.TIMED_OUT: "red", Outcome.OPEN: "cyan"}


def print_runs(runs: Sequence[Run]) -> None:
    """The table of runs."""
    now = datetime.now(UTC)
    rows = [
        (
            run.workflow_id,
            run.file,
            run.stage,
            run.verdict or run.failure_kind,
            Text(
                run.status + (" (reset)" if run.superseded_by else ""), style=STATUS_COLOURS.get(run.status, "yellow")
            ),
            ago(run.started_at, now),
            span(((run.closed_at or now) - run.started_at).total_seconds()),
        )
        for run in runs
    ]
    print_table(["workflow", "file", "stage", "verdict or failure", "status", "started", "took"], rows)


def print_story(shown: Shown) -> None:
    """Header, pending activities, steps, the failure and what to do next."""
    now = datetime.now(UTC)
    _print_header(shown, now)
    if shown.run.pending:
        rows = [_pending_row(activity, now) for activity in shown.run.pending]
        print_table(["pending", "state", "attempt", "next attempt", "last failure"], rows)
    print_table(["event", "step", "kind", "summary", "attempts", "took", "outcome"], [_row(s) for s in shown.steps])
    _print_chain("Failed because", shown.failure)
    _print_chain("The workflow's code fails on this history", shown.stuck)
    print_line(f"Next: {advice(shown)}", style="bold")


def _print_header(shown: Shown, now: datetime) -> None:
    run = shown.run
    took = span(((run.closed_at or now) - run.started_at).total_seconds())
    facts = [
        ("workflow", run.workflow_id),
        ("run", run.run_id),
        ("file", run.file),
        ("status", run.status),
        ("stage", run.stage),
        ("doing", shown.details),
        ("started", f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC, {ago(run.started_at, now)}; took {took}"),
        *((name, value) for name, value in sorted(run.attributes.items()) if name != "MediaStage"),
        ("events", run.events),
        ("reset to run", run.superseded_by),
        ("web", shown.url or ""),
    ]
    print_table(["what", ""], [fact for fact in facts if fact[1] != ""])


def _pending_row(activity: Pending, now: datetime) -> tuple[object, ...]:
    due = ago(activity.next_attempt_at, now) if activity.next_attempt_at else ""
    return short(activity.name), activity.state, activity.attempt, due, " ← ".join(activity.last_failure)


def _row(step: Step) -> tuple[object, ...]:
    took = span(step.seconds) if step.seconds else ""
    outcome = Text(step.outcome.value, style=COLOURS.get(step.outcome, ""))
    if step.failure:
        outcome.append(f": {step.failure[0]}", style="")
    return step.event_id, step.name, step.kind.value, step.summary, step.attempts or "", took, outcome


def _print_chain(title: str, lines: Iterable[str]) -> None:
    for depth, line in enumerate(lines):
        if depth == 0:
            print_line(f"{title}:", style="red")
        print_line(f"{'  ' * (depth + 1)}{'because ' if depth else ''}{line}")


def advice(shown: Shown) -> str:
    """What an operator does now, in a sentence."""
    run = shown.run
    if run.superseded_by:
        return f"this run was reset; look at `mediagate runs show {run.workflow_id}`."
    if run.status in BROKE:
        mend = {
            "ObjectMissing": "put the object back",
            "ObjectCorrupt": "put the true object back",
        }.get(run.failure_kind, "mend the cause")
        return f"{mend}, then `mediagate runs retry {run.workflow_id} --yes`."
    if run.ended_badly:
        return f"it was {run.status} on purpose; to resume it: `mediagate runs retry {run.workflow_id} --yes`."
    if run.status != RunStatus.RUNNING:
        return "nothing; it is finished."
    if shown.stuck:
        return (
            "mend the workflow's code and restart the workers; the run goes on by itself. Against the present code: "
            f"`mediagate runs check {run.workflow_id}`."
        )
    if any(activity.paused for activity in run.pending):
        return f"an activity is paused; to let it go on: `mediagate runs unstick {run.workflow_id} --unpause --yes`."
    trouble = [activity for activity in run.pending if activity.attempt > 1]
    if trouble:
        return (
            f"{short(trouble[0].name)} is tried again by itself; mend what its last failure names. To try at once: "
            f"`mediagate runs unstick {run.workflow_id} --yes`."
        )
    if run.pending and all(activity.state == "waiting" for activity in run.pending):
        return "nothing while a worker takes it soon; else see that workers run for its queue (`mediagate doctor`)."
    if run.stage == Status.IN_REVIEW:
        return f"a person decides; due {run.attributes.get('ReviewDueAt', 'soon')}, then the policy's default holds."
    return "nothing; it is under way."
