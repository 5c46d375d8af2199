"""The S3 server of the stack: versitygw over a folder."""

import os
from collections.abc import Mapping
from pathlib import Path

from devstack.ports import LOOPBACK
from devstack.probes import tcp_open
from devstack.processes import Command
from devstack.state import Secrets, StateDir
from devstack.supervisor import Service


def has_attributes(folder: Path) -> bool:
    """True if files here take extended attributes, in which versitygw keeps its metadata."""
    probe = folder / ".attributes"
    if not hasattr(os, "setxattr"):
        return False
    try:
        probe.touch(mode=0o600)
        os.setxattr(probe, "user.mediagate", b"1")
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


def object_store(
    program: Path, state: StateDir, secrets: Secrets, port: int, *, origin: str, environment: Mapping[str, str]
) -> Service:
    """`origin`: the web origin whose pages may send files straight to the store."""
    argv = [str(program), "--port", f"{LOOPBACK}:{port}", "--cors-allow-origin", origin, "--quiet", "posix"]
    argv += ["--versioning-dir", str(state.versions)]
    sidecar = state.path / "object-attributes"
    # A store keeps the way it began: a folder that has a sidecar goes on with it.
    if sidecar.exists() or not has_attributes(state.objects):
        sidecar.mkdir(mode=0o700, exist_ok=True)
        argv += ["--sidecar", str(sidecar)]
    keys = {"ROOT_ACCESS_KEY_ID": secrets.s3_access_key, "ROOT_SECRET_ACCESS_KEY": secrets.s3_secret_key}
    command = Command(
        (*argv, str(state.objects)), env={**environment, **keys, "VGW_KEEP_ALIVE": "true"}, cwd=state.objects
    )
    return Service("s3", command, ready=tcp_open(port))
