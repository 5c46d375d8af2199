"""The program itself: which commands there are, and what is said where one cannot run."""

import subprocess
import sys

import pytest

WITHOUT_STACK = (
    "import sys; sys.modules['aiosmtpd'] = None; sys.argv[0] = 'mediagate'; from cli.main import main; main()"
)


@pytest.mark.parametrize("command", ["dev", "demo", "doctor"])
def test_without_the_local_stack_its_commands_say_so_in_one_line(command: str) -> None:
    """As in a production install, which leaves the packages of the stack out."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_STACK, command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"`mediagate {command}` needs the local stack" in done.stderr
    assert "Traceback" not in done.stderr
