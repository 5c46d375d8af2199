"""The commands of `mediagate policy` about runs over decided items."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID, uuid4

import typer

from activities.policy_orders import dry_run, order_run, start_run, undo_run
from activities.policy_runs import Looked
from cli.bank_access import by, in_library, library_of, with_database
from cli.output import Json, print_json, print_line, print_table
from cli.policy_reports import print_comparison
from cli.runs.access import operations
from db.session import Database, Transaction
from db.tables import Library as LibraryRow
from db.tables import LibraryPolicy, PolicyRun
from mediagate.moderation.policy_runs import MOST_DRY_RUN, MOST_LAST, MOST_RUN_AT_ONCE, Comparison, RunMode
from mediagate.settings import Settings
from workflows.client import Flows
from workflows.policy_run_messages import PolicyRunInput

T = TypeVar("T")

Library = Annotated[str, typer.Option(help="Name of the library.")]
Number = Annotated[int, typer.Argument(metavar="N", min=1, help="Number of the policy.")]
RunId = Annotated[UUID, typer.Argument(metavar="RUN", help="Id of the run.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only what would be done is shown.")]


def run(
    number: Number,
    library: Library,
    apply: Annotated[bool, typer.Option("--apply", help="Change what it finds, once that is confirmed.")] = False,
    last: Annotated[
        int | None, typer.Option(min=1, max=MOST_LAST, help="Only so many items, the newest; default: all.")
    ] = None,
    include_human: Annotated[bool, typer.Option("--include-human", help="Also change what people decided.")] = False,
    at_once: Annotated[int, typer.Option(min=1, max=MOST_RUN_AT_ONCE, help="Items decided anew at a time.")] = 4,
    per_second: Annotated[float, typer.Option(min=0.01, max=100, help="Items decided anew per second.")] = 5.0,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Hold a policy against a library's decided items, as a workflow. Without --apply it changes nothing.

    With --apply it begins with a preview, and waits a week for `confirm`. Without --yes only the last 5000 items are
    looked at, here and now, and no run is started.

    Examples:

      mediagate policy run 3 --library photos

      mediagate policy run 3 --library photos --apply --per-second 2 --yes
    """
    if apply and not yes:
        _show_what_would_change(number, library, last, include_human, as_json)
        return

    async def act(db: Database, flows: Flows) -> PolicyRun:
        job = PolicyRunInput(
            run_id=str(uuid4()),
            library=library,
            mode=RunMode.APPLY if apply else RunMode.DRY_RUN,
            last=last,
            include_human=include_human,
            at_once=at_once,
            per_second=per_second,
            review=Settings().review_time,
            actor=by(),
        )
        async with db.transaction() as tx:
            owner = await library_of(tx, library)
        return await start_run(db, flows, owner, number, job)

    _told(_with_flows(act), as_json)


def runs(
    library: Library,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List runs of a library's policies, newest first. Reads only.

    Example: `mediagate policy runs --library photos`
    """

    async def act(tx: Transaction, owner: LibraryRow) -> list[tuple[PolicyRun, LibraryPolicy]]:
        return list(await tx.policies.runs(owner.id, after=None, limit=limit))

    found = in_library(library, act)
    if as_json:
        print_json([{**_facts(row), "version": policy.version} for row, policy in found])
        return
    cells = [
        (row.id, policy.version, row.mode, row.state, *_counts(row), _at(row.created_at), _at(row.ended_at))
        for row, policy in found
    ]
    heads = ["run", "version", "mode", "state", "looked at", "would change", "changed", "skipped", "failed"]
    print_table([*heads, "started (UTC)", "ended"], cells)


def show_run(run_id: RunId, items: Annotated[int, typer.Option(min=0, max=1000)] = 20, as_json: Json = False) -> None:
    """Show how far a run is or what it did, and its items, the newest first. Reads only.

    Example: `mediagate policy show-run 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb`
    """

    async def act(db: Database) -> tuple[PolicyRun, str, list[dict[str, Any]]]:
        async with db.transaction() as tx:
            row, _, policy = await tx.policies.run_with_policy(run_id)
            rows = await tx.policies.items(row.undoes or row.id, after=None, limit=items)
        return row, policy.version, [one.model_dump(mode="json", exclude={"run_id"}) for one in rows]

    row, version, found = with_database(act)
    if as_json:
        print_json({**_facts(row), "version": version, "items": found})
        return
    print_comparison(Comparison.model_validate(row.report), f"{version}: {row.mode.value} {row.id}")
    print_line(_state(row))
    if found:
        cells = [(i["media_id"], i["from_verdict"], i["to_verdict"], i["state"], i["detail"]) for i in found]
        print_table(["media id", "was", "policy", "state", ""], cells)


def confirm(run_id: RunId, yes: Yes = False, as_json: Json = False) -> None:
    """Apply what a run's preview showed.

    Example: `mediagate policy confirm 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb --yes`
    """
    if yes:
        _order(run_id, "confirm", as_json)
        return
    row = _row(run_id)
    if as_json:
        print_json({"done": False, **_facts(row)})
    else:
        print_line(f"{_state(row)} {row.would_change} items would change. Nothing changed; add --yes.")


def pause(run_id: RunId, as_json: Json = False) -> None:
    """Let a run begin nothing further until `resume`; after 30 days it ends.

    Example: `mediagate policy pause 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb`
    """
    _order(run_id, "pause", as_json)


def resume(run_id: RunId, as_json: Json = False) -> None:
    """Let a paused run go on.

    Example: `mediagate policy resume 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb`
    """
    _order(run_id, "resume", as_json)


def cancel(run_id: RunId, as_json: Json = False) -> None:
    """End a run. What it changed stays so; `undo` brings it back.

    Example: `mediagate policy cancel 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb`
    """
    _order(run_id, "cancel", as_json)


def undo(run_id: RunId, yes: Yes = False, as_json: Json = False) -> None:
    """Bring back what a run changed, as a run of its own; not what a person decided since.

    Example: `mediagate policy undo 9b1de6c2-0a6c-4a0e-9a53-0f86d8c5a7cb --yes`
    """
    if not yes:
        row = _row(run_id)
        if as_json:
            print_json({"done": False, **_facts(row)})
        else:
            print_line(f"{_state(row)} Up to {row.applied} items would be brought back. Nothing changed; add --yes.")
        return

    async def act(db: Database, flows: Flows) -> PolicyRun:
        review = Settings().review_time
        return await undo_run(db, flows, await _owner(db, run_id), run_id, by=by(), review=review)

    _told(_with_flows(act), as_json)


COMMANDS: dict[str, Callable[..., None]] = {
    "run": run,
    "runs": runs,
    "show-run": show_run,
    "confirm": confirm,
    "pause": pause,
    "resume": resume,
    "cancel": cancel,
    "undo": undo,
}


def tried(library: str, number: int, *, last: int, human: bool = False) -> tuple[str, Comparison, list[Looked]]:
    """A dry-run, here and now; the version first. `human`: as if what people decided were changed as well."""

    async def act(db: Database) -> tuple[str, Comparison, list[Looked]]:
        async with db.transaction() as tx:
            owner = await library_of(tx, library)
            row = await tx.policies.numbered(owner.id, number)
        return row.version, *await dry_run(db, owner, row.policy, last=last, include_human=human)

    return with_database(act)


def _show_what_would_change(number: int, library: str, last: int | None, include_human: bool, as_json: bool) -> None:
    version, comparison, _ = tried(library, number, last=min(last or MOST_DRY_RUN, MOST_DRY_RUN), human=include_human)
    if as_json:
        print_json({"done": False, "version": version, "comparison": comparison.model_dump()})
        return
    print_comparison(comparison, f"{version} against what stands")
    print_line("Nothing changed, and no run was started; add --yes.")


def _order(run_id: UUID, order: str, as_json: bool) -> None:
    async def act(db: Database, flows: Flows) -> PolicyRun:
        return await order_run(db, flows, await _owner(db, run_id), run_id, order, by=by())

    _told(_with_flows(act), as_json)


def _counts(row: PolicyRun) -> tuple[int, ...]:
    return row.report.get("looked_at", 0), row.would_change, row.applied, row.skipped, row.failed


def _told(row: PolicyRun, as_json: bool) -> None:
    if as_json:
        print_json(_facts(row))
    else:
        print_line(f"{_state(row)} `mediagate policy show-run {row.id}` tells how far it is.")


def _state(row: PolicyRun) -> str:
    until = f" until {_at(row.confirm_until)} UTC" if row.state == "previewed" else ""
    return f"The run {row.id} is {row.state.value}{until}{f': {row.detail}' if row.detail else ''}."


def _row(run_id: UUID) -> PolicyRun:
    async def act(db: Database) -> PolicyRun:
        async with db.transaction() as tx:
            return await tx.policies.run(run_id)

    return with_database(act)


async def _owner(db: Database, run_id: UUID) -> LibraryRow:
    async with db.transaction() as tx:
        _, owner, _ = await tx.policies.run_with_policy(run_id)
    return owner


def _with_flows(act: Callable[[Database, Flows], Awaitable[T]]) -> T:
    async def acting(db: Database) -> T:
        return await act(db, Flows((await operations()).client))

    return with_database(acting)


def _facts(row: PolicyRun) -> dict[str, Any]:
    return row.model_dump(mode="json", exclude={"library_id", "policy_id"})


def _at(moment: datetime | None) -> str:
    return f"{moment:%F %T}" if moment else ""
