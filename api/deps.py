"""What routes work with: the outside world, and who is calling."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request

from api.backpressure import Backlog
from db.session import Database
from db.tables import Library, Media
from mediagate.access import api_keys
from mediagate.access.api_keys import Scope
from mediagate.access.delivery import DeliverySigner
from mediagate.errors import NotAllowed, NotAuthenticated, NotFound
from mediagate.flagging import Flags
from mediagate.flags import Switch
from mediagate.malware.scanner import Scanner
from mediagate.settings import Settings
from mediagate.storage.store import ObjectStore
from mediagate.vault import Vault
from mediagate.vendors.interface import ModerationVendor
from workflows.client import Flows

SEALS_AT_ONCE = 4
"""Uploads that are hashed at the same time by one process; each holds a database connection meanwhile."""


@dataclass(frozen=True)
class Gate:
    """The outside world of the API; made once per process."""

    settings: Settings
    db: Database
    store: ObjectStore
    flows: Flows
    vendors: Mapping[str, ModerationVendor]
    signer: DeliverySigner
    sealing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SEALS_AT_ONCE))
    backlog: Backlog = field(init=False)
    drawing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Watermarks are looked at and previewed one at a time."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "backlog", Backlog(self.flows, self.settings.max_backlog))

    scanner: Scanner | None = None
    """None: nobody looks for malware."""
    vault: Vault | None = None
    """None: no evidence is sealed, and none can be opened."""
    flags: Flags = field(default_factory=Flags)


def gate(request: Request) -> Gate:
    """The process's outside world."""
    found: Gate = request.app.state.gate
    return found


GateDep = Annotated[Gate, Depends(gate)]


@dataclass(frozen=True)
class Caller:
    """Whose key it is and what it may do."""

    key_id: UUID
    name: str
    library_id: UUID | None
    scopes: frozenset[Scope]

    @property
    def trusted(self) -> bool:
        """True if what it sends may take the fast lane."""
        return api_keys.allows(self.scopes, Scope.UPLOADS_TRUSTED)

    def may_see(self, library_id: UUID) -> bool:
        """True if the key is for that library, or for all of them."""
        return self.library_id is None or self.library_id == library_id


async def authenticate(request: Request, gate: Gate) -> Caller:
    """The caller whose key the request carries.

    Raises:
        NotAuthenticated: there is none, or it is wrong, expired or revoked; which of these is not told.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated
    prefix, _ = api_keys.parse(token.strip())
    async with gate.db.transaction() as tx:
        key = await tx.access.valid_key(prefix)
    if key is None or not api_keys.matches(token.strip(), key.digest):
        raise NotAuthenticated
    # A scope that a newer version knew gives no right here, and shuts nobody out.
    scopes = frozenset(Scope(scope) for scope in key.scopes if scope in list(Scope))
    return Caller(
        key_id=key.id,
        name=key.name or key.prefix,
        library_id=key.library_id,
        scopes=scopes,
    )


def allowed(scope: Scope) -> Callable[[Request, Gate], Coroutine[Any, Any, Caller]]:
    """A dependency: the caller, who must have the scope."""

    async def caller(request: Request, gate: GateDep) -> Caller:
        found = await authenticate(request, gate)
        if not api_keys.allows(found.scopes, scope):
            raise NotAllowed(f"This key lacks the scope {scope.value}.")
        return found

    return caller


Uploader = Annotated[Caller, Depends(allowed(Scope.UPLOADS_WRITE))]
Reader = Annotated[Caller, Depends(allowed(Scope.MEDIA_READ))]
Reviewer = Annotated[Caller, Depends(allowed(Scope.REVIEW_WRITE))]
EvidenceReader = Annotated[Caller, Depends(allowed(Scope.EVIDENCE_READ))]
Admin = Annotated[Caller, Depends(allowed(Scope.ADMIN))]


async def operator(caller: Admin) -> Caller:
    """A caller who may see the whole deployment. Raises NotAllowed for an admin of one library."""
    if caller.library_id is not None:
        raise NotAllowed("This is about the whole deployment: it takes an admin's key for all libraries.")
    return caller


Operator = Annotated[Caller, Depends(operator)]


def take_uploads(gate: Gate, caller: Caller, library: Library) -> None:
    """Raises SwitchedOff while an operator has switched new uploads off, for all or for some."""
    role = "trusted" if caller.trusted else "uploader"
    gate.flags.require(Switch.UPLOADS, str(caller.key_id), library=library.slug, role=role)


async def library_for(gate: Gate, caller: Caller, slug: str) -> Library:
    """The library of that slug. Another tenant's is as unknown as one that does not exist. Raises NotFound."""
    async with gate.db.transaction() as tx:
        library = await tx.access.library(slug)
    if library is None or not caller.may_see(library.id):
        raise NotFound("There is no library with this name.")
    return library


async def media_for(gate: Gate, caller: Caller, media_id: UUID) -> tuple[Media, Library]:
    """The item and its library. Another tenant's is as unknown as one that does not exist. Raises NotFound."""
    async with gate.db.transaction() as tx:
        media, library = await tx.media.with_library(media_id)
    if not caller.may_see(library.id):
        raise NotFound("There is no media item with this id.")
    return media, library
