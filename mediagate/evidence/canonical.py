"""One spelling for each document, so that everybody computes the same digest of it.

The JSON Canonicalization Scheme (RFC 8785, https://www.rfc-editor.org/rfc/rfc8785) of a flat object whose names are
ASCII, whose values are strings and integers below 2^53: sorted names, no white space, UTF-8.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

Plain = str | int
Field = Plain | UUID | datetime


def canonical(fields: Mapping[str, Field]) -> bytes:
    """The bytes of a document. Ids are written as hyphenated lower-case UUIDs, times as by `timestamp`."""
    plain = {name: _plain(value) for name, value in fields.items()}
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with six digits of the second, as precise as the database: `2026-01-31T12:00:00.000000Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain(value: Field) -> Plain:
    if isinstance(value, datetime):
        return timestamp(value)
    return str(value) if isinstance(value, UUID) else value
