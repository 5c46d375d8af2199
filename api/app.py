"""The application: everything mounted, one outside world."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext

from fastapi import APIRouter, FastAPI
from opentelemetry.sdk.trace import TracerProvider

from activities.rendering import MAX_WATERMARK_BYTES
from activities.storage_usage import telling_of_disks
from api import manifests, problems
from api.deps import Gate
from api.envelope import Envelope
from api.internal import Exposition, Internal, serving
from api.internal import router as metrics_router
from api.metrics import Measured
from api.routes import (
    banks,
    dead_letters,
    duplicates,
    evidence,
    files,
    flags,
    forms,
    health,
    imports,
    landing,
    libraries,
    media,
    notifications,
    policies,
    policy_runs,
    storage,
    texts,
    trash,
    uploads,
    vendors,
    webhooks,
)
from api.tracing import Traced
from db.flag_feed import open_flags
from db.session import Database
from mediagate import __version__, temporal, tracing, wiring
from mediagate.access.delivery import DeliverySigner
from mediagate.media.values import MIB
from mediagate.settings import Settings
from workflows.client import Flows

JSON_BODY = 1 * MIB


@asynccontextmanager
async def open_gate(settings: Settings, traces: TracerProvider | None = None) -> AsyncIterator[Gate]:
    """The API's outside world, closed at the end of the block. But for flags and disks, nothing is connected before it
    is needed.
    """
    async with AsyncExitStack() as stack:
        db = Database(settings.database_url.get_secret_value(), pool_size=settings.database_pool)
        stack.push_async_callback(db.close)
        await stack.enter_async_context(telling_of_disks(db, settings))
        store = wiring.routed(wiring.open_stores(settings), db.placement)
        stack.callback(store.close)
        url, environment = settings.database_url.get_secret_value(), settings.environment
        flags = await stack.enter_async_context(open_flags(db, url, environment=environment))
        vendors = await stack.enter_async_context(wiring.open_vendors(settings))
        if vault := wiring.open_vault(settings):
            stack.callback(vault.store.close)
        client = await temporal.connect(lazy=True, interceptors=tracing.interceptors(traces))
        yield Gate(
            settings=settings,
            db=db,
            store=store,
            flows=Flows(client),
            vendors=vendors,
            signer=DeliverySigner(settings.delivery_secrets),
            scanner=wiring.open_scanner(settings),
            vault=vault,
            flags=flags,
        )


def create_app(settings: Settings, traces: TracerProvider | None = None) -> FastAPI:
    """The ASGI application. `traces`: what makes its spans; None: nobody wants any."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_gate(settings, traces) as gate:
            app.state.gate = gate
            internal = Internal(app, app.state.exposition)
            address = settings.internal_address
            async with serving(internal, address) if address else nullcontext():
                yield

    # The interactive documentation loads scripts from elsewhere, so there is only the OpenAPI document.
    app = FastAPI(title="Mediagate", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    problems.install(app)
    v1 = APIRouter(prefix="/api/v1")
    for noun in (uploads, forms, media, duplicates, files, libraries, webhooks, notifications):
        v1.include_router(noun.router)
    v1.include_router(vendors.router)
    v1.include_router(flags.router)
    v1.include_router(dead_letters.router)
    v1.include_router(banks.router)
    v1.include_router(evidence.router)
    v1.include_router(texts.router)
    v1.include_router(imports.router)
    v1.include_router(policy_runs.router)
    v1.include_router(policies.router)
    v1.include_router(trash.router)
    v1.include_router(storage.router)
    app.include_router(v1)
    app.include_router(health.router)
    app.include_router(landing.router)
    app.state.exposition = Exposition(app)
    if settings.metrics_public:
        app.include_router(metrics_router)

    form = settings.max_file_size * settings.max_files_per_request + JSON_BODY

    def max_body(path: str) -> int:
        if path.startswith("/api/v1/libraries/") and path.endswith("/watermark/image"):
            return MAX_WATERMARK_BYTES
        if path.startswith("/api/v1/libraries/") and path.endswith("/import"):
            return banks.MOST_LIST
        if path.startswith("/api/v1/libraries/") and path.endswith("/imports"):
            return manifests.MOST_BYTES
        return form if path.startswith("/api/v1/libraries/") and path.endswith("/media") else JSON_BODY

    app.add_middleware(Envelope, max_body=max_body)
    if traces:
        app.add_middleware(Traced, tracer=traces.get_tracer("mediagate"))
    app.add_middleware(Measured, recorder=app.state.exposition.recorder)
    return app
