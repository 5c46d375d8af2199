"""`python -m api` and its signals: a process of its own, with services that do not answer."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Thread

import httpx
import pytest

from devstack.environment import OURS
from devstack.folders import ROOT

PATIENCE = 20
"""Seconds after which what does not happen fails the test."""
DELAY = 1.0


@dataclass(frozen=True)
class Served:
    """A running API, and the database that it tries to reach: it accepts connections and says nothing."""

    process: "subprocess.Popen[str]"
    http: httpx.Client
    database: socket.socket

    def until_refused(self) -> None:
        """Return when it listens no more."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                socket.create_connection((self.http.base_url.host, self.http.base_url.port or 0), 1).close()
            except ConnectionRefusedError:
                return
            time.sleep(0.02)
        pytest.fail("it still listens")

    def end(self) -> int:
        """The exit code."""
        return self.process.wait(PATIENCE)


class Request(Thread):
    """A request that is under way until the database says something."""

    def __init__(self, served: Served) -> None:
        super().__init__(daemon=True)
        self._served = served
        self.answer: httpx.Response | httpx.TransportError | None = None
        self.start()
        self.connection, _ = served.database.accept()

    def run(self) -> None:
        """Ask for what needs the database."""
        try:
            self.answer = self._served.http.get("/health/ready")
        except httpx.TransportError as error:
            self.answer = error

    def end(self, *, hang_up: bool = True) -> httpx.Response | httpx.TransportError | None:
        """What became of it. `hang_up`: after the database has."""
        if hang_up:
            self.connection.close()
        self.join(PATIENCE)
        self.connection.close()
        return self.answer


@contextmanager
def served(**variables: str) -> Iterator[Served]:
    """An API with these settings."""
    with ExitStack() as stack:
        database = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        database.settimeout(PATIENCE)
        nobody = stack.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))  # does not listen
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        away = f"127.0.0.1:{nobody.getsockname()[1]}"
        own = {
            "MEDIAGATE_API_PORT": str(port),
            "MEDIAGATE_DATABASE_URL": f"postgresql://nobody@127.0.0.1:{database.getsockname()[1]}/none",
            "MEDIAGATE_S3_URL": f"http://{away}",
            "MEDIAGATE_VENDOR_URL": f"http://{away}",
            "MEDIAGATE_DELIVERY_SECRETS": "s" * 40,
            "MEDIAGATE_VENDOR_WEBHOOK_SECRETS": "whsec_c2VjcmV0",
            "TEMPORAL_ADDRESS": away,
            "TEMPORAL_CONFIG_FILE": os.devnull,
        }
        rest = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        process = subprocess.Popen(
            [sys.executable, "-m", "api"], cwd=ROOT, env=rest | own | variables, stderr=subprocess.DEVNULL, text=True
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        http = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False))
        _until_alive(process, http)
        yield Served(process, http, database)


def _until_alive(process: "subprocess.Popen[str]", http: httpx.Client) -> None:
    deadline = time.monotonic() + 3 * PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            http.get("/health/live").raise_for_status()
        except httpx.ConnectError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the API did not start")


class TestFirstSignal:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_says_that_it_drains_serves_on_and_then_ends_with_zero(self, number: signal.Signals) -> None:
        with served(MEDIAGATE_DRAIN_DELAY=str(DELAY)) as api:
            assert "connection" not in api.http.get("/health/live").headers
            api.process.send_signal(number)
            began = time.monotonic()
            while (answer := api.http.get("/health/ready")).json()["status"] != "draining":
                assert time.monotonic() - began < DELAY
            assert answer.status_code == 503
            alive = api.http.get("/health/live")
            assert (alive.status_code, alive.headers["connection"]) == (200, "close")
            assert api.end() == 0
            assert DELAY <= time.monotonic() - began < DELAY + 5
            api.until_refused()

    def test_a_request_that_is_under_way_gets_its_answer(self) -> None:
        with served() as api:
            request = Request(api)
            api.process.send_signal(signal.SIGTERM)
            api.until_refused()
            answer = request.end()
            assert isinstance(answer, httpx.Response)
            assert (answer.status_code, answer.headers["connection"]) == (503, "close")
            assert "postgres" in answer.json()["checks"]
            assert api.end() == 0

    def test_what_lasts_longer_than_the_grace_is_asked_to_come_again(self) -> None:
        with served(MEDIAGATE_SHUTDOWN_GRACE="0") as api:
            request = Request(api)
            api.process.send_signal(signal.SIGTERM)
            api.until_refused()
            answer = request.end(hang_up=False)
            assert isinstance(answer, httpx.Response)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.headers["retry-after"]
            assert api.end() == 0


class TestSecondSignal:
    def test_it_quits_at_once(self) -> None:
        with served(MEDIAGATE_DRAIN_DELAY="60") as api:
            api.process.send_signal(signal.SIGTERM)
            while api.http.get("/health/ready").json()["status"] != "draining":
                assert api.process.poll() is None
            api.process.send_signal(signal.SIGTERM)
            assert api.end() == 128 + signal.SIGTERM
