"""Completion in the shell: of commands without importing them, of options' values, and how it is set up."""

import os
import subprocess
import sys

import pytest


def complete(line: str) -> list[str]:
    """What bash is told after a line; an empty word stands behind a blank at its end."""
    words = line.split(" ")
    variables = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_MEDIAGATE_COMPLETE": "complete_bash"}
    return run({**os.environ, **variables}).split()


def run(environment: dict[str, str], *arguments: str) -> str:
    program = "import sys; sys.argv[0] = 'mediagate'; from cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


class TestCompletion:
    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("mediagate run", ["runs"]),
            ("mediagate runs re", ["reset", "retry"]),
            ("mediagate runs reset --to s", ["submit"]),
            ("mediagate runs unstick --activity v", ["verify"]),
            ("mediagate runs bulk un", ["unpause"]),
            ("mediagate runs batches s", ["stop"]),
            ("mediagate audit ve", ["verify"]),
        ],
    )
    def test_words_are_completed(self, line: str, words: list[str]) -> None:
        assert complete(line) == words

    def test_naming_the_commands_imports_none_of_them(self) -> None:
        program = (
            "import sys; from typer.main import get_command; from cli.main import app; import typer\n"
            "group = get_command(app); context = typer.Context(group)\n"
            "names = [one.value for one in group.shell_complete(context, '')]\n"
            "assert 'runs' in names, names\n"
            "print([name for name in sys.modules if name.startswith(('cli.runs.', 'temporalio', 'sqlalchemy'))])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"

    def test_the_script_for_a_shell_is_shown(self) -> None:
        assert "_mediagate_completion" in run(dict(os.environ), "--show-completion", "bash")
