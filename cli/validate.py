"""`mediagate validate`: does a live deployment do what it must, and nothing else."""

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.output import Json, print_json, print_line, print_table
from mediagate.errors import InvalidRequest

if TYPE_CHECKING:
    from cli.validation.walk import Options, Result

KEY = "MEDIAGATE_API_KEY"
COLOURS = {"ok": "green", "fail": "red", "skip": "yellow"}
REQUEST_SECONDS = 20


def validate(
    url: Annotated[str, typer.Argument(help="Address of the API; default: that of the running local stack.")] = "",
    library: Annotated[str, typer.Option(help="The library that the key is for.")] = "",
    key_file: Annotated[
        Path | None, typer.Option(help=f"File with an API key of that library; default: the variable {KEY}.")
    ] = None,
    operator_key_file: Annotated[
        Path | None, typer.Option(help="File with an admin's key for all libraries; circuit breakers are looked at.")
    ] = None,
    foreign_library: Annotated[str, typer.Option(help="A library of another tenant, which the key must not see.")] = "",
    internal: Annotated[
        str, typer.Option(metavar="URL", help="Where /health is, if the public address does not pass it on.")
    ] = "",
    no_upload: Annotated[bool, typer.Option("--no-upload", help="Send no pictures.")] = False,
    inside: Annotated[
        bool, typer.Option("--inside", help="Also ask the Temporal service that TEMPORAL_* lead to about schedules.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long the pictures may take to reach their ends.")
    ] = 120,
    as_json: Json = False,
) -> None:
    """Walk a live deployment from the outside and say what passes and what fails.

    Health, schema, workers and vendors; TLS, headers, clocks; who is turned away and how; two small pictures of its own
    through the whole gate, by presigned URL and as form, read by the public, withdrawn again. What fails is told with
    what to do next and the page of the runbook.

    Exit code 0 only if nothing failed; what was skipped is told with the reason.

    Examples:

      mediagate validate

      MEDIAGATE_API_KEY=… mediagate validate https://gate.example.org --library photos

      mediagate validate https://gate.example.org --library photos --key-file key --no-upload --json
    """
    from cli.validation.walk import Options

    local = _local_stack()
    if local and url.rstrip("/") in {"", local["api_url"]}:
        url, library = local["api_url"], library or local["library"]
        fallback, inside = local["api_key"], True
    else:
        fallback = ""
    if not url.startswith(("http://", "https://")):
        raise InvalidRequest("Name the API's address, as in https://gate.example.org; no local stack runs here.")
    options = Options(
        url=url.rstrip("/"),
        library=library,
        key=_key(key_file) or os.environ.get(KEY, "") or fallback,
        operator_key=_key(operator_key_file),
        foreign_library=foreign_library,
        internal=internal.rstrip("/"),
        upload=not no_upload,
        inside=inside,
        timeout=timeout,
    )
    if options.key and not options.library:
        raise InvalidRequest("Name the library that the key is for: --library NAME.")
    results = asyncio.run(_walk(options))
    failed = [result for result in results if result.result == "fail"]
    if as_json:
        print_json({"ok": not failed, "url": options.url, "checks": [asdict(result) for result in results]})
    else:
        _print(results, failed)
    raise typer.Exit(1 if failed else 0)


async def _walk(options: "Options") -> "list[Result]":
    import httpx

    from cli.demo.public_api import PublicApi
    from cli.output import console
    from cli.validation.steps import STEPS
    from cli.validation.walk import Walk, walk

    headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
    async with (
        httpx.AsyncClient(base_url=options.url, headers=headers, trust_env=False, timeout=REQUEST_SECONDS) as http,
        httpx.AsyncClient(base_url=options.url, trust_env=False, timeout=REQUEST_SECONDS) as public,
    ):
        where = Walk(options, http, public, PublicApi(http, options.library, patience=REQUEST_SECONDS))
        with console(stderr=True).status("Walking …") as status:
            return await walk(where, STEPS, tell=lambda result: status.update(f"{result.says}: {result.result}"))


def _local_stack() -> dict[str, str] | None:
    """Addresses and key of the local stack, if one runs; the environment then leads to its services."""
    from cli.local_stack import adopt_local_stack
    from mediagate.settings import Settings

    if not adopt_local_stack():
        return None
    stack: dict[str, str] = json.loads((Settings().state_dir / "stack.json").read_text())
    return stack if stack.get("api_url") and stack.get("api_key") else None


def _key(file: Path | None) -> str:
    try:
        return file.read_text().strip() if file else ""
    except OSError as error:
        raise InvalidRequest(f"The key cannot be read: {error.strerror}: {error.filename}") from error


def _print(results: "list[Result]", failed: "list[Result]") -> None:
    rows = [(Text(r.result, style=COLOURS[r.result]), r.says, r.detail) for r in results]
    print_table(["", "Check", "Finding"], rows)
    for one in failed:
        print_line(f"{one.says}: {one.advice} See {one.runbook}.", style="red")
    passed = sum(result.result == "ok" for result in results)
    print_line(f"{passed} checks passed, {len(failed)} failed, {len(results) - passed - len(failed)} skipped.")
