"""Vendors: how they do, what they cost, and the switch."""

from collections.abc import Sequence
from datetime import date

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from activities.vendor_calls import switch
from api.deps import Gate, GateDep, Operator
from api.idempotency import once
from api.vendor_models import BreakerSet, UsageRead, VendorPage, VendorRead
from db.repositories.vendors import Usage
from db.tables import now
from mediagate.errors import NotFound

router = APIRouter(tags=["vendors"])

_HEALTH = {"state", "failures", "held_by", "changed_at", "last_error", "last_error_at"}


@router.get("/vendors")
async def list_vendors(gate: GateDep, caller: Operator) -> VendorPage:  # noqa: ARG001  # who may ask
    """Every vendor with its circuit breaker, and its calls and costs of today and of this month (UTC)."""
    return VendorPage(items=await _read(gate, [*gate.vendors]))


@router.post("/vendors/{name}/breaker", response_model=VendorRead)
async def set_breaker(name: str, body: BreakerSet, request: Request, gate: GateDep, caller: Operator) -> JSONResponse:
    """Let calls through again, or stop them until that is undone; runs wait, then ask others, or a person."""
    if name not in gate.vendors:
        raise NotFound("There is no vendor of this name here.")

    async def act() -> VendorRead:
        await switch(gate.db, name, body.state, by=caller.name)
        return (await _read(gate, [name]))[0]

    return await once(request, gate, caller, body.model_dump_json().encode(), act, status=200)


async def _read(gate: Gate, names: Sequence[str]) -> list[VendorRead]:
    today = now().date()
    async with gate.db.transaction() as tx:
        health = {name: await tx.vendors.health(name) for name in names}
        days: dict[date, dict[str, Usage]] = {
            since: dict(await tx.vendors.usage(names, since=since)) for since in (today, today.replace(day=1))
        }
    return [
        VendorRead(
            name=name,
            kind=gate.settings.kind_of(name),
            open_until=health[name].until,
            calls_per_second=gate.settings.vendor(name).calls_per_second,
            today=_usage(days[today][name]),
            this_month=_usage(days[today.replace(day=1)][name]),
            capabilities=gate.vendors[name].capabilities,
            **health[name].model_dump(include=_HEALTH),
        )
        for name in names
    ]


def _usage(usage: Usage) -> UsageRead:
    return UsageRead.model_validate(usage._asdict())
