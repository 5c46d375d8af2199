"""The gate as a deployment runs it: each process by itself, on the stores of a `mediagate dev --no-apps`."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devstack.environment import settings_from, whole_environment
from devstack.folders import ROOT
from mediagate.settings import Settings
from tests.chaos.killable import KillableStack, until

START_SECONDS = 60


class SeparateProcesses(KillableStack):
    """Stores by `dev --no-apps`, made ready by `mediagate setup`; what is started here writes logs of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, {}, "--no-apps")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {}
        self._own: dict[str, str] = {}
        self._key = ""
        self._url = ""

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are given."""
        return super().environment | self._own

    @property
    def settings(self) -> Settings:
        """As its processes read them."""
        return settings_from(self.environment)

    @property
    def addresses(self) -> dict[str, Any]:
        """The stores', and those of the gate once it is `open`."""
        return super().addresses | {"api_url": self._url, "library": "photos", "api_key": self._key}

    async def open(self, url: str, variables: Mapping[str, str]) -> None:
        """Prepare the stores for a gate that is reached at this address."""
        self._url, self._own = url, {"MEDIAGATE_PUBLIC_URL": url, **variables}
        self._key = (await self.command("setup", "photos"))["api_key"]

    async def command(self, *arguments: str) -> Any:
        """The JSON document of a `mediagate` command that must not fail."""
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "cli.main", *arguments, "--json"],
            env=whole_environment(self.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def run(self, name: str, *module: str, **variables: str) -> None:
        """Start `python -m <module…>` under this name."""
        self._commands[name] = ((sys.executable, "-m", *module), variables)
        self.start_again(name)

    def start_again(self, name: str) -> None:
        """Start it as it was started first."""
        command, variables = self._commands[name]
        environment = whole_environment(self.environment | variables)
        with self.state.log(name).open("ab") as output:
            self.processes[name] = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    async def end(self, name: str) -> int:
        """SIGTERM, and its exit code."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(process.wait, START_SECONDS)

    async def says(self, name: str, event: str, times: int = 1) -> None:
        """Return when the process has logged an event so many times, over all its lives."""

        def said() -> bool:
            return [line["event"] for line in self.log(name)].count(event) >= times

        try:
            await until(said, seconds=START_SECONDS, what=f"{name} says {event}")
        except AssertionError as error:
            error.add_note(f"It ended with {self.processes[name].poll()}, and said last: {self.log(name)[-5:]}")
            raise

    async def stop(self) -> None:
        """Everything, the stores last."""
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            await asyncio.to_thread(process.wait)
        await super().stop()
