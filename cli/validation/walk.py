"""What the checks look at, how they are run, and what they come to."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from cli.demo.journey import Journey
from cli.demo.public_api import PublicApi
from mediagate.errors import MediagateError
from mediagate.media.lifecycle import DECIDED
from mediagate.media.values import Status

RUNBOOK = "docs/runbooks/validate.md"


class Wrong(Exception):
    """A check does not pass; the message says what was found."""


class Skip(Exception):
    """There is nothing to check; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is to be walked. `timeout`: seconds for the pictures to reach their ends; `url`: without a slash."""

    url: str
    library: str
    key: str = field(repr=False, default="")
    operator_key: str = field(repr=False, default="")
    foreign_library: str = ""
    internal: str = ""
    """Address at which `/health/…` is; empty: the same."""
    upload: bool = True
    inside: bool = False
    timeout: float = 120

    @property
    def is_local(self) -> bool:
        """True if nobody else can listen on the way."""
        return urlsplit(self.url).hostname in {"127.0.0.1", "localhost", "::1"}


@dataclass(slots=True)
class Walk:
    """`http` carries the library's key, `public` none. What one check finds out, later ones may use."""

    options: Options
    http: httpx.AsyncClient
    public: httpx.AsyncClient
    api: PublicApi
    deep: dict[str, str] = field(default_factory=dict)
    """What `/health/deep` says of each part."""
    ready: dict[str, str] = field(default_factory=dict)
    openapi: dict[str, Any] = field(default_factory=dict)
    journeys: list[Journey] = field(default_factory=list)
    presigned: dict[str, Any] = field(default_factory=dict)
    """A place for an upload that was announced and is never used."""

    @property
    def items(self) -> list[Journey]:
        """Pictures that are decided."""
        return [journey for journey in self.journeys if journey.outcome in DECIDED]

    @property
    def approved(self) -> list[Journey]:
        """Those that the public may see."""
        return [journey for journey in self.items if journey.outcome == Status.APPROVED]


@dataclass(frozen=True, slots=True)
class Step:
    """One check. `needs`: the checks that must have passed before; else it is skipped, for its own result would say
    nothing."""

    name: str
    says: str
    examine: Callable[[Walk], Awaitable[str]]
    advice: str
    needs: tuple[str, ...] = ()
    seconds: float = 30


@dataclass(frozen=True, slots=True)
class Result:
    """What a check came to."""

    name: str
    says: str
    result: Literal["ok", "fail", "skip"]
    detail: str
    advice: str = ""
    runbook: str = ""


async def walk(where: Walk, steps: Sequence[Step], *, tell: Callable[[Result], None] = lambda _: None) -> list[Result]:
    """Run checks one after the other; trouble on the way is a failed check."""
    results: dict[str, Result] = {}
    for step in steps:
        result = await _result(where, step, results)
        results[step.name] = result
        tell(result)
    return list(results.values())


async def _result(where: Walk, step: Step, before: dict[str, Result]) -> Result:
    unmet = [name for name in step.needs if before[name].result != "ok"]
    if unmet:
        return Result(step.name, step.says, "skip", f"needs: {', '.join(before[name].says for name in unmet)}")
    try:
        async with asyncio.timeout(max(step.seconds, where.options.timeout if step.name == "uploads" else 0)):
            return Result(step.name, step.says, "ok", await step.examine(where))
    except Skip as nothing:
        return Result(step.name, step.says, "skip", str(nothing))
    except TimeoutError:
        found = f"no end within {step.seconds:g} s"
    except Wrong as wrong:
        found = str(wrong)
    except MediagateError as error:
        found = error.message
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        found = f"{type(error).__name__}: {error}"
    return Result(step.name, step.says, "fail", found, step.advice, f"{RUNBOOK}#{step.name}")


def expect(condition: object, otherwise: str) -> None:
    """Raise Wrong unless something holds."""
    if not condition:
        raise Wrong(otherwise)
