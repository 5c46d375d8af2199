"""The Temporal server of the stack and its Web UI: schema, configuration, namespace, readiness."""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    ListWorkflowExecutionsRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from devstack.errors import StackFailed
from devstack.folders import ROOT
from devstack.ports import LOOPBACK
from devstack.postgres import Postgres
from devstack.probes import http_answers
from devstack.processes import Command
from devstack.state import StateDir
from devstack.supervisor import Probe, Service

SCHEMAS = {"temporal": "postgresql/v12/temporal", "temporal_visibility": "postgresql/v12/visibility"}
RETENTION = timedelta(days=7)

SERVER_PORTS = {
    "DEVSTACK_FRONTEND_PORT": "temporal",
    "DEVSTACK_FRONTEND_MEMBERSHIP_PORT": "temporal-frontend-membership",
    "DEVSTACK_HTTP_PORT": "temporal-http",
    "DEVSTACK_HISTORY_PORT": "temporal-history",
    "DEVSTACK_HISTORY_MEMBERSHIP_PORT": "temporal-history-membership",
    "DEVSTACK_MATCHING_PORT": "temporal-matching",
    "DEVSTACK_MATCHING_MEMBERSHIP_PORT": "temporal-matching-membership",
    "DEVSTACK_WORKER_PORT": "temporal-worker",
    "DEVSTACK_WORKER_MEMBERSHIP_PORT": "temporal-worker-membership",
    "DEVSTACK_METRICS_PORT": "temporal-metrics",
}


async def update_schemas(tools: Path, postgres: Postgres, log: Path, environment: Mapping[str, str]) -> None:
    """Bring both Temporal databases to the schema that this server version wants.

    A comment on each database names the tools that last did it, so that a start with the same tools skips it.
    """
    await postgres.create_databases(SCHEMAS)
    done_by = f"schema by mediagate tools {tools.name}"
    async with await psycopg.AsyncConnection.connect(postgres.url("postgres")) as connection:
        query = "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database"
        comments: dict[str, str | None] = dict(await (await connection.execute(query)).fetchall())
    stale = [database for database in SCHEMAS if comments[database] != done_by]
    await asyncio.gather(*(_update_schema(tools, postgres, database, log, environment) for database in stale))
    async with await psycopg.AsyncConnection.connect(postgres.url("postgres")) as connection:
        for database in stale:
            statement = psycopg.sql.SQL("COMMENT ON DATABASE {} IS {}")
            await connection.execute(statement.format(psycopg.sql.Identifier(database), done_by))


async def _update_schema(
    tools: Path, postgres: Postgres, database: str, log: Path, environment: Mapping[str, str]
) -> None:
    async with await psycopg.AsyncConnection.connect(postgres.url(database)) as connection:
        cursor = await connection.execute("SELECT to_regclass('schema_version')")
        begun = (await cursor.fetchone() or (None,))[0] is not None
    commands = [["update-schema", "--schema-name", SCHEMAS[database]]]
    if not begun:
        commands.insert(0, ["setup-schema", "-v", "0.0"])
    login = {
        "SQL_PLUGIN": "postgres12",
        "SQL_HOST": LOOPBACK,
        "SQL_PORT": str(postgres.port),
        "SQL_USER": "postgres",
        "SQL_PASSWORD": postgres.password,
    }
    for command in commands:
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                str(tools / "temporal-sql-tool"), "--db", database, *command,
                env={**environment, **login}, stdout=output, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            code = await process.wait()
        if code:
            raise StackFailed(f"Updating the schema of the database {database} failed: see {log}.")


def server(
    tools: Path,
    state: StateDir,
    postgres: Postgres,
    ports: Mapping[str, int],
    *,
    environment: Mapping[str, str],
    time_skipping: bool = False,
) -> Service:
    """`time_skipping`: let test clients skip the waits of workflows."""
    dynamic: dict[str, object] = {
        "system.forceSearchAttributesCacheRefreshOnRead": True,
        # Lanes are priorities, and libraries take turns inside a lane.
        "matching.useNewMatcher": True,
        "matching.enableFairness": True,
        # With several partitions both hold for each of them only, and a queue of one machine needs no more.
        "matching.numTaskqueueReadPartitions": 1,
        "matching.numTaskqueueWritePartitions": 1,
        # How soon it shows that a version of the workers is drained; by default minutes, for visibility that lags.
        "matching.wv.VersionDrainageStatusVisibilityGracePeriod": "2s",
        "matching.wv.VersionDrainageStatusRefreshInterval": "2s",
    }
    if time_skipping:
        dynamic["frontend.WorkflowTimeSkippingEnabled"] = True
    dynamic_file = state.path / "temporal-dynamic.yaml"
    # JSON is YAML.
    dynamic_file.write_text(json.dumps({key: [{"value": value}] for key, value in dynamic.items()}, indent=2) + "\n")
    variables = {variable: str(ports[name]) for variable, name in SERVER_PORTS.items()} | {
        "DEVSTACK_POSTGRES_ADDRESS": f"{LOOPBACK}:{postgres.port}",
        "DEVSTACK_POSTGRES_PASSWORD": postgres.password,
        "DEVSTACK_DYNAMIC_CONFIG": str(dynamic_file),
    }
    config = str(ROOT / "temporal-dev.yaml")
    argv = (str(tools / "temporal-server"), "--config-file", config, "--allow-no-auth", "start")
    # Collecting garbage less often saves a tenth of the server's CPU time for some 100 MB of memory.
    variables["GOGC"] = "400"
    return Service(
        "temporal",
        Command(argv, env={**environment, **variables}, cwd=state.path),
        ready=_serving(f"{LOOPBACK}:{ports['temporal']}"),
        prepare=lambda: _forget_members(postgres),
        stop_seconds=15,
    )


async def _forget_members(postgres: Postgres) -> None:
    # The rows of a killed server look alive for 20 s, in which the new one would try to join them. There is one node.
    async with await psycopg.AsyncConnection.connect(postgres.url("temporal")) as connection:
        await connection.execute("TRUNCATE cluster_membership")


def _serving(address: str) -> Probe:
    async def probe(started: datetime) -> str | None:
        del started
        client = await Client.connect(address)
        return None if await client.service_client.check_health() else "not serving"

    return probe


async def ensure_namespace(address: str, namespace: str) -> None:
    """Register the namespace if it is missing, and return when it can be used."""
    client = await Client.connect(address, namespace=namespace)
    request = RegisterNamespaceRequest(
        namespace=namespace,
        workflow_execution_retention_period=Duration(seconds=int(RETENTION.total_seconds())),
    )
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
    # The server's parts learn of a new namespace some seconds later.
    async with asyncio.timeout(30):
        while True:
            try:
                await client.workflow_service.list_workflow_executions(
                    ListWorkflowExecutionsRequest(namespace=namespace, page_size=1)
                )
                return
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
            await asyncio.sleep(0.1)


def polled(environment: Mapping[str, str], task_queue: str) -> Probe:
    """Ready when a worker started since asks this task queue for workflow tasks.

    `environment`: `TEMPORAL_*` of the app's processes; this may be a service elsewhere, with TLS and a key.
    """

    async def probe(started: datetime) -> str | None:
        client = await Client.connect(**ClientConfig.load_client_connect_config(override_env_vars=environment))
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=task_queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            )
        )
        asked = (poller.last_access_time.ToDatetime(tzinfo=started.tzinfo) for poller in answer.pollers)
        return None if any(moment >= started for moment in asked) else f"nobody asks {task_queue} for work yet"

    return probe


def web_ui(
    program: Path,
    state: StateDir,
    ports: Mapping[str, int],
    *,
    address: str,
    namespace: str,
    environment: Mapping[str, str],
) -> Service:
    """The Web UI, for the Temporal server at `address`."""
    url = f"http://{LOOPBACK}:{ports['temporal-ui']}"
    folder = state.path / "temporal-ui" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "host": LOOPBACK,
        "port": ports["temporal-ui"],
        "temporalGrpcAddress": address,
        "enableUi": True,
        "disableNewsFetch": True,
        "defaultNamespace": namespace,
        "cors": {"allowOrigins": [url]},
    }
    (folder / "dev.yaml").write_text(json.dumps(config, indent=2) + "\n")
    argv = (str(program), "--root", str(folder.parent), "--config", "config", "--env", "dev", "start")
    return Service("temporal-ui", Command(argv, env=environment, cwd=state.path), ready=http_answers(url + "/healthz"))
