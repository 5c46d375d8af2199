"""Which placement may follow which, and how long a process believes one."""

import asyncio
from collections.abc import Mapping

import pytest

from mediagate.storage.placement import Placement, Placements

Step = tuple[str, str | None]


class TestSteps:
    @pytest.mark.parametrize(
        ("now", "then", "legal"),
        [
            (("s", None), ("s", "t"), True),
            (("s", "t"), ("t", "s"), True),
            (("t", "s"), ("t", None), True),
            (("s", "t"), ("s", None), True),
            (("s", None), ("t", None), False),
            (("s", None), ("t", "s"), False),
            (("s", "t"), ("t", None), False),
            (("s", "t"), ("s", "u"), False),
            (("s", "t"), ("u", "s"), False),
            (("s", None), ("s", "s"), False),
        ],
        ids=[
            "announced",
            "handed over",
            "left",
            "called off",
            "a jump",
            "a jump to the other side",
            "left before it was handed over",
            "another target",
            "a third store",
            "beside itself",
        ],
    )
    def test_one_at_a_time(self, now: Step, then: Step, legal: bool) -> None:
        assert Placement(home=now[0], beside=now[1]).may_become(*then) is legal


class Directory:
    """What the database says, and how often it was asked. Time stands still until it is set."""

    def __init__(self, **homes: str) -> None:
        self.homes: Mapping[str, str] = homes
        self.asked = 0
        self.time = 0.0
        self.answer_at: float | None = None
        self.known = Placements(self.look, lease=10, clock=lambda: self.time)

    async def look(self, library: str) -> Placement:
        self.asked += 1
        await asyncio.sleep(0)
        self.time = self.answer_at or self.time
        return Placement(home=self.homes[library])

    async def home(self, library: str = "photos") -> str:
        return (await self.known.of(library)).home


class TestLeases:
    async def test_one_is_kept_for_its_time_and_not_longer(self) -> None:
        directory = Directory(photos="s")
        assert [await directory.home() for _ in range(3)] == ["s"] * 3
        directory.homes = {"photos": "t"}
        directory.time = 9.9
        assert await directory.home() == "s"
        directory.time = 10
        assert (await directory.home(), directory.asked) == ("t", 2)

    async def test_it_begins_when_the_question_is_sent(self) -> None:
        directory = Directory(photos="s")
        directory.answer_at = 8
        await directory.home()
        directory.answer_at = None
        directory.time = 10
        await directory.home()
        assert directory.asked == 2

    async def test_many_who_want_to_know_at_once_ask_once(self) -> None:
        directory = Directory(photos="s", films="t")
        found = await asyncio.gather(*(directory.home(library) for library in ("photos", "films") for _ in range(5)))
        assert (found, directory.asked) == (["s"] * 5 + ["t"] * 5, 2)
