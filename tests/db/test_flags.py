"""Flags in the database: changed with what was looked at named, and seen by every process at once."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.provider import FeatureProvider
from sqlalchemy import text
from typer.testing import CliRunner, Result

from cli import flags as flags_cli
from db.flag_feed import FlagFeed, open_flags
from db.flags import delete_flag, put_flag, stated
from db.repositories.audit import Actor
from db.session import Database, Transaction
from db.tables import FeatureFlag, FlagCount
from devstack.environment import applied
from mediagate.errors import Conflict, DatabaseUnavailable, MediagateError, NotFound
from mediagate.flagging import Flags, Served
from mediagate.flags import BUILT_IN, Flag, Switch, flag_of
from mediagate.settings import Settings
from tests.world import PATIENCE

ADA = Actor("ada", "cli:ada")
UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
def name() -> str:
    """Of a flag that no other test has."""
    return f"f-{uuid4().hex[:12]}"


@pytest.fixture
def url(stack_settings: Settings) -> str:
    """Of the database."""
    return stack_settings.database_url.get_secret_value()


@pytest.fixture
async def cleared(db: Database) -> AsyncIterator[None]:
    """Kill switches that nobody has touched, also afterwards."""
    yield
    async with db.transaction() as tx:
        await tx.session.execute(text("DELETE FROM flag WHERE name = ANY(:names)"), {"names": [*Switch]})


def half(name: str, **fields: Any) -> Flag:
    """A flag for half of all."""
    return flag_of(name, {"default": "off", "rules": [{"percentage": 50, "variant": "on"}], **fields})


class Watched:
    """Waits for what a provider tells."""

    def __init__(self, flags: Flags) -> None:
        self.told: asyncio.Queue[tuple[str, list[str]]] = asyncio.Queue()
        flags.provider.attach(self._tell)

    def _tell(self, _: FeatureProvider, event: ProviderEvent, details: ProviderEventDetails) -> None:
        self.told.put_nowait((event.name, details.flags_changed or []))

    async def changed(self, name: str) -> None:
        """Return once the flag is another one."""
        async with asyncio.timeout(PATIENCE / 4):  # less than the poll takes: somebody told
            while name not in (await self.told.get())[1]:
                pass


class AwayDatabase(Database):
    """A database that does not answer while it is away."""

    away = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Raises DatabaseUnavailable while it is away."""
        if self.away:
            raise DatabaseUnavailable
        async with super().transaction() as tx:
            yield tx


@pytest.fixture
async def fragile(url: str) -> AsyncIterator[AwayDatabase]:
    """One that can be sent away."""
    database = AwayDatabase(url)
    yield database
    await database.close()


class TestTheSameFromEverywhere:
    """What the twin in memory serves and what the one over Postgres serves."""

    @pytest.fixture(params=["memory", "postgres"])
    async def served(
        self, request: pytest.FixtureRequest, db: Database, url: str
    ) -> AsyncIterator[Callable[..., Awaitable[Flags]]]:
        """Serves some flags."""
        async with AsyncExitStack() as stack:

            async def serve(*flags: Flag) -> Flags:
                if request.param == "memory":
                    return Flags(flags, environment="staging")
                for flag in flags:
                    await put_flag(db, flag, version=0, actor=ADA)
                return await stack.enter_async_context(open_flags(db, url, environment="staging"))

            yield serve

    async def test_rules_percentages_and_defaults(
        self, served: Callable[..., Awaitable[Flags]], name: str, cleared: None
    ) -> None:
        here = {"attribute": "environment", "op": "in", "value": ["staging", "development"]}
        flags = await served(
            half(name, salt="fixed"),
            flag_of(f"{name}-text", {"variants": {"a": "x", "b": "y"}, "default": "a", "off": "b"}),
            flag_of("renditions", {"kind": "kill_switch", "rules": [{"conditions": [here], "variant": "off"}]}),
            BUILT_IN["uploads"].model_copy(update={"enabled": False}),
        )
        answers = [flags.client.get_boolean_value(name, False, _key(key)) for key in "abcdefgh"]
        assert answers == [half(name, salt="fixed").evaluate(key, {}).value for key in "abcdefgh"]
        assert set(answers) == {True, False}
        assert flags.client.get_string_details(f"{name}-text", "z").value == "x"
        assert [flags.on(switch) for switch in (Switch.RENDITIONS, Switch.UPLOADS, Switch.IMPORTS)] == [
            False,
            False,
            True,
        ]
        assert flags.client.get_boolean_value(f"{name}-none", True) is True


def _key(key: str) -> Any:
    from openfeature.evaluation_context import EvaluationContext

    return EvaluationContext(key)


class TestFeed:
    async def test_a_change_in_one_process_is_seen_in_the_other_within_a_second(
        self, db: Database, url: str, name: str
    ) -> None:
        other, took = Database(url, pool_size=1), list[float]()
        async with open_flags(other, url, environment="") as flags:
            watched = Watched(flags)
            for version, enabled in enumerate((True, False, True)):
                began = time.monotonic()
                await put_flag(db, half(name, enabled=enabled), version=version, actor=ADA)
                await watched.changed(name)
                took.append(time.monotonic() - began)
                assert flags.provider.flags[name].enabled is enabled
            await delete_flag(db, name, actor=ADA)
            await watched.changed(name)
            assert name not in flags.provider.flags
        await other.close()
        assert min(took) < 1

    async def test_a_change_by_hand_is_told_as_well(self, db: Database, url: str, name: str) -> None:
        await put_flag(db, half(name), version=0, actor=ADA)
        async with open_flags(db, url, environment="") as flags:
            watched = Watched(flags)
            async with db.transaction() as tx:
                await tx.session.execute(text("UPDATE flag SET enabled = false WHERE name = :name"), {"name": name})
            await watched.changed(name)
            assert not flags.provider.flags[name].enabled

    async def test_whoever_loses_its_connection_listens_again(self, db: Database, url: str, name: str) -> None:
        async with open_flags(db, url, environment="") as flags:
            watched = Watched(flags)
            for version in range(2):
                await _cut_off(db)
                await put_flag(db, half(name, description=f"{version}"), version=version, actor=ADA)
                await watched.changed(name)

    async def test_while_the_database_is_away_the_last_values_stay(self, fragile: AwayDatabase, name: str) -> None:
        await put_flag(fragile, half(name, enabled=False), version=0, actor=ADA)
        flags = Flags()
        feed = FlagFeed(fragile, UNREACHABLE, flags)
        assert await feed.load()
        fragile.away = True
        assert not await feed.load()
        found = flags.client.get_boolean_details(name, True)
        assert (found.value, found.reason) == (False, "STALE")
        fragile.away = False
        assert await feed.load()
        assert flags.client.get_boolean_details(name, True).reason == "DISABLED"

    async def test_without_a_database_a_process_starts_with_the_codes_defaults(self) -> None:
        nowhere = Database(UNREACHABLE, pool_size=1)
        async with open_flags(nowhere, UNREACHABLE, environment="") as flags:
            assert flags.provider.stale
            assert all(flags.on(switch) for switch in Switch)
        await nowhere.close()

    async def test_without_a_way_to_listen_the_flags_are_read_all_the_same(self, db: Database, name: str) -> None:
        await put_flag(db, half(name), version=0, actor=ADA)
        async with open_flags(db, UNREACHABLE, environment="") as flags:
            assert (flags.provider.stale, name in flags.provider.flags) == (False, True)

    async def test_what_a_newer_release_wrote_does_not_hide_the_others(self, db: Database, url: str, name: str) -> None:
        for one in (name, f"{name}-newer"):
            await put_flag(db, half(one), version=0, actor=ADA)
        async with db.transaction() as tx:
            rules = {"rules": json.dumps([{"orbit": 3}]), "name": f"{name}-newer"}
            await tx.session.execute(text("UPDATE flag SET rules = cast(:rules AS jsonb) WHERE name = :name"), rules)
        async with open_flags(db, url, environment="") as flags:
            assert name in flags.provider.flags
            assert f"{name}-newer" not in flags.provider.flags
        changed = await put_flag(db, half(f"{name}-newer"), version=1, actor=ADA)  # as it can be mended
        assert changed.version == 2


async def _cut_off(db: Database) -> None:
    """End the listener's connection, as soon as there is one."""
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name AND datname = :database"
    )
    async with asyncio.timeout(PATIENCE / 4):
        while True:
            async with db.transaction() as tx:
                database = (await tx.session.execute(text("SELECT current_database()"))).scalar_one()
                who = {"name": "mediagate-flags", "database": database}
                if (await tx.session.execute(text(end), who)).scalars().all():
                    return
            await asyncio.sleep(0.02)


class TestCounts:
    async def test_processes_add_up_and_a_database_that_is_away_costs_nothing(
        self, fragile: AwayDatabase, name: str
    ) -> None:
        for answers in (2, 3):  # two processes
            flags = Flags([half(name, enabled=False)])
            feed = FlagFeed(fragile, UNREACHABLE, flags)
            for _ in range(answers):
                flags.client.get_boolean_value(name, True)
            fragile.away = True
            await feed.flush()
            fragile.away = False
            await feed.flush()
            await feed.flush()
        assert await _counts(fragile, name) == {("off", "DISABLED"): 5}

    async def test_the_end_of_a_process_stores_what_it_counted(self, db: Database, url: str, name: str) -> None:
        await put_flag(db, half(name, enabled=False), version=0, actor=ADA)
        async with open_flags(db, url, environment="") as flags:
            flags.client.get_boolean_value(name, True)
        assert await _counts(db, name) == {("off", "DISABLED"): 1}

    async def test_old_counts_are_forgotten(self, db: Database, name: str) -> None:
        today = datetime.now(UTC).date()
        async with db.transaction() as tx:
            for age in (401, 400, 0):
                tx.session.add(FlagCount(day=today - timedelta(days=age), flag=name, variant="on", reason="S", count=1))
            await tx.session.flush()
            await tx.flags.count(today, {Served(name, "on", "S"): 4})
            found = await tx.flags.counts(since=date.min, flag=name)
            assert [(row.day, row.count) for row in found] == [(today, 5), (today - timedelta(days=400), 1)]


async def _counts(db: Database, name: str) -> dict[tuple[str, str], int]:
    async with db.transaction() as tx:
        found = await tx.flags.counts(since=datetime.now(UTC).date(), flag=name)
    return {(row.variant, row.reason): row.count for row in found}


class TestChanges:
    async def test_every_change_is_on_record_with_what_was_before(self, db: Database, name: str) -> None:
        await put_flag(db, half(name, description="mine"), version=0, actor=ADA, reason="a try", tracking_id="t-1")
        await put_flag(db, half(name, enabled=False), version=1, actor=Actor("bob", "api:1"))
        await delete_flag(db, name, actor=ADA, version=2)
        async with db.transaction() as tx:
            deleted, changed, created = await tx.audit.page(subject=f"flag:{name}", limit=9)
        assert [row.action for row in (created, changed, deleted)] == ["flag.created", "flag.changed", "flag.deleted"]
        assert (created.actor, created.via, created.reason, created.tracking_id) == ("ada", "cli:ada", "a try", "t-1")
        assert (changed.actor, changed.via) == ("bob", "api:1")
        first, second = created.document["after"], changed.document["after"]
        assert (created.document["before"], deleted.document["after"]) == (None, None)
        assert (changed.document["before"], deleted.document["before"]) == (first, second)
        assert (first["enabled"], first["version"], second["enabled"], second["version"]) == (True, 1, False, 2)
        assert "mine" not in created.data

    async def test_who_looked_at_an_older_version_changes_nothing(self, db: Database, name: str) -> None:
        await put_flag(db, half(name), version=0, actor=ADA)
        for version in (0, 2):
            with pytest.raises(Conflict, match="is at version 1"):
                await put_flag(db, half(name, enabled=False), version=version, actor=ADA)
        with pytest.raises(Conflict, match="is at version 1"):
            await delete_flag(db, name, actor=ADA, version=2)
        with pytest.raises(Conflict, match="does not exist any more"):
            await put_flag(db, half(f"{name}-gone"), version=3, actor=ADA)

    async def test_the_same_change_may_come_twice(self, db: Database, name: str) -> None:
        for _ in range(2):
            stored = await put_flag(db, half(name), version=0, actor=ADA)
            assert stored.version == 1
        async with db.transaction() as tx:
            assert len(await tx.audit.page(subject=f"flag:{name}", limit=9)) == 1

    async def test_of_two_who_make_it_at_once_one_does(self, db: Database, name: str) -> None:
        makers = [put_flag(db, half(name, description=f"{n}"), version=0, actor=ADA) for n in range(4)]
        results = await asyncio.gather(*makers, return_exceptions=True)
        made = [result for result in results if isinstance(result, FeatureFlag)]
        assert len(made) == 1
        assert all(isinstance(result, Conflict) for result in results if result is not made[0])

    async def test_what_is_not_there_cannot_be_deleted(self, db: Database, name: str) -> None:
        for unknown in (name, "imports"):
            with pytest.raises(NotFound):
                await delete_flag(db, unknown, actor=ADA)

    async def test_switches_are_listed_before_anybody_touches_them(self, db: Database, name: str) -> None:
        await put_flag(db, half(name), version=0, actor=ADA)
        async with db.transaction() as tx:
            found = await stated(tx)
        names = [row.name for row in found]
        assert names == sorted(names)
        assert {name, *Switch} <= set(names)
        assert {row.version for row in found if row.name == "imports"} == {0}


Command = Callable[..., Awaitable[Result]]


class TestCommands:
    @pytest.fixture
    def run(self, url: str, tmp_path: Path) -> Iterator[Command]:
        """Runs `mediagate flags …` on a loop of its own, as the program does."""

        async def invoke(*arguments: str) -> Result:
            return await asyncio.to_thread(CliRunner().invoke, flags_cli.app, [*arguments])

        with applied({"MEDIAGATE_DATABASE_URL": url, "MEDIAGATE_STATE_DIR": str(tmp_path)}):
            yield invoke

    async def test_a_flags_life(self, run: Command, name: str, tmp_path: Path) -> None:
        made = json.loads((await run("set", name, "--percentage", "25", "--by", "ada", "--json")).stdout)
        assert (made["version"], made["default"], made["updated_by"]) == (1, "off", "ada")
        assert [(rule["percentage"], rule["variant"]) for rule in made["rules"]] == [(25, "on")]
        rule = json.dumps({"conditions": [{"attribute": "reputation", "op": "gte", "value": 40}], "variant": "on"})
        described = await run("set", name, "--rule", rule, "--rule", rule, "--description", "mine", "--json")
        assert [len(json.loads(described.stdout)[part]) for part in ("rules", "description")] == [2, 4]
        asked = "--attribute", "reputation=39", "--attribute", "library=a"
        explained = json.loads((await run("evaluate", name, "--key", "a", *asked, "--json")).stdout)
        assert (explained["value"], explained["reason"], len(explained["passed"])) == (False, "DEFAULT", 2)
        told = (await run("evaluate", name, "--attribute", "reputation=40")).stdout
        assert told == f"{name} serves on (true): rule 0.\n"
        assert f"{name}: off for everybody (version 3)." in (await run("disable", name)).stdout
        assert "(version 4)" in (await run("enable", name)).stdout
        file = tmp_path / "flag.json"
        file.write_text(json.dumps({"name": "other", "description": "all of it"}))
        whole = json.loads((await run("set", name, "--file", str(file), "--json")).stdout)
        assert (whole["name"], whole["rules"], whole["default"], whole["version"]) == (name, [], "on", 5)
        assert "would be deleted" in (await run("delete", name)).stdout
        assert json.loads((await run("show", name, "--json")).stdout)["version"] == 5
        assert json.loads((await run("delete", name, "--yes", "--json")).stdout)["deleted"] is True
        assert isinstance((await run("show", name)).exception, NotFound)

    async def test_a_switch_is_thrown_and_put_back(self, run: Command, cleared: None) -> None:
        assert "renditions: off for everybody" in (await run("disable", "renditions", "--reason", "load")).stdout
        listed = {row["name"]: row for row in json.loads((await run("list", "--json")).stdout)}
        assert (listed["renditions"]["enabled"], listed["uploads"]["enabled"]) == (False, True)
        assert (listed["renditions"]["version"], listed["uploads"]["version"]) == (1, 0)
        assert "renditions" in (await run("list")).stdout
        assert "kill_switch" in (await run("show", "renditions")).stdout
        assert "on for everybody" in (await run("enable", "renditions")).stdout

    async def test_what_was_served(self, run: Command, db: Database, name: str) -> None:
        async with db.transaction() as tx:
            await tx.flags.count(datetime.now(UTC).date(), {Served(name, "on", "SPLIT"): 7})
        (row,) = json.loads((await run("stats", name, "--json")).stdout)
        assert (row["flag"], row["variant"], row["reason"], row["count"]) == (name, "on", "SPLIT", 7)
        assert "SPLIT" in (await run("stats", name)).stdout

    @pytest.mark.parametrize(
        "arguments",
        [
            ("set", "Not-A-Name"),
            ("set", "mine", "--rule", "[]"),
            ("set", "mine", "--rule", "{"),
            ("set", "mine", "--rule", '{"variant": "blue"}'),
            ("set", "mine", "--percentage", "5", "--default", "on"),
            ("set", "uploads", "--kind", "release"),
            ("enable", "unknown"),
            ("delete", "unknown"),
            ("evaluate", "uploads", "--attribute", "colour=red"),
        ],
    )
    async def test_refusals(self, run: Command, arguments: tuple[str, ...]) -> None:
        assert isinstance((await run(*arguments)).exception, MediagateError)
