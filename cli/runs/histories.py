"""`mediagate runs export|check`: histories without what people wrote, and whether the present code understands them."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress
from rich.text import Text
from temporalio.client import WorkflowHistory

from cli.output import Json, console, print_json, print_line, print_table
from cli.runs.access import operations, workflow_id_of
from cli.runs.options import ANY, FOUND, NOTHING_TO_DO, Library, Query, WorkflowType, type_of
from mediagate.errors import Conflict, InvalidRequest
from workflows.operations.operator import Operations
from workflows.operations.replaying import Checked, Outcome, read_history
from workflows.operations.replaying import check as replay
from workflows.operations.runs import Run
from workflows.operations.scrubbing import known_words, scrubbed
from workflows.operations.visibility import Filter, RunStatus

LARGEST = 128 * 1024 * 1024
"""Bytes of a history in JSON; the service ends a run at 50 MB."""

Status = Annotated[list[RunStatus] | None, typer.Option(help="Only runs that stand so; may be repeated.")]
Limit = Annotated[int, typer.Option(min=1, max=5000, help="At most so many, where no runs are named.")]


def export(
    out: Annotated[Path, typer.Option(help="Folder for the files; it is made if it is not there.")],
    workflow_ids: Annotated[list[str] | None, typer.Argument(help="Workflow ids or media ids.")] = None,
    query: Query = None,
    status: Status = None,
    library: Library = None,
    workflow_type: WorkflowType = ANY,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Write histories to files, scrubbed: captions, file names, addresses, notes, names of people and of machines are
    replaced; ids, enumerated values, scores and times stay.

    The files can be given away, replayed (`mediagate runs check DIR`) and opened in the Temporal Web UI.

    Examples:

      mediagate runs export 3f0c9a52-6c1e-4e0e-9d07-0f5a4a2f8f6b --out histories

      mediagate runs export --status failed --library demo --limit 20 --out histories
    """
    wanted = _wanted(workflow_ids, query, status, library, workflow_type)
    out.mkdir(parents=True, exist_ok=True)
    files = asyncio.run(_export(wanted, workflow_ids or [], limit, out))
    if as_json:
        print_json({"files": [str(file) for file in files]})
    else:
        print_line(f"{len(files)} histories in {out}.")
    raise typer.Exit(0 if files else NOTHING_TO_DO)


def check(
    targets: Annotated[list[str] | None, typer.Argument(help="Files, folders, workflow ids or media ids.")] = None,
    query: Query = None,
    status: Status = None,
    library: Library = None,
    workflow_type: WorkflowType = ANY,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Would the present code understand these histories? Replays them here; nothing is sent, nothing is changed.

    Exit code 0: all fit; 4: some do not, each with what the code would do otherwise; 3: there is nothing to check. Give
    open runs before a deploy: `--status running`.

    Examples:

      mediagate runs check histories

      mediagate runs check --status running --limit 500 --json
    """
    given = targets or []
    files = [file for one in given for file in _files(Path(one))]
    ids = [one for one in given if not Path(one).exists()]
    wanted = _wanted(given, query, status, library, workflow_type)
    checked = asyncio.run(_check(wanted, files, ids, limit, quiet=as_json))
    if as_json:
        print_json({"histories": [one.facts() for one in checked]})
    else:
        _print(checked)
    if not checked:
        raise typer.Exit(NOTHING_TO_DO)
    raise typer.Exit(FOUND if any(one.outcome is not Outcome.FITS for one in checked) else 0)


def _wanted(
    named: Sequence[str] | None,
    query: str | None,
    status: Sequence[RunStatus] | None,
    library: str | None,
    workflow_type: str,
) -> Filter | None:
    """The runs that fit; None where they are named."""
    chosen = bool(query or status or library or workflow_type != ANY)
    if bool(named) == chosen:
        raise typer.BadParameter("Name them, or say which: --query, --status, --library, --type.")
    kind = type_of(workflow_type)
    return Filter(statuses=status or (), workflow_type=kind, library=library, raw=query) if chosen else None


async def _export(wanted: Filter | None, ids: Sequence[str], limit: int, out: Path) -> list[Path]:
    import worker  # noqa: F401  (loads every enumeration that a payload may hold a value of)

    service, files, words = await operations(), [], known_words()
    async for run in _runs(service, wanted, ids, limit):
        history = scrubbed(run.workflow_id, await service.history(run), words)
        files.append(_write(out / f"{_plain(run.workflow_id)}--{run.run_id}.json", history.to_json()))
    return files


async def _runs(service: Operations, wanted: Filter | None, ids: Sequence[str], limit: int) -> AsyncIterator[Run]:
    for one in ids:
        yield await service.describe(workflow_id_of(one))
    if wanted:
        for run in await service.find(wanted.query(), limit=limit):
            yield run


async def _check(
    wanted: Filter | None, files: Sequence[Path], ids: Sequence[str], limit: int, *, quiet: bool
) -> list[Checked]:
    from worker import RUNNER, WORKFLOWS  # every workflow there is: only where it is needed

    checked = []
    shown = not quiet and console(stderr=True).is_terminal
    with Progress(console=console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task("Replaying", total=None)
        async for history in _histories(wanted, files, ids, limit):
            checked.append(await replay(history, WORKFLOWS, RUNNER))
            progress.advance(task)
    return checked


async def _histories(
    wanted: Filter | None, files: Sequence[Path], ids: Sequence[str], limit: int
) -> AsyncIterator[WorkflowHistory]:
    for file in files:
        yield read_history(_read(file), source=str(file))
    if ids or wanted:
        service = await operations()
        async for run in _runs(service, wanted, ids, limit):
            yield WorkflowHistory(run.workflow_id, await service.history(run))


def _files(path: Path) -> list[Path]:
    """Every history in a folder; the file itself; none if there is no such thing."""
    return sorted(path.glob("*.json")) if path.is_dir() else [path] if path.exists() else []


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise InvalidRequest(f"{path} is larger than any history.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} cannot be read: {error}.") from error


def _write(path: Path, text: str) -> Path:
    """A new file, for its owner only."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Conflict(f"{path} cannot be made: {error.strerror}.") from error
    return path


def _plain(workflow_id: str) -> str:
    """Fit for a file name."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in workflow_id)[:120]


def _print(checked: Sequence[Checked]) -> None:
    broken = [one for one in checked if one.outcome is not Outcome.FITS]
    if broken:
        rows = [(one.workflow_id, one.workflow_type, Text(one.outcome, style="red"), one.detail) for one in broken]
        print_table(["workflow", "type", "outcome", "what differs"], rows)
    counts = Counter(one.outcome for one in checked)
    print_line(", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome) + ".")
