"""`mediagate report`, as the program prints what is in the database."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from cli.report import report
from db.session import Database
from db.tables import Library
from devstack.environment import applied
from mediagate.errors import InvalidRequest, NotFound
from mediagate.media.values import Status
from mediagate.settings import Settings
from tests.reports import a_day, accepted, through

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

program = typer.Typer()
program.command()(report)


@pytest.fixture(autouse=True)
def at_home(services: dict[str, str], stack_settings: Settings, tmp_path: Path) -> Iterator[None]:
    """The environment of somebody who operates this test's deployment."""
    own = {
        "MEDIAGATE_DATABASE_URL": stack_settings.database_url.get_secret_value(),
        "MEDIAGATE_STATE_DIR": str(tmp_path),
        "MEDIAGATE_SLA_SECONDS": "60",
    }
    with applied({**services, **own}):
        yield


@pytest.fixture
async def day(db: Database, library: Library) -> datetime:
    """One on which two uploads were decided in time and one was not; a fourth waits for a person."""
    day = a_day()
    for seconds in (30, 60, 90):
        await through(db, library, day + HOUR, decision=seconds, filing=2 * seconds)
    await accepted(db, library, day + HOUR, status=Status.IN_REVIEW)
    return day


async def run(*arguments: str) -> Result:
    """One command on a loop of its own, as the program runs it."""
    return await asyncio.to_thread(CliRunner().invoke, program, [*arguments])


def of(day: datetime) -> list[str]:
    return ["--since", f"{day:%Y-%m-%d}", "--until", f"{day + DAY:%Y-%m-%d}"]


async def printed(*arguments: str) -> list[dict[str, Any]]:
    result = await run(*arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    found: list[dict[str, Any]] = json.loads(result.output)["reports"]
    return found


class TestReport:
    async def test_of_a_library_as_json(self, library: Library, day: datetime) -> None:
        (shown,) = await printed("--library", library.slug, *of(day))
        assert shown["period"] == {"since": f"{day:%Y-%m-%d}T00:00:00Z", "until": f"{day + DAY:%Y-%m-%d}T00:00:00Z"}
        assert (shown["library"], shown["accepted"], shown["filed"]) == (library.slug, 4, {"approved": 3})
        alone = shown["decision"]["alone"]
        assert (alone["count"], alone["p50"], alone["within"], alone["share"]) == (3, 60, 2, pytest.approx(2 / 3))
        assert shown["waiting"] == {"count": 1, "since": f"{day + HOUR:%Y-%m-%dT%H}:00:00Z"}

    async def test_of_the_deployment_and_each_library(self, library: Library, day: datetime) -> None:
        whole, *each = await printed(*of(day))
        assert (whole["library"], whole["accepted"], whole["owed"].keys() <= {"starts", "mails"}) == (None, 4, True)
        assert {one["library"]: one["accepted"] for one in each if one["accepted"]} == {library.slug: 4}

    async def test_as_tables(self, library: Library, day: datetime) -> None:
        shown = (await run(*of(day))).output
        assert f"The whole deployment, {day:%Y-%m-%d} (UTC)" in shown
        assert library.slug in shown
        mine = (await run("--library", library.slug, *of(day))).output
        rows = [line.split() for line in mine.splitlines()]
        assert ["filed", "as", "approved", "3"] in rows
        assert ["decided", "alone", "3", "1", "min", "1.4", "min", "66.7", "%"] in rows
        assert ["filed", "by", "a", "person", "0", "–", "–", "–"] in rows

    async def test_by_default_it_is_of_yesterday(self, library: Library) -> None:
        (shown,) = await printed("--library", library.slug)
        since, until = (datetime.fromisoformat(shown["period"][end]) for end in ("since", "until"))
        assert (until - since, (until.hour, until.minute, until.second)) == (DAY, (0, 0, 0))

    async def test_since_a_while_ago_is_until_now(self, library: Library) -> None:
        (shown,) = await printed("--library", library.slug, "--since", "12h")
        since, until = (datetime.fromisoformat(shown["period"][end]) for end in ("since", "until"))
        assert until - since == 12 * HOUR

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (["--library", "nobody"], NotFound),
            (["--since", "2026-11-02", "--until", "2026-11-01"], InvalidRequest),
            (["--since", "2024-01-01", "--until", "2026-01-01"], InvalidRequest),
        ],
        ids=["no such library", "backwards", "too long"],
    )
    async def test_what_is_refused(self, arguments: list[str], error: type[Exception]) -> None:
        assert type((await run(*arguments)).exception) is error
