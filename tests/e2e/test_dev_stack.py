"""The local stack as a user meets it: `mediagate dev --no-apps` as a process, on a state folder of its own."""

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from minio import Minio
from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.service import RPCError

from devstack.assembly import Options
from devstack.discard import discard
from devstack.errors import StackFailed
from devstack.events import Event
from devstack.folders import read_json
from devstack.stack import Stack, running_stack
from devstack.state import StateDir, holder

pytestmark = pytest.mark.timeout(180)
COMMAND = [sys.executable, "-m", "cli.main", "dev", "--no-apps"]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDir]:
    """A fresh state folder; its database is removed afterwards, wherever it stands."""
    yield StateDir.open(tmp_path / "state")
    discard(tmp_path / "state")


def environment(state: StateDir) -> dict[str, str]:
    """Ours, without services of the caller's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDIAGATE_", "TEMPORAL_"))}
    return kept | {"MEDIAGATE_STATE_DIR": str(state.path)}


def run(state: StateDir, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One `mediagate dev …` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(state), capture_output=True, text=True, check=False, timeout=120
    )


class Running:
    """A `mediagate dev --json` in the foreground of its own process."""

    def __init__(self, process: "subprocess.Popen[str]", stdout: io.TextIOBase) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        for line in iter(stdout.readline, ""):
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == "ready" and "s3_url" in self.events[-1]:
                break
        else:
            pytest.fail(f"dev ended before it was ready: {self.events}")
        self.addresses = self.events[-1]

    @property
    def children(self) -> list[psutil.Process]:
        """Every process below."""
        return psutil.Process(self.process.pid).children(recursive=True)


@contextlib.contextmanager
def foreground(state: StateDir) -> Iterator[Running]:
    """`mediagate dev` until the end of the block, unless the block ended it."""
    process = subprocess.Popen([*COMMAND, "--json"], env=environment(state), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        try:
            yield Running(process, process.stdout)  # type: ignore[arg-type]
        finally:
            process.send_signal(signal.SIGTERM)
            process.stdout.close()


def minio_of(addresses: dict[str, Any], state: StateDir) -> Minio:
    """A client of the stack's object store."""
    secrets = read_json(state.secrets_file)
    endpoint = addresses["s3_url"].removeprefix("http://")
    return Minio(endpoint, access_key=secrets["s3_access_key"], secret_key=secrets["s3_secret_key"], secure=False)


async def leave_marks(addresses: dict[str, Any], state: StateDir) -> None:
    """A row, an object and a workflow."""
    async with await psycopg.AsyncConnection.connect(addresses["database_url"]) as connection:
        await connection.execute("CREATE TABLE mark (word text)")
        await connection.execute("INSERT INTO mark VALUES ('kept')")
    store = minio_of(addresses, state)
    store.make_bucket("marks")
    store.put_object("marks", "a/b", io.BytesIO(b"kept"), 4, content_type="text/plain")
    client = await Client.connect(addresses["temporal_address"])
    await client.start_workflow("Mark", id="mark", task_queue="nobody-polls-this")


async def described(client: Client) -> WorkflowExecutionDescription:
    """The workflow, once the server knows its namespace again, which takes it a moment after its database was away."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await client.get_workflow_handle("mark").describe()
            except RPCError as error:
                if "Namespace default is not found" not in error.message:
                    raise
            await asyncio.sleep(0.1)


async def assert_marks(addresses: dict[str, Any], state: StateDir) -> None:
    """They are still there."""
    async with await psycopg.AsyncConnection.connect(addresses["database_url"]) as connection:
        assert await (await connection.execute("SELECT word FROM mark")).fetchall() == [("kept",)]
    response = minio_of(addresses, state).get_object("marks", "a/b")
    with response:
        assert response.data == b"kept"
    client = await Client.connect(addresses["temporal_address"])
    description = await described(client)
    assert (description.workflow_type, description.close_time) == ("Mark", None)


class TestDev:
    def test_a_second_dev_says_that_it_runs_and_where(self, state: StateDir) -> None:
        with foreground(state) as first:
            second = run(state, "--json")
            detached = run(state, "--detach")
        assert (second.returncode, detached.returncode) == (3, 3)
        said = json.loads(second.stdout)
        assert said["error"]["code"] == "already_running"
        assert said["s3_url"] == first.addresses["s3_url"]
        assert str(first.process.pid) in detached.stdout

    def test_detach_returns_when_ready_and_stop_leaves_nothing_behind(self, state: StateDir) -> None:
        started = run(state, "--detach", "--json")
        addresses = json.loads(started.stdout)
        supervisor = holder(state)
        assert supervisor is not None
        processes = [psutil.Process(supervisor.pid), *psutil.Process(supervisor.pid).children(recursive=True)]
        assert read_json(state.stack_file) == addresses
        assert set(addresses["pids"]) == {"postgres", "s3", "mail", "temporal"}

        stopped = run(state, "--stop", "--json")

        assert json.loads(stopped.stdout)["stopped"] is True
        assert psutil.wait_procs(processes, timeout=10)[1] == []
        assert not state.stack_file.exists()
        assert list(state.run.iterdir()) == []
        assert json.loads(run(state, "--stop", "--json").stdout)["stopped"] is False

    def test_a_second_signal_does_not_wait_for_what_is_still_stopping(self, state: StateDir) -> None:
        with foreground(state) as running:
            processes = running.children
            temporal = psutil.Process(running.addresses["pids"]["temporal"])
            temporal.suspend()  # it would be waited for
            running.process.send_signal(signal.SIGTERM)
            while state.stack_file.exists():
                assert running.process.poll() is None
            running.process.send_signal(signal.SIGTERM)
            running.process.wait(10)
        assert psutil.wait_procs(processes, timeout=10)[1] == []

    def test_a_taken_port_is_stepped_over_and_the_new_one_kept(self, state: StateDir) -> None:
        with foreground(state):
            pass
        taken = read_json(state.ports_file)["s3"]
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", taken))
            other.listen()
            with foreground(state) as running:
                moved = [event for event in running.events if event["event"] == "moved" and event["service"] == "s3"]
                assert len(moved) == 1
                assert not running.addresses["s3_url"].endswith(f":{taken}")
        assert running.addresses["s3_url"].endswith(f":{read_json(state.ports_file)['s3']}")

    async def test_kill_9_of_everything_and_a_new_start_lose_nothing(self, state: StateDir) -> None:
        with foreground(state) as first:
            await leave_marks(first.addresses, state)
            everything = [psutil.Process(first.process.pid), *first.children]
            for process in everything:
                # Some end at once with those that were killed before them.
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        with foreground(state) as second:
            await assert_marks(second.addresses, state)
        assert psutil.wait_procs(everything, timeout=10)[1] == []

    async def test_kill_9_of_the_supervisor_ends_its_children_and_loses_nothing(self, state: StateDir) -> None:
        with foreground(state) as first:
            await leave_marks(first.addresses, state)
            children = first.children
            first.process.kill()
        assert psutil.wait_procs(children, timeout=30)[1] == []
        with foreground(state) as second:
            await assert_marks(second.addresses, state)

    def test_a_stale_pid_file_with_a_recycled_pid_does_not_block_the_start(self, state: StateDir) -> None:
        with foreground(state) as first:
            data = Path(psutil.Process(first.addresses["pids"]["postgres"]).cwd())
        # As after a crash: the pid belongs to a process of the same account that is no Postgres.
        owner = data.stat().st_uid if os.geteuid() == 0 else None
        with subprocess.Popen(["sleep", "300"], user=owner) as other:
            (data / "postmaster.pid").write_text(f"{other.pid}\n{data}\n1\n54320\n\n127.0.0.1\n")
            with foreground(state) as second, psycopg.connect(second.addresses["database_url"]) as connection:
                row = connection.execute("SELECT 1").fetchone()
            assert other.poll() is None
            other.kill()
        assert row == (1,)


class TestRunningStack:
    @pytest.fixture
    async def stack(self, state: StateDir) -> AsyncIterator[tuple[Stack, "asyncio.Queue[Event]"]]:
        events: asyncio.Queue[Event] = asyncio.Queue()
        async with running_stack(state.path, Options(apps=False), report=events.put_nowait) as running:
            yield running, events

    @pytest.mark.parametrize("name", ["postgres", "s3", "mail", "temporal"])
    async def test_a_killed_process_is_started_again_and_loses_nothing(
        self, stack: tuple[Stack, "asyncio.Queue[Event]"], name: str
    ) -> None:
        running, events = stack
        addresses = dict(running.addresses)
        await leave_marks(addresses, running.state)
        before = running.pids[name]
        os.kill(before, signal.SIGKILL)

        await heard(events, lambda event: event.kind == "restarted" and event.service == name)

        assert running.pids[name] != before
        await assert_marks(addresses, running.state)

    async def test_attaching_uses_what_runs_and_leaves_it_running(
        self, stack: tuple[Stack, "asyncio.Queue[Event]"]
    ) -> None:
        running, _ = stack
        async with running_stack(running.state.path, attach=True) as second:
            assert second.attached
            assert second.addresses == running.addresses
            assert second.environment == running.environment
        assert all(psutil.pid_exists(pid) for pid in running.pids.values())


class TestServicesOfTheUsers:
    async def test_named_services_are_used_and_not_started(
        self, state: StateDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = StateDir.open(tmp_path / "own")
        async with running_stack(state.path, Options(apps=False)) as theirs:
            for name, value in theirs.environment.items():
                if name.startswith(("MEDIAGATE_S3_", "MEDIAGATE_DATABASE_URL", "TEMPORAL_")):
                    monkeypatch.setenv(name, value)
            async with running_stack(own.path, Options(apps=False)) as ours:
                assert set(ours.pids) == {"mail"}
                for key in ("s3_url", "database_url", "temporal_address"):
                    assert ours.addresses[key] == theirs.addresses[key]

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("MEDIAGATE_S3_URL", "http://127.0.0.1:9"),
            ("MEDIAGATE_DATABASE_URL", "postgresql://postgres@127.0.0.1:9/x"),
            ("TEMPORAL_ADDRESS", "127.0.0.1:9"),
        ],
    )
    async def test_one_that_does_not_answer_is_named(
        self, state: StateDir, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
    ) -> None:
        monkeypatch.setenv(variable, value)
        with pytest.raises(StackFailed, match=variable):
            async with running_stack(state.path, Options(apps=False)):
                pass
        assert holder(state) is None


async def heard(events: "asyncio.Queue[Event]", wanted: Callable[[Event], bool]) -> Event:
    """The first such event."""
    async with asyncio.timeout(60):
        while True:
            event = await events.get()
            if wanted(event):
                return event
