"""Manifests: JSON lines (jsonlines.org) or CSV (RFC 4180), one object per line; refused whole, with line numbers."""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from api.import_models import ManifestLine
from api.models import UploadTexts
from mediagate.errors import InvalidRequest, TooLarge, UnsupportedType
from mediagate.media.imports import ManifestItem, key_of
from mediagate.media.values import MIB
from mediagate.settings import ImportSource, Settings

MOST_BYTES = 32 * MIB
"""Of a manifest as it is sent."""
MOST_PROBLEMS = 20
"""Lines that are told to be wrong."""
JSON_LINES = ("application/jsonl", "application/x-ndjson", "application/x-jsonlines")
CSV = "text/csv"
TYPES = (*JSON_LINES, CSV)

Fields = dict[str, object]


def read_manifest(body: bytes, content_type: str, source: ImportSource, settings: Settings) -> list[ManifestItem]:
    """The objects that a manifest names, each once, all below the source's prefix.

    Raises:
        InvalidRequest: lines of it are wrong; the message names the first ones and what is wrong with each.
        TooLarge: it has more lines than the settings allow.
        UnsupportedType: it is neither JSON lines nor CSV.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The manifest is not UTF-8: byte {error.start}.") from error
    items: list[ManifestItem] = []
    seen: dict[str, int] = {}
    problems: list[str] = []
    for line, fields in _lines(text, content_type):
        try:
            item = _item(line, fields, source, settings)
            first = seen.setdefault(item.key, line)
            if first != line:
                raise ValueError(f"the same object as in line {first}")
        except ValueError as error:
            problems.append(f"line {line}: {_said(error)}")
            if len(problems) == MOST_PROBLEMS:
                break
            continue
        items.append(item)
        if len(items) > settings.import_max_items:
            raise TooLarge(f"A manifest may name {settings.import_max_items} objects; send it in parts.")
    if problems:
        raise InvalidRequest(f"Nothing was imported; {'; '.join(problems)}.")
    if not items:
        raise InvalidRequest("The manifest names no object.")
    return items


def _lines(text: str, content_type: str) -> Iterator[tuple[int, Fields | ValueError]]:
    if content_type in JSON_LINES:
        return _json_lines(text)
    if content_type == CSV:
        return _rows(text)
    raise UnsupportedType(f"A manifest is {', '.join(TYPES)}; a prefix is sent as application/json.")


def _json_lines(text: str) -> Iterator[tuple[int, Fields | ValueError]]:
    for line, written in enumerate(io.StringIO(text), 1):
        if written.strip():
            try:
                read = json.loads(written)
            except (ValueError, RecursionError):
                yield line, ValueError("it is not JSON")
            else:
                yield line, read if isinstance(read, dict) else ValueError("it is no JSON object")


def _rows(text: str) -> Iterator[tuple[int, Fields | ValueError]]:
    """Lines are those of the file, so that an editor finds them; a quoted cell may span several."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        if unknown := set(map(str, reader.fieldnames or ())) - set(ManifestLine.model_fields):
            yield 1, ValueError(f"unknown columns: {', '.join(sorted(unknown))}")
            return
        line = reader.line_num + 1
        for row in reader:
            if None in row:
                yield line, ValueError("it has more cells than there are columns")
            else:
                yield line, _cells(row)
            line = reader.line_num + 1
    except csv.Error as error:
        yield line, ValueError(str(error))


def _cells(row: dict[str, str | None]) -> Fields:
    """Empty cells are left out; tags are separated by commas."""
    said: Fields = {name: cell for name, cell in row.items() if cell}
    if "tags" in said:
        said["tags"] = [tag for tag in str(said["tags"]).split(",") if tag.strip()]
    return said


def _item(line: int, fields: Fields | ValueError, source: ImportSource, settings: Settings) -> ManifestItem:
    if isinstance(fields, ValueError):
        raise fields
    read = ManifestLine.model_validate(fields)
    if bool(read.key) == bool(read.url):
        raise ValueError("name the object by its key, or by its url")
    url, bucket = source.url or settings.s3_url, source.bucket or settings.s3_bucket
    return ManifestItem(
        line=line,
        key=key_of(read.key or read.url, url=url, bucket=bucket, prefix=source.prefix),
        filename=read.filename,
        sha256=read.sha256,
        texts=read.model_dump(include=set(UploadTexts.model_fields), exclude_defaults=True),
    )


def _said(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    details: Iterable[str] = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return ", ".join(details)
