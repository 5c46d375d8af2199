"""`mediagate doctor`: is this machine fit for the stack, and is the running one well."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from cli.output import Json, mark, print_json, print_table

if TYPE_CHECKING:
    from devstack.checks import Check
    from mediagate.settings import Settings


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

    settings = Settings()
    checks = [*asyncio.run(all_checks(StateDir.open(settings.state_dir))), classifier_check(settings)]
    failed = any(check.result == "fail" for check in checks)
    if as_json:
        print_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        rows = [(mark(check.result), check.name, check.detail, check.advice) for check in checks]
        print_table(("", "Check", "Finding", "What to do"), rows)
    if failed:
        raise typer.Exit(1)


def classifier_check(settings: "Settings") -> "Check":
    """The local model as a worker with these settings would load it."""
    from devstack.checks import Check
    from mediagate import classifier, wiring
    from mediagate.errors import ClassifierUnusable

    try:
        settings.require_classifier()
        config = wiring.classifier_config(settings)
        if config is None:
            return Check("classifier", "ok", "none; MEDIAGATE_ONNX_MODEL would be one")
        return Check("classifier", "ok", classifier.check(config))
    except (ValueError, ClassifierUnusable) as error:
        return Check("classifier", "fail", str(error), "See docs/runbooks/classifier.md.")
