"""Printing, the same for every command: tables for people, `--json` for programs, colour only where it is wanted."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""The `--json` option of every command."""

Mark = Literal["ok", "warn", "fail"]
COLOURS: dict[Mark, str] = {"ok": "green", "warn": "yellow", "fail": "red"}
WIDE = 200
"""Columns of a table that is read by no terminal, so that addresses stay on one line."""


def turn_colour_off() -> None:
    """For `--no-color`; the same as `NO_COLOR=1` (https://no-color.org), which Rich honours by itself."""
    os.environ["NO_COLOR"] = "1"


def console(*, stderr: bool = False) -> Console:
    """A console on standard output or error."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=True, width=None if stream.isatty() else WIDE)


def print_json(value: Any) -> None:
    """One JSON document on one line, so that streams of them can be read line by line."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Cells are shown as they are: nothing in them is taken for markup."""
    table = Table(*columns, title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell), overflow="fold") for cell in row))
    console().print(table if table.row_count else Text(f"{title}: none" if title else "none", style="dim"))


def print_line(text: str, *, style: str = "", stderr: bool = False) -> None:
    """One line, not taken for markup."""
    console(stderr=stderr).print(Text(text, style=style))


def mark(value: Mark) -> Text:
    """A coloured `ok`, `warn` or `fail`."""
    return Text(value, style=COLOURS[value])


def print_error(code: str, text: str, *, as_json: bool) -> None:
    """A failure: one line on standard error, or a document on standard output for programs."""
    if as_json:
        print_json({"error": {"code": code, "detail": text}})
    else:
        print_line(f"error: {text}", style="red", stderr=True)
