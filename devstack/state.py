"""The state folder of one stack: its layout, its secrets, and the lock that lets one stack at a time use it."""

import base64
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from devstack.errors import AlreadyRunning
from devstack.folders import read_json, write_json
from devstack.processes import create_time


@dataclass(frozen=True, slots=True)
class StateDir:
    """`MEDIAGATE_STATE_DIR`, by default `.mediagate/`. Readable by its owner only."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> "StateDir":
        """Make the folder and its parts if they are missing."""
        state = cls(path.absolute())
        state.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (state.logs, state.run, state.mail, state.objects, state.versions):
            folder.mkdir(mode=0o700, exist_ok=True)
        return state

    @property
    def logs(self) -> Path:
        """`<name>.log` of every process, rotated when the stack starts."""
        return self.path / "logs"

    @property
    def run(self) -> Path:
        """`<name>.json` with pid and creation time of every process."""
        return self.path / "run"

    @property
    def mail(self) -> Path:
        """Messages that the mail sink took, as `.eml` files."""
        return self.path / "mail"

    @property
    def objects(self) -> Path:
        """Buckets of the object store."""
        return self.path / "objects"

    @property
    def versions(self) -> Path:
        """Older versions of objects."""
        return self.path / "object-versions"

    @property
    def stack_file(self) -> Path:
        """Addresses of the running stack; there only while everything is ready."""
        return self.path / "stack.json"

    @property
    def ports_file(self) -> Path:
        """The ports of the last start, asked for again at the next."""
        return self.path / "ports.json"

    @property
    def secrets_file(self) -> Path:
        """Generated secrets, kept as long as the data they open."""
        return self.path / "secrets.json"

    @property
    def environment_file(self) -> Path:
        """`MEDIAGATE_*` and `TEMPORAL_*` as the processes of the last start were given them."""
        return self.path / "environment.json"

    @property
    def lock_file(self) -> Path:
        """Locked by the supervisor as long as it lives; names its pid."""
        return self.path / "lock"

    def log(self, name: str) -> Path:
        """The present log of a process."""
        return self.logs / f"{name}.log"

    def record(self, name: str) -> Path:
        """The record of a process."""
        return self.run / f"{name}.json"


def _webhook_secret() -> str:
    # Standard Webhooks 1.0: base64 of 24 to 64 random bytes behind a fixed prefix.
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(slots=True)
class Secrets:
    """Secrets of one state folder. `api_key` is empty until provisioning made one."""

    postgres_password: str
    s3_access_key: str
    s3_secret_key: str
    vendor_webhook_secret: str
    delivery_secret: str
    evidence_key: str
    api_key: str = ""

    @classmethod
    def load(cls, state: StateDir) -> "Secrets":
        """Read them, and generate and store those that are missing."""
        stored = read_json(state.secrets_file)
        fresh = {
            "postgres_password": secrets.token_hex(24),
            "s3_access_key": "mediagate-" + secrets.token_hex(4),
            "s3_secret_key": secrets.token_hex(24),
            "vendor_webhook_secret": _webhook_secret(),
            "delivery_secret": secrets.token_hex(32),
            "evidence_key": f"local:{base64.b64encode(secrets.token_bytes(32)).decode()}",
            "api_key": "",
        }
        known = {field.name for field in fields(cls)}
        found = cls(**(fresh | {name: value for name, value in stored.items() if name in known}))
        if asdict(found) != stored:
            found.save(state)
        return found

    def save(self, state: StateDir) -> None:
        """Store them; readable by the owner only."""
        write_json(state.secrets_file, asdict(self))


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that runs the stack of a state folder, and its `stack.json` (empty: still starting)."""

    pid: int
    create_time: float
    addresses: dict[str, Any]


def holder(state: StateDir) -> Holder | None:
    """Who runs a stack here now; None if nobody does. The lock decides, so a killed supervisor never counts."""
    try:
        with state.lock_file.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        content = read_json(state.lock_file)
        pid = int(content.get("pid", 0))
        return Holder(pid, float(content.get("create_time", 0)), read_json(state.stack_file))
    return None


@contextmanager
def held(state: StateDir) -> Iterator[None]:
    """Be the one stack on this state folder.

    Raises:
        AlreadyRunning: another process is.
    """
    descriptor = os.open(state.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, state)
        state.stack_file.unlink(missing_ok=True)
        content = f'{{"pid": {os.getpid()}, "create_time": {create_time(os.getpid())!r}}}\n'.encode()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, state: StateDir) -> None:
    # `holder` takes a shared lock for a moment: a single refusal is no proof.
    for _ in range(20):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02)
        else:
            return
    content = read_json(state.lock_file)
    pid = int(content.get("pid", 0))
    raise AlreadyRunning(
        f"A stack already runs on {state.path} (pid {pid}).", pid=pid, addresses=read_json(state.stack_file)
    )
