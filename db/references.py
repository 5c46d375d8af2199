"""Which objects the rows of a snapshot need."""

from collections.abc import Iterator
from typing import NamedTuple

from psycopg import Connection

_PAGE = 5000

_QUERY = """
SELECT master_key, sha256 FROM media WHERE master_key IS NOT NULL AND status NOT IN ('expired', 'erased')
UNION ALL
SELECT backup_key, sha256 FROM media WHERE backup_key IS NOT NULL AND status NOT IN ('expired', 'erased')
UNION ALL
SELECT key, sha256 FROM variant
UNION ALL
SELECT image #>> '{}', reverse(split_part(reverse(image #>> '{}'), '/', 1))
  FROM library, jsonb_path_query(settings, '$.watermark.**.image_key') image WHERE jsonb_typeof(image) = 'string'
"""


class Reference(NamedTuple):
    """An object that a row names, and the digest that it must have."""

    key: str
    sha256: str


def references(connection: Connection) -> Iterator[Reference]:
    """Masters, their backups, variants and watermark images; some keys may come more than once.

    Read page by page through a cursor of the server's, so that memory does not grow with the library.
    """
    with connection.cursor(name="references") as cursor:
        cursor.itersize = _PAGE
        cursor.execute(_QUERY)
        for key, sha256 in cursor:
            if key and sha256:
                yield Reference(key, sha256)
