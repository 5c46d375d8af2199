"""Changing feature flags: what was looked at is named, and who did what is put on record."""

from typing import Any

from db.repositories.audit import Actor
from db.session import Database, Transaction
from db.tables import FeatureFlag, now
from mediagate.errors import Conflict, NotFound
from mediagate.flags import BUILT_IN, Flag, document


async def stated(tx: Transaction) -> list[FeatureFlag]:
    """Every flag by name: those that have a row, and kill switches that nobody has touched, at version 0."""
    rows = {row.name: row for row in await tx.flags.all()}
    return sorted((rows | {name: untouched(name) for name in BUILT_IN if name not in rows}).values(), key=_name)


async def stated_one(tx: Transaction, name: str) -> FeatureFlag:
    """As above, one of them. Raises NotFound."""
    row = await tx.flags.get(name)
    if row is None and name not in BUILT_IN:
        raise NotFound(f"There is no flag {name!r}.")
    return row or untouched(name)


def untouched(name: str) -> FeatureFlag:
    """A kill switch without a row."""
    row = FeatureFlag(name=name, version=0, updated_by="")
    row.take(BUILT_IN[name])
    return row


def read(row: FeatureFlag) -> Flag:
    """What it says. Raises Conflict: a newer release wrote it, and this one cannot read it."""
    try:
        return row.flag
    except ValueError as error:
        raise Conflict(f"This release cannot read the flag {row.name!r}: write it anew.") from error


async def put_flag(
    db: Database, flag: Flag, *, version: int, actor: Actor, reason: str = "", tracking_id: str = ""
) -> FeatureFlag:
    """Make or change a flag; one that says that already is left as it is, so that the same call may come twice.

    Args:
        version: of the flag as it was looked at; 0: there was none, or it is a kill switch that nobody has touched.

    Raises:
        Conflict: it was changed meanwhile, or there are too many flags.
    """
    async with db.transaction() as tx:
        row = await tx.flags.get(flag.name, lock=True)
        if row and _says(row) == document(flag):
            return row
        before = _on_record(row)
        if (row.version if row else 0) != version:
            now_at = f"is at version {row.version}" if row else "does not exist any more (version 0)"
            raise Conflict(f"The flag {flag.name!r} {now_at}, not at {version}: look at it and change it again.")
        if row is None:
            row = FeatureFlag(name=flag.name, updated_by=actor.name)
            row.take(flag)
            await tx.flags.add(row)
        else:
            row.take(flag)
            row.version, row.updated_at, row.updated_by = version + 1, now(), actor.name
            await tx.session.flush()
        action = "flag.changed" if before else "flag.created"
        data = {"before": before, "after": _on_record(row)}
        await tx.audit.note(action, _subject(flag.name), actor, reason=reason, tracking_id=tracking_id, data=data)
    return row


async def delete_flag(
    db: Database, name: str, *, actor: Actor, version: int | None = None, reason: str = "", tracking_id: str = ""
) -> FeatureFlag:
    """Delete a flag; a kill switch is on again. What it said last. `version`: None: whichever it is at.

    Raises:
        NotFound: there is no such row.
        Conflict: it was changed meanwhile.
    """
    async with db.transaction() as tx:
        row = await tx.flags.get(name, lock=True)
        if row is None:
            raise NotFound(f"There is no flag {name!r} to delete.")
        if version not in {None, row.version}:
            raise Conflict(f"The flag {name!r} is at version {row.version}, not at {version}: look at it first.")
        await tx.flags.remove(row)
        data = {"before": _on_record(row), "after": None}
        await tx.audit.note("flag.deleted", _subject(name), actor, reason=reason, tracking_id=tracking_id, data=data)
    return row


def _name(row: FeatureFlag) -> str:
    return row.name


def _subject(name: str) -> str:
    return f"flag:{name}"


def _says(row: FeatureFlag) -> dict[str, Any]:
    """As `document`, also of a row that this release cannot read."""
    return row.model_dump(mode="json", include=set(Flag.model_fields))


def _on_record(row: FeatureFlag | None) -> dict[str, Any] | None:
    """What the audit trail keeps of it: all but what somebody wrote about it."""
    if row is None:
        return None
    return {name: value for name, value in _says(row).items() if name != "description"} | {"version": row.version}
