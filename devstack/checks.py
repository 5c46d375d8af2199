"""What `mediagate doctor` looks at: can the stack be built and started here, and is the running one well."""

import asyncio
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from devstack import environment as env
from devstack.errors import StackFailed
from devstack.folders import cache_dir, read_json
from devstack.object_store import has_attributes
from devstack.ports import USUAL, bindable, listening
from devstack.postgres import find_install, orphaned_databases, unprivileged_account
from devstack.probes import http_answers, postgres_answers
from devstack.state import StateDir, holder
from devstack.supervisor import Probe
from devstack.tools import STACK, find_go, missing, tools_dir

GIB = 1024**3
ENOUGH_DISK = 5 * GIB
LEAST_DISK = 1 * GIB


@dataclass(frozen=True, slots=True)
class Check:
    """One row: what was looked at, how it is, and what to do about it (empty if nothing)."""

    name: str
    result: Literal["ok", "warn", "fail"]
    detail: str
    advice: str = ""


async def all_checks(state: StateDir) -> list[Check]:
    """Every check. Only the running stack's are done over the network, and only on its own addresses."""
    rows = [*_machine(state), *_programs(), *_orphans()]
    running = holder(state)
    if running is None:
        rows.append(Check("stack", "ok", f"none runs on {state.path}", "`mediagate dev` starts one."))
        return [*rows, *_ports(state)]
    if not running.addresses:
        advice = f"Wait, or look into {state.logs}."
        return [*rows, Check("stack", "warn", f"still starting (pid {running.pid})", advice)]
    rows.append(Check("stack", "ok", f"runs on {state.path} (pid {running.pid})"))
    return [*rows, *await _running(state, running.addresses)]


def _machine(state: StateDir) -> Iterator[Check]:
    yield Check("python", "ok", f"{platform.python_version()} at {sys.executable}")
    for name, folder in (("state folder", state.path), ("cache folder", _cache())):
        if folder is None or not os.access(folder, os.W_OK):
            yield Check(name, "fail", f"{folder or 'none'} cannot be written", "Change its owner, or name another one.")
            continue
        free = shutil.disk_usage(folder).free
        result: Literal["ok", "warn", "fail"] = (
            "ok" if free >= ENOUGH_DISK else "warn" if free >= LEAST_DISK else "fail"
        )
        advice = "" if result == "ok" else "Free some disk space."
        yield Check(name, result, f"{folder}, {free / GIB:.1f} GiB free", advice)
    if has_attributes(state.objects):
        yield Check("extended attributes", "ok", "the object store keeps its metadata in them")
    else:
        yield Check("extended attributes", "ok", "not on this file system; a folder of metadata files is used")


def _cache() -> Path | None:
    try:
        return cache_dir()
    except StackFailed:
        return None


def _programs() -> Iterator[Check]:
    try:
        install = find_install()
        unprivileged_account()
        yield Check("postgres", "ok", f"{install.version} in {install.bin}")
    except StackFailed as error:
        yield Check("postgres", "fail", error.message, "Run `make` again, or `uv sync`.")
    try:
        go = find_go()
        absent = missing(tools_dir(go), STACK.packages)
    except StackFailed as error:
        yield Check("tools", "fail", error.message, "Run `make` again, or `uv sync`.")
        return
    yield Check("go", "ok", f"{go.version} at {go.path}")
    if absent:
        advice = "The first `mediagate dev` builds them, or `make tools`: about 4 minutes, once."
        yield Check("tools", "warn", f"not built yet: {', '.join(absent)}", advice)
    else:
        yield Check("tools", "ok", f"{', '.join(STACK.packages)} in {tools_dir(go)}")


def _orphans() -> Iterator[Check]:
    for folder in orphaned_databases():
        yield Check("database", "warn", f"{folder} belongs to a state folder that is gone", f"rm -rf {folder}")


def _ports(state: StateDir) -> Iterator[Check]:
    wanted = {name: port for name, port in (USUAL | read_json(state.ports_file)).items() if name in USUAL}
    taken = [f"{name} {port}" for name, port in wanted.items() if listening(port) or not bindable(port)]
    if taken:
        yield Check("ports", "warn", f"in use by others: {', '.join(taken)}", "Nothing: the next free ones are taken.")
    else:
        yield Check("ports", "ok", "all usual ones are free")


async def _running(state: StateDir, addresses: Mapping[str, Any]) -> list[Check]:
    app = {name: str(value) for name, value in read_json(state.environment_file).items()}
    probes: dict[str, Probe] = {"postgres": postgres_answers(str(addresses["database_url"]))}
    probes["s3"] = http_answers(str(addresses["s3_url"]))
    probes["temporal"] = _temporal_answers(app)
    if addresses.get("mail_url"):
        probes["mail"] = http_answers(f"{addresses['mail_url']}/messages", status=200)
    if addresses.get("api_url"):
        port = app.get("MEDIAGATE_API_PORT") or str(urlsplit(str(addresses["api_url"])).port)
        probes["api"] = http_answers(f"http://127.0.0.1:{port}/health/ready", status=200)
        probes["temporal-ui"] = http_answers(f"{addresses['temporal_ui_url']}/healthz", status=200)
    return await asyncio.gather(*(_health(state, name, probe) for name, probe in probes.items()))


def _temporal_answers(app: Mapping[str, str]) -> Probe:
    async def probe(started: datetime) -> str | None:
        del started
        from temporalio.client import Client
        from temporalio.envconfig import ClientConfig

        with env.applied(app):
            config = ClientConfig.load_client_connect_config()
        client = await Client.connect(**config)
        return None if await client.service_client.check_health() else "not serving"

    return probe


async def _health(state: StateDir, name: str, probe: Probe) -> Check:
    try:
        async with asyncio.timeout(10):
            trouble = await probe(datetime.now(UTC))
    except Exception as error:
        trouble = f"{type(error).__name__}: {error}".partition("\n")[0]
    if trouble is None:
        return Check(f"running {name}", "ok", "answers")
    return Check(f"running {name}", "fail", trouble, f"Look into {state.log(name)}.")
