"""A real S3 store for the contract tests: versitygw from PATH on a free loopback port."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from pydantic import SecretStr

from mediagate.settings import Settings


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder: Path = tmp_path_factory.mktemp("s3")
    (folder / "data" / "contracts").mkdir(parents=True)
    (folder / "versions").mkdir()
    settings = Settings(
        s3_url=f"http://127.0.0.1:{_free_port()}",
        s3_access_key=SecretStr("contracts"),
        s3_secret_key=SecretStr("contracts-secret"),
        s3_bucket="contracts",
    )
    command = [shutil.which("versitygw") or "versitygw", "--port", settings.s3_url.removeprefix("http://")]
    command += ["--access", "contracts", "--secret", "contracts-secret", "--quiet"]
    command += ["posix", "--versioning-dir", str(folder / "versions"), str(folder / "data")]
    with subprocess.Popen(command, env={**os.environ, "VGW_KEEP_ALIVE": "true"}, stdout=subprocess.DEVNULL) as server:
        _await_answer(settings.s3_url, server)
        yield settings
        server.terminate()


def _await_answer(url: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    with urllib3.PoolManager(retries=False) as http:
        while time.monotonic() < deadline and server.poll() is None:
            try:
                http.request("GET", url)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.02)
            else:
                return
    raise RuntimeError("versitygw did not start")
