"""`mediagate deploy` on real processes of the gate: hooks look, migrate and restart the API."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mediagate.settings import Settings

ROOT = Path(__file__).parents[2]
HOOK = """\
# hook.py restart NAME MODULE: end what runs under this name, and start it with the release's environment.
# hook.py ready: wait until the API is ready, or has ended.
import os, pathlib, subprocess, sys, time, urllib.request
import psutil

def alive(name):
    try:
        process = psutil.Process(int(pathlib.Path(f"{name}.pid").read_text()))
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    return process if process.status() != psutil.STATUS_ZOMBIE else None

def restart(name, module):
    if running := alive(name):
        running.terminate()
        while alive(name):
            time.sleep(0.02)
    release = os.environ["RELEASE"]
    own = dict(line.split("=", 1) for line in pathlib.Path(f"{release}.env").read_text().splitlines())
    with open(f"{name}.log", "wb") as log:
        started = subprocess.Popen([sys.executable, "-m", module], env={**os.environ, **own}, stdout=log, stderr=log)
    pathlib.Path(f"{name}.pid").write_text(str(started.pid))
    pathlib.Path(f"{name}.release").write_text(release)

def ready():
    while alive("api"):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{os.environ['MEDIAGATE_API_PORT']}/health/ready", timeout=5)
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("the API has ended")

{"restart": restart, "ready": ready}[sys.argv[1]](*sys.argv[2:])
"""
PLAN = """
about = "The gate on this machine"
current = ["sh", "-c", "cat api.release 2>/dev/null || true"]

[[steps]]
name = "preflight"
run = [["sh", "-c", "set -a; . ./$RELEASE.env; exec $PYTHON -m cli.main preflight"]]

[[steps]]
name = "migrate"
changes = true
run = [["sh", "-c", "exec $PYTHON -m cli.main setup"]]

[[steps]]
name = "api"
run = [["sh", "-c", "exec $PYTHON hook.py restart api api"]]
undo = [["sh", "-c", "exec $PYTHON hook.py restart api api"]]

[[steps]]
name = "health"
after_undo = true
timeout = 60
run = [["sh", "-c", "exec $PYTHON hook.py ready"]]
"""


class Machine:
    """Where releases run; each release is a file of further variables."""

    def __init__(self, folder: Path, environment: dict[str, str], port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self.environment = {
            **environment, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "MEDIAGATE_API_PORT": str(port),
            "MEDIAGATE_SHUTDOWN_GRACE": "2", "MEDIAGATE_STATE_DIR": str(folder / "state"),
        }  # fmt: skip
        (folder / "hook.py").write_text(HOOK)
        (folder / "deploy.toml").write_text(PLAN)

    def release(self, name: str, **variables: str) -> None:
        """Make a release."""
        (self.folder / f"{name}.env").write_text("".join(f"{key}={value}\n" for key, value in variables.items()))

    def deploy(self, release: str) -> tuple[int, dict[str, Any]]:
        """Exit code and report."""
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "deploy", "deploy.toml", "--release", release, "--yes", "--json"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout)

    def runs(self) -> str:
        """The release whose API is alive."""
        assert psutil.Process(int((self.folder / "api.pid").read_text())).is_running()
        return (self.folder / "api.release").read_text()

    def stop(self) -> None:
        """End everything."""
        for file in self.folder.glob("*.pid"):
            with suppress(psutil.NoSuchProcess):
                psutil.Process(int(file.read_text())).kill()


@pytest.fixture(scope="module")
def machine(
    services: dict[str, str], stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """One on the session's services."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDIAGATE_", "TEMPORAL_"))}
    own = {
        **kept,
        **services,
        "MEDIAGATE_DATABASE_URL": stack_settings.database_url.get_secret_value(),
        "MEDIAGATE_S3_BUCKET": stack_settings.s3_bucket,
    }
    made = Machine(tmp_path_factory.mktemp("machine"), own, port)
    made.release("1.0")
    made.release("misconfigured", MEDIAGATE_S3_PRESIGN="carrier-pigeon")
    made.release("unwell", MEDIAGATE_API_HOST="203.0.113.1")  # of no machine: the API cannot listen
    try:
        yield made
    finally:
        made.stop()


def test_a_release_a_refusal_and_a_way_back(machine: Machine) -> None:
    code, report = machine.deploy("1.0")
    assert (code, report["outcome"], report["previous"]) == (0, "deployed", "")
    assert machine.runs() == "1.0"

    code, report = machine.deploy("misconfigured")
    assert (code, report["outcome"]) == (1, "refused")
    assert "MEDIAGATE_S3_PRESIGN" in report["steps"][0]["output"]
    assert machine.runs() == "1.0"

    code, report = machine.deploy("unwell")
    assert (code, report["outcome"], report["previous"]) == (3, "rolled_back", "1.0")
    assert [step["name"] for step in report["steps"] if step["state"] == "undone"] == ["api"]
    assert machine.runs() == "1.0"
    assert httpx.get(f"{machine.url}/health/ready", trust_env=False).status_code == 200
