"""Imports of many objects: their states, and which keys of a source may be named. Pure."""

from enum import StrEnum
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid5

from pydantic import Field

from mediagate.media.values import Value

LONGEST_KEY = 1024
"""Bytes in UTF-8; the limit of S3 (docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html)."""
MOST_AT_ONCE = 500
"""Uploads that one import may ever have under way at a time."""


class ImportState(StrEnum):
    """Where an import stands."""

    LISTING = "listing"
    """What is to be imported is being written down."""
    IMPORTING = "importing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    """Nothing new begins; what is under way ends."""
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class ImportItemState(StrEnum):
    """Where an object of an import stands."""

    WAITING = "waiting"
    TAKEN = "taken"
    """Its bytes are being copied; it counts as waiting until its upload is accepted."""
    UNDER_WAY = "under_way"
    """Its upload is accepted and not decided yet."""
    IMPORTED = "imported"
    """Its upload is decided, one way or the other, or waits for a person."""
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({ImportState.DONE, ImportState.CANCELLED, ImportState.FAILED})
BEGINNING = frozenset({ImportState.LISTING, ImportState.IMPORTING})
"""States in which uploads may begin."""


class ImportCounts(Value):
    """How many objects of an import stand where."""

    waiting: int = 0
    under_way: int = 0
    imported: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All that were written down."""
        return self.waiting + self.under_way + self.ended

    @property
    def ended(self) -> int:
        """Those of which nothing more is to come."""
        return self.imported + self.failed + self.cancelled


class ManifestItem(Value):
    """One object that a manifest names, as it was understood."""

    line: int
    key: str
    filename: str = ""
    sha256: str | None = None
    texts: dict[str, str | list[str]] = Field(default_factory=dict)


def item_id(import_id: UUID, key: str) -> UUID:
    """The media id of an object: the same one however often it is looked at."""
    return uuid5(import_id, key)


def key_of(written: str, *, url: str, bucket: str, prefix: str) -> str:
    """The key that a manifest means: the key itself, `s3://<bucket>/<key>`, or the path-style URL at the source's own
    address.

    Raises:
        ValueError: it is somewhere else than below the source's prefix, or no key that can be named here.
    """
    if "://" not in written:
        return checked_key(written, prefix)
    parts = urlsplit(written)
    if parts.query or parts.fragment:
        raise ValueError("a URL with a query or fragment names no object of a source")
    if parts.scheme == "s3":
        place, key = parts.netloc == bucket, parts.path[1:]
    else:
        own = urlsplit(url)
        at, _, rest = parts.path[1:].partition("/")
        place, key = (parts.scheme, parts.netloc, at) == (own.scheme, own.netloc, bucket), unquote(rest)
    if not place:
        raise ValueError("the URL is not in the bucket of this source")
    return checked_key(key, prefix)


def checked_key(key: str, prefix: str) -> str:
    """The key, if it may be imported.

    Raises:
        ValueError: it is empty, too long, outside the prefix, or one that a store on a file system could take for
            another place.
    """
    if not key or len(key.encode("utf-8", "surrogatepass")) > LONGEST_KEY:
        raise ValueError(f"a key has 1 to {LONGEST_KEY} bytes")
    if any(ord(char) < 32 or ord(char) == 127 or "\ud800" <= char <= "\udfff" for char in key):
        raise ValueError("a key with control characters cannot be imported")
    if {"", ".", ".."} & set(key.split("/")):
        raise ValueError("a key with an empty part, '.' or '..' between slashes cannot be imported")
    if not key.startswith(prefix):
        raise ValueError(f"the key is not below {prefix!r}, where this source begins")
    return key


def checked_prefix(prefix: str, within: str) -> str:
    """The prefix of a listing, below that of the source; empty: all of the source. Raises ValueError."""
    if not prefix:
        return within
    checked_key(prefix.removesuffix("/"), "")
    if not prefix.startswith(within):
        raise ValueError(f"the prefix is not below {within!r}, where this source begins")
    return prefix
