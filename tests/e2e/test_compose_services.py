"""The scripts of deploy/compose, run by the programs that they are for: Postgres, Temporal server, object store.

What cannot be run here is the engine: images, networks and volumes are looked at by tests/unit/deploy/test_compose.py.
"""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from minio import Minio
from minio.error import S3Error
from temporalio.client import Client

from devstack.discard import discard
from devstack.ports import LOOPBACK, bindable
from devstack.postgres import Postgres
from devstack.probes import http_answers
from devstack.processes import Command
from devstack.state import StateDir
from devstack.supervisor import Probe, Service, Supervisor
from devstack.temporal import ensure_namespace
from devstack.tools import ensure_tools
from mediagate import temporal
from workflows.names import SEARCH_ATTRIBUTES

FOLDER = Path(__file__).parents[2] / "deploy" / "compose"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
SERVER_PORTS = ("FRONTEND_GRPC", "FRONTEND_HTTP", "FRONTEND_MEMBERSHIP", "HISTORY_GRPC", "HISTORY_MEMBERSHIP",
                "MATCHING_GRPC", "MATCHING_MEMBERSHIP", "WORKER_GRPC", "WORKER_MEMBERSHIP")  # fmt: skip

pytestmark = pytest.mark.timeout(120)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, below 32768: the Temporal server writes its own into a `smallint`."""
    first = 20_000 + os.getpid() % 10_000
    return list(islice((port for port in range(first, 32_768) if bindable(port)), count))


class Host:
    """What the engine would do for a service: its variables, its secrets, its start."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.state = StateDir.open(folder / "state")
        self.supervisor = Supervisor(self.state, lambda event: None)
        self.tools = tools
        self.folder = folder / "compose"
        shutil.copytree(FOLDER, self.folder, ignore=shutil.ignore_patterns("secrets", "*.env"))
        shutil.copytree(FOLDER.parent / "env", folder / "env")
        subprocess.run(["sh", "init"], cwd=self.folder, check=True, capture_output=True)
        self.ports = dict(zip(("POSTGRES", "S3", *SERVER_PORTS), free_ports(len(SERVER_PORTS) + 2), strict=True))

    def secret(self, name: str) -> str:
        """One that `init` made."""
        return (self.folder / "secrets" / name).read_text()

    def variables(self, service: str, **own: str) -> dict[str, str]:
        """Those of the compose file, and where things are on this host."""
        given = {name: str(value) for name, value in SERVICES[service].get("environment", {}).items()}
        path = f"{self.tools}:{Postgres.of(self.state, 0, '').install.bin}:{os.environ['PATH']}"
        return {**given, "PATH": path, "SECRETS": str(self.folder / "secrets"), **own}

    def script(self, service: str, **own: str) -> tuple[list[str], dict[str, str]]:
        """The command of a service, with its script where it is on this host."""
        (script,) = (name for name in SERVICES[service]["entrypoint"] if name.endswith(".sh"))
        (mounted,) = (one for one in SERVICES[service]["volumes"] if f":{script}:" in one)
        return ["/bin/sh", str(self.folder / mounted.partition(":")[0])], self.variables(service, **own)

    def run(self, command: list[str], variables: dict[str, str]) -> str:
        """A one-shot to its end."""
        done = subprocess.run(command, env=variables, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    async def start(self, name: str, command: list[str], variables: dict[str, str], ready: Probe) -> None:
        """A server, until it is ready."""
        await self.supervisor.start(Service(name, Command(tuple(command), env=variables, cwd=self.folder), ready=ready))


@pytest.fixture(scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    """With Postgres, on which the script of its first start has run."""
    folder = tmp_path_factory.mktemp("host")
    made = Host(folder, await ensure_tools(lambda event: None))
    postgres = Postgres.of(made.state, made.ports["POSTGRES"], made.secret("postgres_password"))
    try:
        await made.supervisor.start(postgres.service())
        login = {"PGHOST": LOOPBACK, "PGPORT": str(postgres.port), "PGPASSWORD": postgres.password}
        made.run(["sh", str(made.folder / "postgres" / "roles.sh")], made.variables("postgres", **login))
        yield made
    finally:
        await made.supervisor.stop()
        discard(made.state.path)


class TestPostgres:
    async def test_each_program_has_a_role_for_its_own_databases(self, host: Host) -> None:
        port = host.ports["POSTGRES"]
        url = host.secret("mediagate_database_url").replace("@postgres:5432/", f"@{LOOPBACK}:{port}/")
        async with await psycopg.AsyncConnection.connect(url) as connection:
            row = await (await connection.execute("SELECT current_user, current_setting('is_superuser')")).fetchone()
            assert row == ("mediagate", "off")
            await connection.execute("CREATE TABLE mine (id int)")
            await connection.rollback()
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            await psycopg.AsyncConnection.connect(f"{url.removesuffix('mediagate')}temporal")


class TestTemporal:
    async def test_schema_then_server_with_what_the_gate_needs(self, host: Host) -> None:
        database = {"SQL_HOST": LOOPBACK, "SQL_PORT": str(host.ports["POSTGRES"])}
        for _ in range(2):  # every start runs it
            said = host.run(*host.script("temporal-schema", **database))
            assert "rror" not in said.replace("TranslateError", "")
        entrypoint = host.folder / "entrypoint"
        entrypoint.write_text("#!/bin/sh\nexec temporal-server start\n")
        entrypoint.chmod(0o700)
        own = {f"{name}_PORT": str(host.ports[name]) for name in SERVER_PORTS}
        own |= {"POSTGRES_SEEDS": LOOPBACK, "DB_PORT": str(host.ports["POSTGRES"]), "BIND_ON_IP": LOOPBACK}
        own |= {
            "ENTRYPOINT": str(entrypoint),
            "DYNAMIC_CONFIG_FILE_PATH": str(host.folder / "temporal" / "dynamic.yaml"),
        }
        own |= {"PROMETHEUS_ENDPOINT": "", "NUM_HISTORY_SHARDS": "4"}
        address = f"{LOOPBACK}:{host.ports['FRONTEND_GRPC']}"

        async def serving(started: datetime) -> str | None:
            del started
            return None if await (await Client.connect(address)).service_client.check_health() else "not serving"

        await host.start("temporal", *host.script("temporal", **own), serving)
        await ensure_namespace(address, "mediagate")
        client = await Client.connect(address, namespace="mediagate")
        await temporal.register_search_attributes(client, SEARCH_ATTRIBUTES)


class TestObjectStore:
    async def test_it_takes_our_keys_keeps_versions_and_locks(self, host: Host) -> None:
        (host.folder / "objects").mkdir()
        (host.folder / "versions").mkdir()
        port = host.ports["S3"]
        own = {"VGW_PORT": f"{LOOPBACK}:{port}", "OBJECTS": str(host.folder / "objects")}
        own |= {"VERSIONS": str(host.folder / "versions"), "VGW_CORS_ALLOW_ORIGIN": "https://gate.example.org"}
        health = str(SERVICES["s3"]["environment"]["VGW_HEALTH"])
        ready = http_answers(f"http://{LOOPBACK}:{port}{health}", status=200)
        await host.start("s3", *host.script("s3", **own), ready)
        key, secret = host.secret("mediagate_s3_access_key"), host.secret("mediagate_s3_secret_key")
        store = Minio(f"{LOOPBACK}:{port}", access_key=key, secret_key=secret, secure=False, region="us-east-1")
        store.make_bucket("evidence", object_lock=True)
        assert store.get_bucket_versioning("evidence").status == "Enabled"
        forger = Minio(f"{LOOPBACK}:{port}", access_key=key, secret_key="x" * 40, secure=False, region="us-east-1")
        with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
            forger.list_buckets()
