"""Keyset cursors: opaque to callers, a position of (time, id) to us."""

import base64
import binascii
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from mediagate.errors import InvalidRequest

Limit = Annotated[int, Query(ge=1, le=200)]


def encode(at: datetime, id_: UUID) -> str:
    """The cursor after the row at that position."""
    return base64.urlsafe_b64encode(f"{at.isoformat()}|{id_}".encode()).decode().rstrip("=")


def decode(cursor: str | None) -> tuple[datetime, UUID] | None:
    """The position in a cursor. Raises InvalidRequest for anything that we did not make."""
    if not cursor:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, _, id_ = text.partition("|")
        position = datetime.fromisoformat(at), UUID(id_)
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest("The cursor is not one of ours; start without it.") from error
    if position[0].tzinfo is None:
        raise InvalidRequest("The cursor is not one of ours; start without it.")
    return position


def encode_place(place: int) -> str:
    """The cursor after the row of that number, where rows are numbered in their order."""
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def decode_place(cursor: str | None) -> int:
    """The number in such a cursor; 0 without one. Raises InvalidRequest for anything that we did not make."""
    if not cursor:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest("The cursor is not one of ours; start without it.") from error
    if not (text.isdecimal() and len(text) <= 18):
        raise InvalidRequest("The cursor is not one of ours; start without it.")
    return int(text)
