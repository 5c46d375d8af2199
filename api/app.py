"""The application: everything mounted, one outside world."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI

from activities.rendering import MAX_WATERMARK_BYTES
from api import problems
from api.deps import Gate
from api.envelope import Envelope
from api.routes import (
    banks,
    dead_letters,
    duplicates,
    evidence,
    files,
    forms,
    health,
    landing,
    libraries,
    media,
    notifications,
    policies,
    policy_runs,
    texts,
    uploads,
    vendors,
    webhooks,
)
from db.session import Database
from mediagate import __version__, temporal, wiring
from mediagate.access.delivery import DeliverySigner
from mediagate.media.values import MIB
from mediagate.settings import Settings
from workflows.client import Flows

JSON_BODY = 1 * MIB


@asynccontextmanager
async def open_gate(settings: Settings) -> AsyncIterator[Gate]:
    """The API's outside world, closed at the end of the block. Nothing is connected before it is needed."""
    async with AsyncExitStack() as stack:
        db = Database(settings.database_url.get_secret_value(), pool_size=settings.database_pool)
        stack.push_async_callback(db.close)
        store = wiring.open_store(settings)
        stack.callback(store.close)
        vendors = await stack.enter_async_context(wiring.open_vendors(settings))
        if vault := wiring.open_vault(settings):
            stack.callback(vault.store.close)
        client = await temporal.connect(lazy=True)
        yield Gate(
            settings=settings,
            db=db,
            store=store,
            flows=Flows(client),
            vendors=vendors,
            signer=DeliverySigner(settings.delivery_secrets),
            scanner=wiring.open_scanner(settings),
            vault=vault,
        )


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_gate(settings) as gate:
            app.state.gate = gate
            yield

    # The interactive documentation loads scripts from elsewhere, so there is only the OpenAPI document.
    app = FastAPI(title="Mediagate", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    problems.install(app)
    v1 = APIRouter(prefix="/api/v1")
    for noun in (uploads, forms, media, duplicates, files, libraries, webhooks, notifications):
        v1.include_router(noun.router)
    v1.include_router(vendors.router)
    v1.include_router(dead_letters.router)
    v1.include_router(banks.router)
    v1.include_router(evidence.router)
    v1.include_router(texts.router)
    v1.include_router(policy_runs.router)
    v1.include_router(policies.router)
    app.include_router(v1)
    app.include_router(health.router)
    app.include_router(landing.router)

    form = settings.max_file_size * settings.max_files_per_request + JSON_BODY

    def max_body(path: str) -> int:
        if path.startswith("/api/v1/libraries/") and path.endswith("/watermark/image"):
            return MAX_WATERMARK_BYTES
        if path.startswith("/api/v1/libraries/") and path.endswith("/import"):
            return banks.MOST_LIST
        return form if path.startswith("/api/v1/libraries/") and path.endswith("/media") else JSON_BODY

    app.add_middleware(Envelope, max_body=max_body)
    return app
