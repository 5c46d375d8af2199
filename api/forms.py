"""Multipart forms of files (RFC 7578), received to disk before anything is decided about them."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from fastapi import Request
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api.models import UploadTexts
from mediagate.errors import InvalidRequest, TooManyFiles
from mediagate.scratch import scratch_folder

CHUNK = 256 * 1024
MAX_FIELDS = 30


@dataclass(frozen=True)
class ReceivedFile:
    """A part of the form, on disk until the request ends; name and type as the caller gave them."""

    filename: str
    content_type: str
    size: int
    sha256: str
    path: Path


@dataclass(frozen=True)
class ReceivedForm:
    """The `files` of a form, in order, and the words for all of them."""

    files: list[ReceivedFile]
    texts: UploadTexts

    @property
    def fingerprint(self) -> bytes:
        """The same for two forms that ask for the same, wherever their boundaries are."""
        more = self.texts.model_dump(exclude={"caption"}, exclude_defaults=True)
        files = [[f.filename, f.content_type, f.sha256] for f in self.files]
        return json.dumps([self.texts.caption, files, *([more] if more else [])]).encode()


@asynccontextmanager
async def received_form(request: Request, *, max_files: int) -> AsyncIterator[ReceivedForm]:
    """Read the request's form; its files are deleted at the end of the block.

    Raises:
        TooManyFiles: there are more than `max_files`.
        InvalidRequest: it is no whole form in UTF-8, or has no file, or words that cannot be kept.
        TooLarge: the body is larger than the request may be.
    """
    form = await _parse(request, max_files)
    try:
        files = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
        if not files:
            raise InvalidRequest("The form has no file under the name 'files'.")
        texts = _texts(form)
        with scratch_folder() as folder:
            yield ReceivedForm([await asyncio.to_thread(_receive, file, folder) for file in files], texts)
    finally:
        await form.close()


class _WholeForm(MultiPartParser):
    """Knows whether the closing boundary was seen: a form without it may lack files."""

    whole = False

    def on_end(self) -> None:
        self.whole = True

    def discard(self) -> None:
        """Close every file that was begun, the one that was cut as well."""
        for file in self._files_to_close_on_error:
            file.close()


async def _parse(request: Request, max_files: int) -> FormData:
    kind, options = parse_options_header(request.headers.get("content-type"))
    # The form's own text encoding would be the caller's choice of a Python codec.
    if kind != b"multipart/form-data" or options.get(b"charset", b"utf-8").lower() not in {b"utf-8", b"utf8"}:
        raise InvalidRequest("The body must be a form: multipart/form-data, in UTF-8.")
    parser = _WholeForm(request.headers, request.stream(), max_files=max_files, max_fields=MAX_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise TooManyFiles(f"At most {max_files} files in one request.") from error
        raise InvalidRequest(f"The form cannot be read: {error.message}") from error
    if not parser.whole:
        parser.discard()
        raise InvalidRequest("The form ends before its closing boundary.")
    return form


def _texts(form: FormData) -> UploadTexts:
    """The fields that are texts; of one that is there twice the last counts, but for `tags`."""
    said: dict[str, object] = {
        name: value for name, value in form.items() if name in UploadTexts.model_fields and isinstance(value, str)
    }
    tags = [tag for value in form.getlist("tags") if isinstance(value, str) for tag in value.split(",") if tag.strip()]
    try:
        return UploadTexts.model_validate({**said, "tags": tags})
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest(f"{'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


def _receive(part: UploadFile, folder: Path) -> ReceivedFile:
    """Bring a part of the form to disk, hashing it on the way."""
    path = folder / uuid4().hex
    digest = hashlib.sha256()
    with path.open("xb") as target:
        while chunk := part.file.read(CHUNK):
            digest.update(chunk)
            target.write(chunk)
    return ReceivedFile(part.filename or "", part.content_type or "", path.stat().st_size, digest.hexdigest(), path)
