"""How the parts are put together: which services run, in which order, and what `stack.json` says of them."""

import asyncio
import os
import sys
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import psycopg

from devstack import environment as env
from devstack import temporal
from devstack.errors import StackFailed
from devstack.events import Event, Report
from devstack.folders import ROOT, read_json, write_json
from devstack.object_store import object_store
from devstack.ports import LOOPBACK, Ports
from devstack.postgres import Postgres
from devstack.probes import http_answers, tcp_open
from devstack.processes import Command
from devstack.state import Secrets, StateDir
from devstack.supervisor import Service, Supervisor
from devstack.tools import STACK, ensure_tools
from mediagate.settings import Settings

VendorMode = Literal["simulated", "manual"]
FLOW_QUEUE = "media-flow"
"""The task queue that shows a worker at work; the name is `workflows.names`', which this package may not import."""


class Provision(Protocol):
    """Bring a fresh or old installation up to date: migrations, bucket, search attributes, library, API key."""

    def __call__(self, settings: Settings, *, library: str, api_key: str | None) -> Awaitable[str]:
        """Return the API key: the one given if it is still valid. Idempotent."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to run. `apps`: also API, worker, vendor and Web UI; else only what tests need."""

    vendor: VendorMode = "simulated"
    apps: bool = True
    time_skipping: bool = False
    library: str = "demo"
    provision: Provision | None = None


@dataclass(slots=True)
class Assembly:
    """One start and stop of everything, in order."""

    state: StateDir
    options: Options
    report: Report
    hurry: asyncio.Event | None
    supervisor: Supervisor = field(init=False)
    ports: Ports = field(init=False)
    given: env.Given = field(init=False)
    secrets: Secrets = field(init=False)
    app: dict[str, str] = field(init=False)
    plain: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.state, self._hear, self.hurry)
        self.ports = Ports(self.state.ports_file, self.report)
        self.given = env.Given.of(os.environ)
        self.secrets = Secrets.load(self.state)
        self.plain = env.plain_environment()

    async def start(self) -> dict[str, str]:
        """Return the environment of the app's processes once everything is ready and `stack.json` is written."""
        tools = await ensure_tools(self.report, self._tools())
        await asyncio.to_thread(self._choose_ports)
        self.app = env.app_environment(
            self.state,
            self.secrets,
            self.ports.chosen | env.detours(),
            self.given,
            vendor_mode=self.options.vendor,
        )
        write_json(self.state.environment_file, self.app)
        await self._start_stores(tools)
        if not self.given.temporal:
            await temporal.ensure_namespace(self.app["TEMPORAL_ADDRESS"], self.app["TEMPORAL_NAMESPACE"])
        await asyncio.gather(self._provision(), self._start_ui(tools))
        if self.options.apps:
            await self.supervisor.start(*self._app_services())
        self._write_addresses()
        return self.app

    async def stop(self) -> None:
        """Stop what was started; safe after a `start` that failed anywhere."""
        self.state.stack_file.unlink(missing_ok=True)
        try:
            await self.supervisor.stop()
        finally:
            self.ports.release()

    def _tools(self) -> list[str]:
        skipped = set() if self.options.apps else {"temporal-ui"}
        if self.given.temporal:
            skipped |= {"temporal-server", "temporal-sql-tool"}
        if self.given.object_store:
            skipped |= {"versitygw"}
        return [name for name in STACK.packages if name not in skipped]

    def _choose_ports(self) -> None:
        given, names = self.given, ["temporal-ui", "api", "api-internal", "worker-metrics"] if self.options.apps else []
        if self.options.apps and not given.vendor:
            names.append("vendor")
        if not (given.database and given.temporal):
            names.append("postgres")
        if not given.object_store:
            names.append("s3")
        if not given.temporal:
            names += temporal.SERVER_PORTS.values()
        if not given.mail:
            names += ["smtp", "mail"]
        asked = {
            "api": ("MEDIAGATE_API_PORT", ""),
            "api-internal": ("MEDIAGATE_INTERNAL_ADDRESS", ":"),
            "worker-metrics": ("MEDIAGATE_METRICS_ADDRESS", ":"),
        }
        for name, (variable, separator) in asked.items():
            value = given.variables.get(variable, "")
            if name in names and value:
                port = value.rpartition(separator)[2] if separator else value
                if not port.isdigit():
                    raise StackFailed(f"{variable}={value} names no port.")
                self.ports.fix(name, int(port), variable)
        self.ports.choose([name for name in names if name not in self.ports.chosen])

    async def _start_stores(self, tools: Path) -> None:
        first: list[Service] = []
        ports = self.ports.chosen
        if "postgres" in ports:
            postgres = await asyncio.to_thread(
                Postgres.of, self.state, ports["postgres"], self.secrets.postgres_password
            )
            first.append(postgres.service())
        if "s3" in ports:
            url = urlsplit(self.app.get("MEDIAGATE_PUBLIC_URL", f"http://{LOOPBACK}"))
            origin = f"{url.scheme}://{url.netloc}"
            program = tools / "versitygw"
            first.append(
                object_store(program, self.state, self.secrets, ports["s3"], origin=origin, environment=self.plain)
            )
        if "mail" in ports:
            first.append(self._mail())
        await self._check_given()
        await self.supervisor.start(*first)
        if "postgres" not in ports:
            return
        if not self.given.database:
            await postgres.create_databases(["mediagate"])
        if not self.given.temporal:
            log = self.state.log("temporal-schema")
            await temporal.update_schemas(tools, postgres, log, self.plain)
            skipping = self.options.time_skipping
            await self.supervisor.start(
                temporal.server(tools, self.state, postgres, ports, environment=self.plain, time_skipping=skipping)
            )

    async def _check_given(self) -> None:
        if self.given.database:
            try:
                url = self.app["MEDIAGATE_DATABASE_URL"]
                async with await psycopg.AsyncConnection.connect(url, connect_timeout=5):
                    pass
            except psycopg.Error as error:
                raise StackFailed(f"The database of MEDIAGATE_DATABASE_URL does not answer: {error}") from error
        places: dict[str, tuple[str, int]] = {}
        if self.given.object_store:
            url = str(self.settings.s3_url)
            parts = urlsplit(url)
            places["MEDIAGATE_S3_URL"] = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        if self.given.temporal:
            host, _, port = self.app["TEMPORAL_ADDRESS"].rpartition(":")
            places["TEMPORAL_ADDRESS"] = (host, int(port) if port.isdigit() else 7233)
        for variable, (host, port_number) in places.items():
            await _check_open(variable, host, port_number)

    @property
    def settings(self) -> Settings:
        """Settings as the app's processes will read them."""
        return env.settings_from(self.app)

    async def _provision(self) -> None:
        if self.options.provision is None:
            return
        with env.applied(self.app):
            key = await self.options.provision(
                self.settings, library=self.options.library, api_key=self.secrets.api_key or None
            )
        if key != self.secrets.api_key:
            self.secrets.api_key = key
            self.secrets.save(self.state)

    async def _start_ui(self, tools: Path) -> None:
        if self.options.apps:
            service = temporal.web_ui(
                tools / "temporal-ui",
                self.state,
                self.ports.chosen,
                address=self.app["TEMPORAL_ADDRESS"],
                namespace=self.app["TEMPORAL_NAMESPACE"],
                environment=self.plain,
            )
            await self.supervisor.start(service)

    def _python(self, *arguments: str) -> Command:
        return Command((sys.executable, "-m", *arguments), env=env.whole_environment(self.app), cwd=ROOT)

    def _mail(self) -> Service:
        smtp, http = self.ports.chosen["smtp"], self.ports.chosen["mail"]
        arguments = ("--dir", str(self.state.mail), "--smtp-port", str(smtp), "--http-port", str(http))
        return Service("mail", self._python("devstack.mail", *arguments), ready=tcp_open(smtp, http))

    def _app_services(self) -> list[Service]:
        api = f"http://{LOOPBACK}:{self.ports.chosen['api']}"
        services = [
            Service("api", self._python("api"), ready=http_answers(f"{api}/health/ready", status=200), stop_seconds=15),
            Service(
                "worker",
                self._python("worker", "--role", "all"),
                ready=temporal.polled(self.app, FLOW_QUEUE),
                stop_seconds=self.settings.shutdown_grace + 5,
            ),
        ]
        if "vendor" in self.ports.chosen:
            port = self.ports.chosen["vendor"]
            vendor = self._python("devstack.vendor", "--port", str(port), "--mode", self.options.vendor)
            services.append(Service("vendor", vendor, ready=tcp_open(port)))
        return services

    def _write_addresses(self) -> None:
        settings, ports = self.settings, self.ports.chosen
        public = settings.public_url.rstrip("/")
        addresses: dict[str, Any] = {
            "temporal_address": self.app["TEMPORAL_ADDRESS"],
            "s3_url": settings.s3_url,
            "database_url": settings.database_url.get_secret_value(),
            "mail_url": f"http://{LOOPBACK}:{ports['mail']}" if "mail" in ports else None,
            "library": self.options.library,
            "api_key": self.secrets.api_key or None,
        }
        if self.options.apps:
            vendor = {
                "name": settings.vendor_name,
                "url": settings.vendor_url,
                "webhook_url": f"{public}/api/v1/webhooks/moderation/{settings.vendor_name}",
                "webhook_secret": settings.vendor_webhook_secrets[0].get_secret_value(),
            }
            addresses = {
                "api_url": public,
                "console_url": f"{public}/",
                "temporal_ui_url": settings.temporal_ui_url,
                **addresses,
                "vendor": vendor,
                "metrics_urls": [
                    f"http://{LOOPBACK}:{ports[name]}/metrics"
                    for name in ("api-internal", "worker-metrics", "temporal-metrics")
                    if name in ports
                ],
            }
        write_json(self.state.stack_file, addresses | {"pids": self.supervisor.pids})

    def _hear(self, event: Event) -> None:
        present = read_json(self.state.stack_file) if event.kind == "restarted" else {}
        if present:
            write_json(self.state.stack_file, present | {"pids": self.supervisor.pids})
        self.report(event)


async def _check_open(variable: str, host: str, port: int) -> None:
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
        await writer.wait_closed()
    except OSError as error:
        raise StackFailed(f"{variable} is set, but nothing answers at {host}:{port}: {error}") from error
