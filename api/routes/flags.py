"""Feature flags and kill switches. They are about the whole deployment, so an operator's key is needed to see them too:
rules name libraries.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from api.deps import Caller, GateDep, Operator
from api.flag_models import FlagCountRead, FlagDetail, FlagEvaluate, FlagEvaluated, FlagPage, FlagPut, FlagRead
from api.pages import Limit
from db.flags import delete_flag, put_flag, read, stated, stated_one
from db.repositories.audit import Actor
from db.tables import FeatureFlag
from mediagate.errors import InvalidRequest
from mediagate.flags import BUILT_IN, NAME, Attribute, FlagTerms, Value, flag_of

router = APIRouter(prefix="/flags", tags=["flags"])

Name = Annotated[str, Path(pattern=NAME)]
COUNTED = timedelta(days=30)


@router.get("")
async def list_flags(
    gate: GateDep,
    caller: Operator,  # noqa: ARG001  # who may ask
    cursor: str | None = None,
    limit: Limit = 50,
) -> FlagPage:
    """Every flag, and every kill switch, by name."""
    if cursor and not re.fullmatch(NAME, cursor):
        raise InvalidRequest("The cursor is not one of ours; start without it.")
    async with gate.db.transaction() as tx:
        rows = [row for row in await stated(tx) if row.name > (cursor or "")]
    more = rows[limit - 1].name if len(rows) > limit else None
    return FlagPage(items=[_read(row) for row in rows[:limit]], next_cursor=more)


@router.get("/{name}")
async def read_flag(name: Name, gate: GateDep, caller: Operator) -> FlagDetail:  # noqa: ARG001  # as above
    """A flag, and how often each of its variants was served."""
    async with gate.db.transaction() as tx:
        row = await stated_one(tx, name)
        counts = await tx.flags.counts(since=datetime.now(UTC).date() - COUNTED, flag=name)
    served = [FlagCountRead.model_validate(count.model_dump()) for count in counts]
    return FlagDetail(**_read(row).model_dump(), counts=served)


@router.put("/{name}")
async def write_flag(name: Name, body: FlagPut, request: Request, gate: GateDep, caller: Operator) -> FlagRead:
    """Make or change a flag. Every process goes by it within a second; none is restarted."""
    flag = flag_of(name, body.model_dump(include=set(FlagTerms.model_fields)))
    tracking_id = request.state.tracking_id
    actor = _actor(caller)
    return _read(
        await put_flag(gate.db, flag, version=body.version, actor=actor, reason=body.reason, tracking_id=tracking_id)
    )


@router.delete("/{name}")
async def remove_flag(
    name: Name,
    request: Request,
    gate: GateDep,
    caller: Operator,
    version: Annotated[int | None, Query(ge=1, description="only if it is at this version")] = None,
) -> FlagRead:
    """Delete a flag; the answer is what it said. Code that asks for it takes its own default: kill switches are on."""
    tracking_id = request.state.tracking_id
    return _read(await delete_flag(gate.db, name, actor=_actor(caller), version=version, tracking_id=tracking_id))


@router.post("/{name}/evaluate")
async def evaluate_flag(
    name: Name,
    body: FlagEvaluate,
    gate: GateDep,
    caller: Operator,  # noqa: ARG001  # as above
) -> FlagEvaluated:
    """What the flag serves for somebody, and why. Not counted.

    Nothing is stored. It has no effect, so it needs no `Idempotency-Key`, and takes no notice of one.
    """
    async with gate.db.transaction() as tx:
        row = await stated_one(tx, name)
    known: dict[str, Value] = {Attribute.ENVIRONMENT: gate.settings.environment}
    known |= {attribute.value: value for attribute, value in body.attributes.items()}
    found = read(row).evaluate(body.targeting_key, known)
    return FlagEvaluated.model_validate({"name": name, "version": row.version, **found._asdict()})


def _read(row: FeatureFlag) -> FlagRead:
    facts = row.model_dump()
    if not row.version:
        facts["updated_at"] = None
    return FlagRead.model_validate({**facts, "built_in": row.name in BUILT_IN})


def _actor(caller: Caller) -> Actor:
    return Actor(caller.name, f"api:{caller.key_id}")
