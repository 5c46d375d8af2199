"""How a wire misbehaves. Values only; `devstack.wires.wire` acts on them."""

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mediagate.media.values import MIB

ABSURD = 700.0
"""No score in anybody's scale."""

HOSTILE = "<script>alert(document.cookie)</script>' OR 1=1 --"
"""What no page may run and no query may take."""


class Wrong(StrEnum):
    """Ways in which an answer is not to be understood."""

    BROKEN = "broken"
    """Half of the JSON."""
    EMPTY = "empty"
    """An object without any field."""
    LIST = "list"
    """No object at all."""
    SCORES = "scores"
    """Every score is `ABSURD`."""
    NAN = "nan"
    """Every score is NaN, which Python's json writes and JSON does not know."""


class Faults(BaseModel):
    """What is wrong with a wire at the moment; as it stands here, nothing. Counted down and drawn by the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slow: float = Field(0, ge=0, le=300, description="seconds before each answer")
    down: bool = Field(False, description="every call is answered 503")
    error_rate: float = Field(0, ge=0, le=1, description="share of the calls that are answered 500")
    seed: int = Field(0, description="of the draw, so that the same calls fail each time")
    limited: int = Field(0, ge=0, description="so many of the next calls are answered 429")
    retry_after: int = Field(1, ge=0, description="seconds that a 429 asks for")
    retry_after_date: bool = Field(False, description="it says so by a date")
    wrong: Wrong | None = Field(None, description="results are answered like this")
    malicious: bool = Field(
        False,
        description="results are another item's, or huge with hostile texts; forged callbacks come before true ones",
    )
    duplicated: bool = Field(False, description="every callback comes twice")
    reordered: bool = Field(False, description="the callback comes before the call that asked for it is answered")
    clock: float = Field(0, description="seconds by which its clock is ahead, or behind; the generic wire's signatures")
    lost: bool = Field(False, description="no callback comes")


def is_float(value: object) -> bool:
    """What a score is in most formats."""
    return isinstance(value, float)


def spoilt(body: Any, wrong: Wrong, is_score: Callable[[object], bool] = is_float) -> bytes:
    """The answer `body`, so that it is not understood."""
    match wrong:
        case Wrong.BROKEN:
            text = json.dumps(body)
            return text[: len(text) // 2].encode()
        case Wrong.EMPTY:
            return b"{}"
        case Wrong.LIST:
            return b"[]"
        case Wrong.SCORES:
            return json.dumps(_with_scores(body, ABSURD, is_score)).encode()
        case Wrong.NAN:
            return json.dumps(_with_scores(body, float("nan"), is_score)).encode()


def huge(body: Any) -> bytes:
    """The answer `body` with 2 MiB of hostile text in it."""
    return json.dumps(
        {**(body if isinstance(body, dict) else {"body": body}), "note": HOSTILE * (2 * MIB // 50)}
    ).encode()


def _with_scores(body: Any, score: float, is_score: Callable[[object], bool]) -> Any:
    if is_score(body):
        return score
    if isinstance(body, dict):
        return {name: _with_scores(value, score, is_score) for name, value in body.items()}
    if isinstance(body, list):
        return [_with_scores(value, score, is_score) for value in body]
    return body
