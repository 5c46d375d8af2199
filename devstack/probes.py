"""Is it ready? Real questions to real ports, for `Service.ready`."""

import asyncio
from datetime import datetime

import httpx
import psycopg

from devstack.ports import LOOPBACK
from devstack.supervisor import Probe


def http_answers(url: str, *, status: int | None = None) -> Probe:
    """Ready when the URL answers with this status; without one, with any answer."""

    async def probe(started: datetime) -> str | None:
        del started
        async with httpx.AsyncClient(trust_env=False, timeout=4) as client:
            answer = await client.get(url)
        if status is not None and answer.status_code != status:
            return f"{url} answers {answer.status_code}: {answer.text[:200].strip()}"
        return None

    return probe


def tcp_open(*ports: int) -> Probe:
    """Ready when all of these ports on loopback take connections."""

    async def probe(started: datetime) -> str | None:
        del started
        for port in ports:
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            await writer.wait_closed()
        return None

    return probe


def postgres_answers(database_url: str) -> Probe:
    """Ready when a query is answered."""

    async def probe(started: datetime) -> str | None:
        del started
        async with await psycopg.AsyncConnection.connect(database_url, connect_timeout=4) as connection:
            await connection.execute("SELECT 1")
        return None

    return probe
