"""What every malware scanner does, shown on clamd's client over TCP and on the twin.

Over TCP against the fake of `devstack`, and against a real clamd with a database of our own where one is installed.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from devstack.clamd import Clamd, Mood, serving
from devstack.ports import LOOPBACK
from mediagate.errors import ScannerUnavailable
from mediagate.malware.clamd import CHUNK, ClamdScanner
from mediagate.malware.scanner import CLEAN, EICAR, MemoryScanner, Scanner, ScanOutcome
from mediagate.media.values import MIB

LIMIT = 1 * MIB
SIDES = ["fake", "memory", *(["clamd"] if shutil.which("clamd") else [])]
START_SECONDS = 60


class Side(Protocol):
    """A scanner that takes files up to `LIMIT`."""

    scanner: Scanner

    async def go_down(self) -> None: ...


class MemorySide:
    def __init__(self) -> None:
        self._memory = MemoryScanner(max_bytes=LIMIT)
        self.scanner: Scanner = self._memory

    async def go_down(self) -> None:
        self._memory.trouble = ScannerUnavailable()


class TcpSide:
    def __init__(self, port: int) -> None:
        self.scanner: Scanner = ClamdScanner(LOOPBACK, port, timeout=30)

    async def go_down(self) -> None:
        # A port that nobody listens on.
        self.scanner = ClamdScanner(LOOPBACK, 9, timeout=30)


@pytest.fixture
async def clamd() -> AsyncIterator[Clamd]:
    async with serving(Clamd(stream_max_length=LIMIT)) as running:
        yield running


@pytest.fixture(scope="module")
async def real_clamd(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[int]:
    """The port of Debian's clamd, which knows one signature."""
    folder = tmp_path_factory.mktemp("clamd")
    (folder / "own.ndb").write_text(f"Eicar-Test-Signature:0:*:{EICAR.hex()}\n")
    async with serving(Clamd()) as placeholder:
        port = placeholder.port
    lines = [f"DatabaseDirectory {folder}", f"TCPSocket {port}", f"TCPAddr {LOOPBACK}", "Foreground yes"]
    lines += [f"StreamMaxLength {LIMIT}", f"TemporaryDirectory {folder}", f"User {_account()}"]
    (folder / "clamd.conf").write_text("\n".join(lines) + "\n")
    program = await asyncio.create_subprocess_exec(
        "clamd", "-c", str(folder / "clamd.conf"), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(START_SECONDS):
        while not await _answers(port):
            await asyncio.sleep(0.1)
    yield port
    program.terminate()
    await program.wait()


async def _answers(port: int) -> bool:
    try:
        return bool(await ClamdScanner(LOOPBACK, port).ping())
    except ScannerUnavailable:
        return False


def _account() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> Side:
    if request.param == "memory":
        return MemorySide()
    if request.param == "clamd":
        return TcpSide(request.getfixturevalue("real_clamd"))
    return TcpSide(request.getfixturevalue("clamd").port)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "file"
    path.write_bytes(data)
    return path


class TestScan:
    @pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, LIMIT])
    async def test_a_harmless_file_is_clean(self, side: Side, tmp_path: Path, size: int) -> None:
        assert await side.scanner.scan(written(tmp_path, b"\0" * size)) == CLEAN

    @pytest.mark.parametrize("before", [0, 1000, CHUNK - 30, 3 * CHUNK])
    async def test_malware_is_found_wherever_it_is(self, side: Side, tmp_path: Path, before: int) -> None:
        said = await side.scanner.scan(written(tmp_path, b"x" * before + EICAR + b"y" * 99))
        assert said.outcome is ScanOutcome.INFECTED
        assert said.detail.startswith("Eicar-Test-Signature")

    @pytest.mark.parametrize("size", [LIMIT + 1, 8 * LIMIT])
    async def test_a_file_beyond_its_limit_is_said_to_be(self, side: Side, tmp_path: Path, size: int) -> None:
        said = await side.scanner.scan(written(tmp_path, b"x" * size))
        assert said.outcome is ScanOutcome.TOO_LARGE
        assert "size limit exceeded" in said.detail

    async def test_many_at_once_are_told_apart(self, side: Side, tmp_path: Path) -> None:
        paths = []
        for number in range(8):
            path = tmp_path / str(number)
            path.write_bytes(b"z" * number * 1000 + (EICAR if number % 2 else b""))
            paths.append(path)
        said = await asyncio.gather(*(side.scanner.scan(path) for path in paths))
        assert [one.outcome for one in said] == [ScanOutcome.CLEAN, ScanOutcome.INFECTED] * 4

    async def test_a_file_that_is_gone_is_no_trouble_of_the_scanner(self, side: Side, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            await side.scanner.scan(tmp_path / "none")

    async def test_one_that_is_away_is_unavailable(self, side: Side, tmp_path: Path) -> None:
        await side.go_down()
        with pytest.raises(ScannerUnavailable):
            await side.scanner.scan(written(tmp_path, b"x"))
        with pytest.raises(ScannerUnavailable):
            await side.scanner.ping()

    async def test_tells_its_version(self, side: Side) -> None:
        assert await side.scanner.ping() != ""


class TestTrouble:
    """What only a scanner on the other side of a network does."""

    @pytest.mark.parametrize(
        ("mood", "said"),
        [
            (Mood.GONE, "without an answer"),
            (Mood.GARBAGE, "cannot be understood"),
            (Mood.ENDLESS, "has no end"),
        ],
    )
    async def test_no_answer_is_no_verdict(self, clamd: Clamd, tmp_path: Path, mood: Mood, said: str) -> None:
        clamd.mood = mood
        with pytest.raises(ScannerUnavailable, match=said):
            await ClamdScanner(LOOPBACK, clamd.port).scan(written(tmp_path, b"x" * 3 * CHUNK))

    async def test_silence_has_an_end(self, clamd: Clamd, tmp_path: Path) -> None:
        clamd.mood = Mood.SILENT
        with pytest.raises(ScannerUnavailable, match="in time"):
            await ClamdScanner(LOOPBACK, clamd.port, timeout=0.1).scan(written(tmp_path, EICAR))
        assert clamd.streams == 1

    async def test_clean_before_the_end_is_not_believed(self, clamd: Clamd, tmp_path: Path) -> None:
        clamd.mood = Mood.HASTY
        with pytest.raises(ScannerUnavailable):
            await ClamdScanner(LOOPBACK, clamd.port).scan(written(tmp_path, b"x" * 64 * MIB))

    async def test_a_scan_that_failed_says_why(self, clamd: Clamd, tmp_path: Path) -> None:
        clamd.mood = Mood.BROKEN
        said = await ClamdScanner(LOOPBACK, clamd.port).scan(written(tmp_path, b"x"))
        assert (said.outcome, said.detail) == (ScanOutcome.FAILED, "Can't write to file")

    async def test_its_address_is_not_told(self, tmp_path: Path) -> None:
        for host in (LOOPBACK, "no-such-host.invalid"):
            with pytest.raises(ScannerUnavailable) as failed:
                await ClamdScanner(host, 9).ping()
            assert host not in failed.value.message

    async def test_something_else_at_its_address_is_no_clamd(self) -> None:
        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example.test ESMTP\0")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(greet, LOOPBACK, 0)
        async with server:
            with pytest.raises(ScannerUnavailable, match="no clamd"):
                await ClamdScanner(LOOPBACK, server.sockets[0].getsockname()[1]).ping()
