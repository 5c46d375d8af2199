"""How processes end."""

import subprocess
import sys

STUCK = """
import asyncio, threading
from mediagate.processes import ended_if_stuck

async def main():
    async with ended_if_stuck(0.2):
        await asyncio.sleep(0.5)
        print("moved on", flush=True)
        {rest}

def wait_for_ever():
    threading.Event().wait()

asyncio.run(main())
"""


def run(rest: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STUCK.format(rest=rest)], capture_output=True, text=True, check=False, timeout=30
    )


class TestEndedIfStuck:
    def test_a_loop_that_stands_still_ends_the_process_and_says_where(self) -> None:
        done = run("wait_for_ever()")
        assert (done.returncode, done.stdout) == (1, "moved on\n")
        assert "in wait_for_ever" in done.stderr

    def test_one_that_moves_does_not(self) -> None:
        done = run("")
        assert (done.returncode, done.stdout, done.stderr) == (0, "moved on\n", "")
