"""A clamd on loopback that knows one signature, the EICAR string: `python -m devstack.clamd --port 3310`.

Speaks the part of clamd's protocol that `mediagate.malware.clamd` names, as ClamAV 1.4.6 does: PING, VERSION and
INSTREAM behind `z` (NUL) or `n` (newline), `StreamMaxLength`, and the answers word for word. It can be told to
misbehave.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum

from devstack.ports import LOOPBACK
from mediagate.malware.scanner import EICAR
from mediagate.media.values import MIB

VERSION = "ClamAV 1.4.6"


class Mood(StrEnum):
    """How it treats a stream."""

    HONEST = "honest"
    SILENT = "silent"
    """Takes everything and answers nothing."""
    GONE = "gone"
    """Closes instead of an answer."""
    GARBAGE = "garbage"
    ENDLESS = "endless"
    """An answer without an end."""
    HASTY = "hasty"
    """Calls it clean before it has seen anything of it, and closes."""
    BROKEN = "broken"
    """Fails at every file, as with a full disk."""


@dataclass
class Clamd:
    """What it is told, and how many streams came."""

    mood: Mood = Mood.HONEST
    stream_max_length: int = 100 * MIB
    streams: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one command."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            prefix = await reader.readexactly(1)
            end = {b"z": b"\0", b"n": b"\n"}.get(prefix, b"\n")
            command = (await reader.readuntil(end))[:-1]
            answer = await self._answer(command, reader)
            if answer is not None:
                writer.write(answer + end)
                await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, command: bytes, reader: asyncio.StreamReader) -> bytes | None:
        if command == b"PING":
            return b"PONG"
        if command == b"VERSION":
            return VERSION.encode()
        if command != b"INSTREAM":
            return b"UNKNOWN COMMAND"
        self.streams += 1
        if self.mood is Mood.HASTY:
            return b"stream: OK"
        stream = await self._stream(reader)
        if stream is None:
            return b"INSTREAM size limit exceeded. ERROR"
        if self.mood is Mood.SILENT:
            await reader.read()  # until the other side gives up
        return {
            Mood.HONEST: b"stream: Eicar-Test-Signature FOUND" if EICAR in stream else b"stream: OK",
            Mood.GARBAGE: b"HTTP/1.1 400 Bad Request\r\n\r\n",
            Mood.ENDLESS: b"stream: " + b"x" * MIB,
            Mood.BROKEN: b"stream: Can't write to file ERROR",
        }.get(self.mood)

    async def _stream(self, reader: asyncio.StreamReader) -> bytes | None:
        """The bytes of all chunks; None as soon as they are more than it takes."""
        stream = bytearray()
        while length := int.from_bytes(await reader.readexactly(4), "big"):
            if len(stream) + length > self.stream_max_length:
                return None
            stream += await reader.readexactly(length)
        return bytes(stream)


@asynccontextmanager
async def serving(clamd: Clamd, port: int = 0) -> AsyncIterator[Clamd]:
    """The scanner on loopback while the block lasts; its port is `clamd.port`."""
    server = await asyncio.start_server(clamd.serve, LOOPBACK, port, limit=2 * MIB)
    clamd.port = server.sockets[0].getsockname()[1]
    try:
        yield clamd
    finally:
        server.close()


async def run(port: int) -> None:
    """Serve for ever."""
    async with serving(Clamd(), port):
        await asyncio.get_running_loop().create_future()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m devstack.clamd", description="A malware scanner on loopback.")
    parser.add_argument("--port", type=int, default=3310)
    with suppress(KeyboardInterrupt):
        asyncio.run(run(parser.parse_args().port))


if __name__ == "__main__":
    main()
