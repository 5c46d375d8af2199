"""`mediagate doctor`: is this machine fit for the stack, and is the running one well."""

import asyncio
from dataclasses import asdict

import typer

from cli.output import Json, mark, print_json, print_table


def doctor(as_json: Json = False) -> None:
    """Check Python, tools, ports, disk and the running stack; say what to do about each finding.

    Exit code 1 if anything fails; warnings do not count.

    Examples:

      mediagate doctor

      mediagate doctor --json | jq '.checks[] | select(.result != "ok")'
    """
    from devstack.checks import all_checks
    from devstack.state import StateDir
    from mediagate.settings import Settings

    checks = asyncio.run(all_checks(StateDir.open(Settings().state_dir)))
    failed = any(check.result == "fail" for check in checks)
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        rows = [(mark(check.result), check.name, check.detail, check.advice) for check in checks]
        print_table(("", "Check", "Finding", "What to do"), rows)
    if failed:
        raise typer.Exit(1)
