"""`python -m api` and its signals: a process of its own, with services that do not answer."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any

import httpx
import pytest

from devstack.environment import OURS
from devstack.folders import ROOT

PATIENCE = 20
"""Seconds after which what does not happen fails the test."""
DELAY = 3.0


@dataclass(frozen=True)
class Served:
    """A running API."""

    process: "subprocess.Popen[str]"
    http: httpx.Client

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return self.http.base_url.host, self.http.base_url.port or 0

    def until_refused(self) -> None:
        """Return when it listens no more."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                socket.create_connection(self.address, 1).close()
            except ConnectionRefusedError:
                return
            time.sleep(0.02)
        pytest.fail("it still listens")

    def end(self) -> int:
        """The exit code."""
        return self.process.wait(PATIENCE)


class Webhook:
    """A request that is under way: the application waits for its body, of which a caller who expects it is told."""

    def __init__(self, served: Served) -> None:
        self._socket = socket.create_connection(served.address, PATIENCE)
        lines = ("POST /api/v1/webhooks/moderation/simulated HTTP/1.1", "Host: gate.test", "Content-Length: 2")
        self._socket.sendall("\r\n".join([*lines, "Expect: 100-continue", "", ""]).encode())
        assert self._socket.recv(1000).startswith(b"HTTP/1.1 100 ")

    def answer(self, body: bytes = b"") -> tuple[HTTPResponse, dict[str, Any]]:
        """Send this, and read the answer with its problem document."""
        with self._socket, HTTPResponse(self._socket) as response:
            self._socket.sendall(body)
            response.begin()
            return response, json.loads(response.read())


@contextmanager
def served(**variables: str) -> Iterator[Served]:
    """An API with these settings."""
    with ExitStack() as stack:
        nobody = stack.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))  # does not listen
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        away = f"127.0.0.1:{nobody.getsockname()[1]}"
        own = {
            "MEDIAGATE_API_PORT": str(port),
            "MEDIAGATE_DATABASE_URL": f"postgresql://nobody@{away}/none",
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
        yield Served(process, http)


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
    def test_it_says_that_it_drains_serves_on_and_then_ends_with_zero(self) -> None:
        with served(MEDIAGATE_DRAIN_DELAY=str(DELAY)) as api:
            assert "connection" not in api.http.get("/health/live").headers
            began = time.monotonic()
            api.process.send_signal(signal.SIGTERM)
            answer = _until_draining(api)
            assert answer.status_code == 503
            alive = api.http.get("/health/live")
            assert (alive.status_code, alive.headers["connection"]) == (200, "close")
            assert time.monotonic() - began < DELAY
            assert api.end() == 0
            assert time.monotonic() - began >= DELAY
            api.until_refused()

    def test_a_request_that_is_under_way_gets_its_answer(self) -> None:
        with served() as api:
            webhook = Webhook(api)
            api.process.send_signal(signal.SIGTERM)
            api.until_refused()
            answer, problem = webhook.answer(b"{}")
            assert (answer.status, problem["code"]) == (401, "bad_signature")
            assert answer.headers["connection"] == "close"
            assert api.end() == 0

    def test_what_lasts_longer_than_the_grace_is_asked_to_come_again(self) -> None:
        with served(MEDIAGATE_SHUTDOWN_GRACE="0") as api:
            webhook = Webhook(api)
            api.process.send_signal(signal.SIGTERM)
            answer, problem = webhook.answer()
            assert (answer.status, problem["code"]) == (503, "unavailable")
            assert answer.headers["retry-after"] == "1"
            assert api.end() == 0


class TestSecondSignal:
    def test_it_quits_at_once(self) -> None:
        with served(MEDIAGATE_DRAIN_DELAY="60") as api:
            api.process.send_signal(signal.SIGINT)
            _until_draining(api)
            api.process.send_signal(signal.SIGTERM)
            assert api.end() == 128 + signal.SIGTERM


def _until_draining(api: Served) -> httpx.Response:
    """The answer of `ready` once it says so."""
    while (answer := api.http.get("/health/ready")).json()["status"] != "draining":
        assert api.process.poll() is None
    return answer
